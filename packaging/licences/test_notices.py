"""What the generator of notices refuses, and what its files hold. Run by packaging/test.sh."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sys
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import graph  # noqa: E402
import notices  # noqa: E402


def sets(expression):
    return {" + ".join(sorted(found)) for found in graph.alternatives(graph.normal(expression))}


class Expressions(unittest.TestCase):
    def test_reads_every_form_of_expression(self):
        cases = {
            "MIT": {"MIT"},
            "MIT/Apache-2.0": {"MIT", "Apache-2.0"},
            "Apache-2.0 / MIT": {"MIT", "Apache-2.0"},
            "MPL-2.0+": {"MPL-2.0"},
            "MIT AND BSD-3-Clause": {"BSD-3-Clause + MIT"},
            "(MIT OR Apache-2.0) AND Unicode-3.0": {"MIT + Unicode-3.0", "Apache-2.0 + Unicode-3.0"},
            "A AND (B OR C) AND (C OR D)": {"A + B + C", "A + C", "A + B + D", "A + C + D"},
            "Apache-2.0 WITH LLVM-exception OR MIT": {"Apache-2.0 WITH LLVM-exception", "MIT"},
        }
        for expression, expected in cases.items():
            self.assertEqual(sets(expression), expected, expression)
        for expression in ("MIT)", "MIT Apache-2.0"):
            with self.assertRaises(ValueError, msg=expression):
                sets(expression)

    def test_chooses_only_allowed_licences(self):
        self.assertEqual(graph.chosen("GPL-3.0-only OR MIT"), {"MIT"})
        self.assertEqual(graph.chosen("MIT AND Apache-2.0"), {"MIT", "Apache-2.0"})
        for expression in ("GPL-3.0-only", "MIT AND GPL-3.0-only", "AGPL-3.0-or-later OR SSPL-1.0"):
            self.assertIsNone(graph.chosen(expression), expression)


class Checks(unittest.TestCase):
    """Each problem is found in a dependency that has it, and only there."""

    def found(self, **changes):
        real = graph.components

        def changed(program):
            return [dataclasses.replace(part, **changes) if part.name == "tonic-prost" else part for part in real(program)]

        with unittest.mock.patch.object(graph, "components", changed):
            return list(dict.fromkeys(notices.problems()))

    def test_accepts_the_dependencies_as_they_are(self):
        self.assertEqual(self.found(), [])

    def test_refuses_dependency_without_licence_text(self):
        for texts in ((), ("",)):
            (line,) = self.found(texts=texts)
            self.assertRegex(line, r"^tonic-prost .*no licence text: add packaging/licences/texts/tonic-prost.txt")

    def test_refuses_dependency_under_forbidden_licence(self):
        for licence in ("GPL-2.0-only", "MIT AND AGPL-3.0-only", "LicenseRef-secret", ""):
            (line,) = self.found(licence=licence or "NONE")
            self.assertRegex(line, r"^tonic-prost .*is not allowed")

    def test_refuses_banned_dependency(self):
        lines = self.found(name="openssl")
        self.assertTrue(any(line.startswith("openssl ") and "banned" in line for line in lines), lines)

    def test_refuses_dependency_from_another_source(self):
        real = graph.read_toml

        def changed(path):
            document = real(path)
            if path.name == "Cargo.lock":
                document["package"][0]["source"] = "git+https://example.org/fork"
            return document

        with unittest.mock.patch.object(graph, "read_toml", changed):
            self.assertTrue(any("only crates.io is allowed" in line for line in notices.problems()))


class Files(unittest.TestCase):
    def test_names_every_part_with_its_text(self):
        for program in notices.PROGRAMS:
            text = notices.notices(program)
            for part in graph.components(program):
                if part.kind != "own":
                    self.assertIn(f"\n{part.key}: ", text)

    def test_bill_of_materials_has_own_crates_under_own_names(self):
        os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
        for program in notices.PROGRAMS:
            document = json.loads(notices.sbom(program))
            self.assertEqual(notices.sbom(program), notices.sbom(program))
            every = [document["metadata"]["component"], *document["components"]]
            refs = [part["bom-ref"] for part in every]
            self.assertEqual(len(refs), len(set(refs)))
            self.assertEqual({edge["ref"] for edge in document["dependencies"]} - set(refs), set())
            self.assertEqual({ref for edge in document["dependencies"] for ref in edge["dependsOn"]} - set(refs), set())
            own = {part.name for part in graph.components(program) if part.kind == "own"}
            self.assertIn("telemetry", own | {"telemetry"} if program == "etcd-admin" else own)
            for part in every:
                if part.get("group") == notices.PRODUCT:
                    self.assertTrue(part["purl"].startswith("pkg:generic/etcd-appliance/"), part)
                else:
                    self.assertNotIn(part["name"], own)

    def test_copyright_file_defines_every_licence_that_it_uses(self):
        for program in notices.PROGRAMS:
            lines = notices.copyright_file(program).splitlines()
            used, defined = set(), set()
            for line, following in zip(lines, [*lines[1:], ""]):
                if line.startswith("License: "):
                    names = line.removeprefix("License: ").split(" and ")
                    (defined if following.startswith(" ") else used).update(names)
            self.assertEqual(used - defined, set())


if __name__ == "__main__":
    unittest.main()
