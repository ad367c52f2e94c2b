#!/usr/bin/env python3
"""Mutation testing of one crate by its own tests.

cargo-mutants lists the mutants; this program draws a sample, builds each mutant in a copy of the
repository, and runs the unit tests and the integration tests of the crate. The copy and its build
stay in the target directory, so that only the mutated crate is compiled again.
"""

import argparse
import json
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[2]
ACCEPTED = HERE / "accepted.txt"
# Tests are built faster than with --release, and run faster than without any optimization.
PROFILE = {"CARGO_PROFILE_DEV_OPT_LEVEL": "1", "CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_INCREMENTAL": "1"}
# A mutant that hangs the tests is caught: the limit is this many times the time without a mutant.
PATIENCE, PATIENCE_MIN_SECONDS = 4, 10


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("crate")
    parser.add_argument("--seed", type=int, default=1, help="the seed that draws the sample [default: 1]")
    parser.add_argument("--sample", type=int, default=100, help="viable mutants to test, 0 for all [default: 100]")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="copies to test in [default: one per processor]")
    parser.add_argument("--tests-of", metavar="CRATE", help="run the tests of another crate that depends on this one, such as sim")
    parser.add_argument("--test", default="", help="only tests with this text in their name")
    parser.add_argument("--only", help="only mutants whose line in the list matches this expression")
    parser.add_argument("--list", action="store_true", help="list the mutants of the crate in the order of the seed")
    parser.add_argument("--diff", action="store_true", help="print the change of each mutant that survives")
    return parser.parse_args()


def mutants_of(crate):
    """Returns all mutants of a crate, in the order of its files."""
    command = ["cargo", "mutants", "--list", "--json", "--diff", "-p", crate]
    listed = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        sys.exit(f"cannot list the mutants of {crate}: {listed.stderr.strip()}\n"
                 "install cargo-mutants with: cargo install cargo-mutants --locked")
    return json.loads(listed.stdout)


def identity(mutant):
    """Returns the name of a mutant without its line, which changes whenever code above it does."""
    path, name = mutant["file"], mutant["name"]
    return path + ": " + re.sub(r"^[^ ]+:\d+:\d+: ", "", name)


def accepted():
    """Returns the reasons of the mutants that no test can notice, by identity and by text of the line."""
    found = {}
    lines = ACCEPTED.read_text().splitlines() if ACCEPTED.exists() else []
    for number, line in enumerate(lines, 1):
        if line.startswith("#") or not line.strip():
            continue
        parts = line.split("\t")
        if len(parts) != 3:
            sys.exit(f"{ACCEPTED}:{number}: expected three parts separated by tabs, found {line!r}")
        found[(parts[0], parts[1])] = parts[2]
    return found


def source_line(mutant):
    """Returns the line of code that a mutant begins on."""
    return (TOP / mutant["file"]).read_text().splitlines()[mutant["span"]["start"]["line"] - 1].strip()


class Copy:
    """A copy of the repository's Rust sources, with a target directory of its own."""

    def __init__(self, number, tests_of, test_name):
        self.tests_of, self.test_name = tests_of, test_name
        target = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "mutants"
        self.tree, self.target = target / f"tree-{number}", target / f"target-{number}"
        self.tree.mkdir(parents=True, exist_ok=True)
        copy_sources(self.tree)

    def build(self, seconds=1800):
        return self.cargo(["test", "-p", self.tests_of, "--lib", "--tests", "--no-run"], seconds)

    def test(self, seconds):
        return self.cargo(["test", "-p", self.tests_of, "--lib", "--tests", self.test_name], seconds)

    def cargo(self, words, seconds):
        """Returns the exit status of cargo and its output; the status is None after `seconds`."""
        environment = os.environ | PROFILE | {"CARGO_TARGET_DIR": str(self.target), "RUSTFLAGS": "--cap-lints=allow"}
        process = subprocess.Popen(["cargo", *words, "--quiet"], cwd=self.tree, env=environment, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            output, _ = process.communicate(timeout=seconds)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return None, output

    def run(self, mutant, seconds):
        """Returns `caught`, `timeout`, `survived` or `unviable` for a mutant."""
        file = self.tree / mutant["file"]
        before = file.read_text()
        file.write_text(mutated(before, mutant))
        try:
            status, _ = self.build()
            if status != 0:
                return "unviable"
            status, _ = self.test(seconds)
            return {0: "survived", None: "timeout"}.get(status, "caught")
        finally:
            file.write_text(before)


def copy_sources(tree):
    """Makes `tree` equal to the sources. Files that did not change keep their time, so that Cargo compiles them once."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True).stdout.split("\0")
    wanted = {name for name in listed if name and (TOP / name).is_file()}
    for path in [path for path in tree.rglob("*") if path.is_file() and str(path.relative_to(tree)) not in wanted]:
        path.unlink()
    for name in wanted:
        copy, source = tree / name, TOP / name
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def mutated(text, mutant):
    """Returns the text of a file with the span of the mutant replaced."""
    lines = text.splitlines(keepends=True)
    start, end = mutant["span"]["start"], mutant["span"]["end"]
    first, last = start["line"] - 1, end["line"] - 1
    head, tail = lines[first][: start["column"] - 1], lines[last][end["column"] - 1 :]
    return "".join(lines[:first]) + head + mutant["replacement"] + tail + "".join(lines[last + 1 :])


def baseline(copy):
    """Returns the time limit for a mutant, from a run without one."""
    crate = copy.tests_of
    status, output = copy.build()
    if status != 0:
        sys.exit(f"{crate} does not build:\n{output}")
    begun = time.monotonic()
    status, output = copy.test(1800)
    if status != 0:
        sys.exit(f"the tests of {crate} fail without a mutant:\n{output}")
    return max(PATIENCE * (time.monotonic() - begun), PATIENCE_MIN_SECONDS)


def main():
    options = arguments()
    begun = time.monotonic()
    mutants = mutants_of(options.crate)
    known = accepted()
    random.Random(options.seed).shuffle(mutants)
    if options.only:
        mutants = [mutant for mutant in mutants if re.search(options.only, mutant["name"])]
    if options.list:
        print("\n".join(mutant["name"] for mutant in mutants))
        return
    equivalent = [mutant for mutant in mutants if (identity(mutant), source_line(mutant)) in known]
    rest = [mutant for mutant in mutants if mutant not in equivalent]
    wanted = options.sample or len(rest)
    tests_of = options.tests_of or options.crate
    copies = [Copy(number, tests_of, options.test) for number in range(min(options.jobs, max(1, len(rest))))]
    limit = max(baseline(copy) for copy in copies)
    results = test_sample(copies, rest, wanted, limit)
    report(options, len(mutants), len(equivalent), results, time.monotonic() - begun)


def test_sample(copies, mutants, wanted, limit):
    """Returns the results of the first `wanted` viable mutants, and of the others that were tried."""
    waiting, results, lock = queue.SimpleQueue(), {}, threading.Lock()
    for position, mutant in enumerate(mutants):
        waiting.put((position, mutant))

    def viable():
        return sum(result != "unviable" for _, result in results.values())

    def work(copy):
        while True:
            with lock:
                if viable() >= wanted or waiting.empty():
                    return
                position, mutant = waiting.get()
            result = copy.run(mutant, limit)
            with lock:
                results[position] = (mutant, result)
                if sys.stderr.isatty():
                    print(f"\r{viable()} of {min(wanted, len(mutants))}", end="", file=sys.stderr)

    threads = [threading.Thread(target=work, args=(copy,)) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Two workers may end with one mutant too many: the sample is the first in the order of the seed.
    sample, count = [], 0
    for position in sorted(results):
        if count == wanted:
            break
        sample.append(results[position])
        count += results[position][1] != "unviable"
    return sample


def report(options, total, equivalent, results, seconds):
    survivors = sorted((mutant for mutant, result in results if result == "survived"), key=lambda mutant: mutant["name"])
    for mutant in survivors:
        print(f"survived: {mutant['name']}\n          {source_line(mutant)}")
        if options.diff:
            print(mutant["diff"])
    count = {kind: sum(result == kind for _, result in results) for kind in ("caught", "timeout", "survived", "unviable")}
    viable = len(results) - count["unviable"]
    caught = count["caught"] + count["timeout"]
    share = 100 * caught / viable if viable else 100.0
    by = f" by the tests of {options.tests_of}" if options.tests_of else ""
    print(f"{options.crate}{by}, seed {options.seed}: {total} mutants, {equivalent} accepted as equivalent, {viable} viable ones tested: "
          f"{caught} caught ({count['timeout']} by the time limit), {count['survived']} survived, {count['unviable']} unviable; "
          f"{share:.0f} %, {seconds:.0f} s")
    sys.exit(0 if not survivors else 1)


if __name__ == "__main__":
    main()
