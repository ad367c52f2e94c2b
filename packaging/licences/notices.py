#!/usr/bin/env python3
"""Licences and parts of the programs, as Cargo.lock has them:

    notices.py notices PROGRAM      the licence texts of all that is linked into it
    notices.py copyright PROGRAM    the same as Debian's copyright file
    notices.py expression PROGRAM   the SPDX expression of the whole
    notices.py sbom PROGRAM         a bill of materials in CycloneDX's JSON
    notices.py audit PROGRAM FILE   the list of crates that `cargo audit bin` and other scanners look for in a binary
    notices.py check                fails when a part has no licence text, or when its licence or source is not allowed
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import sys
import textwrap
import uuid
import zlib

import graph

PROGRAMS = ("etcd-server", "etcd-admin")
PRODUCT = "etcd-appliance"
# Conveyed under terms of our choice, as the exception allows: no part of the whole's licence.
OWN_TERMS = "GPL-3.0-or-later WITH GCC-exception-3.1"
NO_HOLDER = re.compile(r"^copyright\s+(notice|owner|holder|license|statement|law|and|\[|\{|to |on )", re.IGNORECASE)
# Words that the whole text of a licence has, and a mere mention of it lacks.
MARKS = {
    "BSD-2-Clause": "Redistribution and use",
    "BSD-3-Clause": "neither the name",
    "BSL-1.0": "Boost Software License",
    "ISC": "Permission to use, copy",
    "MIT": "Permission is hereby granted",
    "Unicode-3.0": "UNICODE LICENSE",
    "Zlib": "provided 'as-is'",
}
COMMON = {"Apache-2.0": "Apache-2.0", "CC0-1.0": "CC0-1.0", "MPL-2.0": "MPL-2.0"}


def others(program):
    return [component for component in graph.components(program) if component.kind != "own"]


def squeezed(text):
    return re.sub(r"\s+", " ", text).strip()


def grouped(program):
    """Every text once, with the components that it belongs to; those of most components first."""
    found = {}
    for component in others(program):
        for text in component.texts:
            found.setdefault(squeezed(text), (text, []))[1].append(component)
    return sorted(found.values(), key=lambda group: (-len(group[1]), squeezed(group[0])))


def notices(program):
    """The file of notices: a table of the parts, then the texts."""
    out = [f"Third-party notices of {program}", "", f"{program} is licensed under the Apache License, Version 2.0. It contains the following parts."]
    out += ["Sources of those under the Mozilla Public License are at the addresses named here.", ""]
    for component in others(program):
        note = f" ({component.note})" if component.note else ""
        out.append(f"{component.key}: {component.licence}{note}; {component.url}")
    for text, parts in grouped(program):
        names = textwrap.fill(", ".join(part.key for part in parts), 100, break_long_words=False, break_on_hyphens=False)
        out += ["", "-" * 100, names, "-" * 100, "", text]
    return "\n".join(out) + "\n"


def copyright_lines(component):
    """What the texts of a component say about its holders."""
    lines = []
    for text in component.texts:
        for line in text.splitlines():
            words = line.strip(" \t*#/-")
            if re.match(r"^(Copyright\b.*\w|(\(c\)|©).*\d{4})", words, re.IGNORECASE) and not NO_HOLDER.match(words):
                lines.append(re.sub(r"^Copyright\s*", "", words, flags=re.IGNORECASE).strip())
    return tuple(dict.fromkeys(line for line in lines if line)) or (f"the authors of {component.name}",)


def short_name(licence):
    """An SPDX expression as a Debian copyright file names it."""
    named = " and ".join(sorted(graph.chosen(licence) or {licence}))
    return named.replace("MIT", "Expat").replace(OWN_TERMS, "GPL-3+ with GCC-runtime-library exception")


def copyright_file(program):
    """Debian's machine-readable copyright file. The paths are those that `cargo vendor` writes."""
    out = ["Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/", f"Upstream-Name: {PRODUCT}", "Comment:"]
    out += [" The program contains the parts below, linked statically. Their complete licence", " texts are in THIRD-PARTY-NOTICES.gz beside this file.", ""]
    out += ["Files: *", "Copyright: 2026 the authors of the etcd appliance", "License: Apache-2.0", ""]
    stanzas = {}
    for component in others(program):
        stanzas.setdefault((short_name(component.licence), copyright_lines(component)), []).append(component)
    for (licence, holders), parts in sorted(stanzas.items()):
        paths = [f"vendor/{part.name.replace(' ', '-')}-{part.version}/*" for part in parts]
        out += ["Files: " + "\n ".join(paths), "Copyright: " + "\n ".join(holders), f"License: {licence}", ""]
    names = sorted({name for licence, _ in stanzas for name in licence.split(" and ")})
    for name in names:
        out += [f"License: {name}", *licence_text(program, name), ""]
    return "\n".join(out)


def licence_text(program, name):
    """One licence: where Debian has its text, or the text of a part that is under it alone, without the holders."""
    if name in COMMON:
        return [" On Debian systems the text of the licence is in", f" /usr/share/common-licenses/{COMMON[name]}."]
    if name.startswith("GPL-3+"):
        return [" On Debian systems the text of the licence is in", " /usr/share/common-licenses/GPL-3; the exception is in THIRD-PARTY-NOTICES.gz."]
    wanted = name.replace("Expat", "MIT")
    fitting = [part for part in others(program) if wanted in graph.chosen(part.licence)]
    texts = [text for part in fitting for text in part.texts if MARKS[wanted].lower() in squeezed(text).lower()]
    text = min(texts, key=lambda text: (len(text), text))
    lines = [line.rstrip() for line in text.splitlines() if not re.match(r"^\W*(copyright|\(c\))", line, re.IGNORECASE)]
    lines = "\n".join(lines).strip().splitlines()
    return [f" {line}" if line else " ." for line in lines]


def expression(program):
    """The SPDX expression of the program: all licences under which its parts are passed on."""
    found = {"Apache-2.0"}
    for component in others(program):
        found |= graph.chosen(component.licence) - {OWN_TERMS}
    return " AND ".join(sorted(found))


def purl(component):
    """A package URL. Our crates have names that others use on the registry, so they are under the product's."""
    name = component.name.replace(" ", "-").replace("+", "%2B")
    if component.kind == "cargo":
        return f"pkg:cargo/{name}@{component.version.replace('+', '%2B')}"
    return f"pkg:generic/{PRODUCT if component.kind == 'own' else 'third-party'}/{name}@{component.version}"


def sbom_component(component, program):
    entry = {
        "type": "application" if component.name == program else "library",
        "bom-ref": purl(component),
        "name": component.name,
        "version": component.version,
        "licenses": [{"expression": component.licence}],
        "purl": purl(component),
    }
    if component.kind == "own":
        entry["group"] = PRODUCT
    if component.checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": component.checksum}]
    if component.url:
        entry["externalReferences"] = [{"type": "vcs" if component.kind == "cargo" else "website", "url": component.url}]
    return entry


def sbom(program):
    """A bill of materials. The same sources and date give the same bytes."""
    parts = graph.components(program)
    refs = {part.key: purl(part) for part in parts}
    native = [purl(part) for part in parts if part.kind == "native"]
    edges = [{"ref": refs[part.key], "dependsOn": [refs[key] for key in part.dependencies]} for part in parts]
    edges[0]["dependsOn"] += native
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    body = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": sbom_component(parts[0], program),
        },
        "components": [sbom_component(part, program) for part in parts[1:]],
        "dependencies": edges,
    }
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    body["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}"
    return json.dumps(body, indent=1) + "\n"


def audit(program):
    """The list that `cargo auditable` embeds. Of our own crates the program alone: scanners know others under the names of the rest."""
    parts = {part.key: part for part in graph.components(program) if part.kind != "native"}
    root = next(iter(parts.values()))

    def crates_below(part, seen):
        for key in part.dependencies:
            if key not in seen:
                seen.add(key)
                if parts[key].kind == "own":
                    yield from crates_below(parts[key], seen)
                else:
                    yield key

    listed = sorted((part for part in parts.values() if part.kind == "cargo" or part is root), key=lambda part: (part.name, part.version))
    index = {part.key: number for number, part in enumerate(listed)}
    packages = []
    for part in listed:
        source = "local" if part is root else "crates.io"
        package = {"name": part.name, "version": part.version, "source": source}
        below = sorted(index[key] for key in crates_below(part, set()))
        if below:
            package["dependencies"] = below
        if part is root:
            package["root"] = True
        packages.append(package)
    return zlib.compress(json.dumps({"packages": packages}, separators=(",", ":")).encode(), 9)


def problems():
    """What a release must not have, a line each."""
    policy = graph.read_toml(graph.TOP / "deny.toml")
    banned = {entry["name"] for entry in policy["bans"]["deny"]}
    names = set()
    for program in PROGRAMS:
        for part in graph.components(program):
            names.add(part.name)
            if not any(part.texts):
                yield f"{part.key}: no licence text: add packaging/licences/texts/{part.name}.txt, copied from {part.url}"
            if part.kind != "own" and graph.chosen(part.licence) is None:
                yield f"{part.key}: licence {part.licence!r} is not allowed: replace the crate, or allow the licence in deny.toml"
            if part.name in banned:
                yield f"{part.key}: banned in deny.toml: use what it is banned for"
    for package in graph.read_toml(graph.TOP / "Cargo.lock")["package"]:
        if package.get("source", graph.REGISTRY) != graph.REGISTRY:
            yield f"{package['name']} {package['version']}: comes from {package['source']}: only crates.io is allowed"
    for name in sorted({path.stem for path in (graph.HERE / "texts").glob("*.txt")} - names - used_texts()):
        yield f"packaging/licences/texts/{name}.txt: no part needs it: remove it"


def used_texts():
    entries = graph.read_toml(graph.HERE / "native.toml").values()
    return {file.removesuffix(".txt") for entry in entries for file in entry.get("texts", [])}


def main(words):
    if words == ["check"]:
        found = sorted(set(problems()))
        for line in found:
            print(f"licences: {line}", file=sys.stderr)
        return 1 if found else 0
    makers = {"notices": notices, "copyright": copyright_file, "expression": lambda program: expression(program) + "\n", "sbom": sbom}
    if len(words) == 2 and words[0] in makers and words[1] in PROGRAMS:
        sys.stdout.write(makers[words[0]](words[1]))
        return 0
    if len(words) == 3 and words[0] == "audit" and words[1] in PROGRAMS:
        with open(words[2], "wb") as file:
            file.write(audit(words[1]))
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
