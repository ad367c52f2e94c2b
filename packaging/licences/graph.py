"""What is linked into a program: the crates that Cargo resolved for it, and the code in other languages that comes with them."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import re
import subprocess
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
TARGETS = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
# File names of licence texts and of notices that have to be passed on.
TEXT_NAMES = re.compile(r"^(LICEN[CS]E|COPYING|COPYRIGHT|NOTICE|UNLICENSE|AUTHORS)([._-].*)?$", re.IGNORECASE)
NOT_TEXTS = re.compile(r"\.(rs|py|toml|sh|html|GPLv2)$")


@dataclasses.dataclass(frozen=True)
class Component:
    """A part of a program that others wrote, or one of our own crates."""

    name: str
    version: str
    licence: str
    url: str
    texts: tuple[str, ...]
    dependencies: tuple[str, ...] = ()
    checksum: str | None = None
    kind: str = "cargo"  # cargo, native or own
    note: str = ""

    @property
    def key(self):
        return f"{self.name} {self.version}"


def read_toml(path):
    with open(path, "rb") as file:
        return tomllib.load(file)


@functools.cache
def metadata(target):
    command = ["cargo", "metadata", "--format-version=1", "--locked", f"--filter-platform={target}", f"--manifest-path={TOP}/Cargo.toml"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)


@functools.cache
def checksums():
    packages = read_toml(TOP / "Cargo.lock")["package"]
    return {(package["name"], package["version"]): package.get("checksum") for package in packages}


def reachable(document, root):
    """Ids of all packages that end up in the program, with those that each depends on. Build scripts and tests do not."""
    nodes = {node["id"]: node for node in document["resolve"]["nodes"]}
    found, todo = {}, [root]
    while todo:
        package = todo.pop()
        if package in found:
            continue
        normal = [dep["pkg"] for dep in nodes[package]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
        found[package] = sorted(set(normal))
        todo += normal
    return found


def texts_in(directory, manifest_file=None):
    """The licence texts in a directory, in the order of their names."""
    names = [path for path in sorted(directory.iterdir()) if path.is_file() and TEXT_NAMES.match(path.name) and not NOT_TEXTS.search(path.name)]
    named = directory / manifest_file if manifest_file else None
    if named and named.is_file() and named not in names:
        names.append(named)
    return tuple(path.read_text(encoding="utf-8", errors="replace").strip() for path in names)


def apache():
    return (TOP / "LICENSE").read_text(encoding="utf-8").strip()


def crate(package, dependencies):
    """One package as Cargo describes it."""
    name, version = package["name"], package["version"]
    directory = pathlib.Path(package["manifest_path"]).parent
    licence = normal(package["license"] or "")
    url = package.get("repository") or f"https://crates.io/crates/{name}"
    if package["source"] is None:
        return Component(name, version, licence, "", (apache(),), dependencies, kind="own")
    texts = texts_in(directory, package.get("license_file")) or clarified(name)
    if not texts and chosen(licence) == {"Apache-2.0"}:
        texts = (apache(),)
    return Component(name, version, licence, url, texts, dependencies, checksums().get((name, version)))


def clarified(name):
    """The text of a crate that comes without one, as its repository has it."""
    path = HERE / "texts" / f"{name}.txt"
    return (path.read_text(encoding="utf-8").strip(),) if path.is_file() else ()


def native(name, entry, packages):
    """Code in C or C++ that a crate brings, or that the compiler adds."""
    texts = [HERE / "texts" / file for file in entry.get("texts", [])]
    version = entry.get("version")
    if "crate" in entry:
        package = packages[entry["crate"]]
        directory = pathlib.Path(package["manifest_path"]).parent
        texts += [directory / file for file in entry.get("files", [])]
        version = re.search(version or r"\+([0-9.]+)$", package["version"]).group(1)
    texts = tuple(path.read_text(encoding="utf-8", errors="replace").strip() for path in texts)
    licence, url = entry["licence"], entry["url"]
    return Component(name, version, licence, url, texts, kind="native", note=entry.get("note", ""))


@functools.cache
def components(program):
    """All that a program consists of, by name, its own crates among them; the program itself comes first."""
    found, names = {}, {}
    for target in TARGETS:
        document = metadata(target)
        packages = {package["id"]: package for package in document["packages"]}
        root = next(package["id"] for package in document["packages"] if package["name"] == program and package["source"] is None)
        graph = reachable(document, root)
        key = lambda package: f"{packages[package]['name']} {packages[package]['version']}"
        for package, dependencies in graph.items():
            known = found.get(key(package))
            merged = sorted({key(dependency) for dependency in dependencies} | set(known.dependencies if known else ()))
            found[key(package)] = crate(packages[package], tuple(merged))
            names[packages[package]["name"]] = packages[package]
    for name, entry in read_toml(HERE / "native.toml").items():
        if entry.get("crate") is None or entry["crate"] in names:
            component = native(name, entry, names)
            found[component.key] = component
    first = lambda component: (component.name != program, component.name, component.version)
    return sorted(found.values(), key=first)


def normal(licence):
    """An SPDX expression, where older crates use a slash for OR and a plus for "or later"."""
    return re.sub(r"\b(MPL-2\.0)\+", r"\1", re.sub(r"\s*/\s*", " OR ", licence.strip()))


def tokens(licence):
    return re.findall(r"\(|\)|[^\s()]+(?: WITH [^\s()]+)?", licence)


def alternatives(licence):
    """The sets of licences of which each by itself is enough."""
    words = tokens(licence)

    def either():
        found = both()
        while words and words[0] == "OR":
            words.pop(0)
            found += both()
        return found

    def both():
        found = one()
        while words and words[0] == "AND":
            words.pop(0)
            following = one()
            found = [left | right for left in found for right in following]
        return found

    def one():
        word = words.pop(0)
        if word != "(":
            return [frozenset([word])]
        inner = either()
        words.pop(0)
        return inner

    found = either()
    if words:
        raise ValueError(f"licence expression {licence!r}: unexpected {words[0]!r}")
    return found


@functools.cache
def allowed():
    return read_toml(TOP / "deny.toml")["licenses"]["allow"]


def chosen(licence):
    """The licences under which a component is passed on: of the allowed alternatives the one with the fewest, in the order of deny.toml."""
    order = allowed()
    possible = [found for found in alternatives(licence) if found <= set(order)]
    return min(possible, key=lambda found: (len(found), sorted(order.index(name) for name in found)), default=None)
