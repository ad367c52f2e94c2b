# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Calls etcd-admin and reads its answers; all modules of this collection go through it."""

from __future__ import annotations

import json

PROGRAM = "/usr/bin/etcd-admin"


def call(module, words, codes=(0,), data=None):
    """Runs one command; gives its answer, read, and its exit code. Other codes than those fail the task, with the tool's own words."""
    program = module.params.get("program") or PROGRAM
    command = [program, *words, "-o", "json"]
    code, output, complaint = module.run_command(command, data=data)
    if code not in codes:
        module.fail_json(msg=complaint.strip() or output.strip() or f"etcd-admin ended with {code}", command=command, rc=code)
    try:
        return (json.loads(output) if output.strip() else {}), code
    except ValueError:
        # A dry run of some commands tells in sentences what would be done.
        return {"steps": output.strip().splitlines()}, code


def text_of(path):
    """What a file holds, or None where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None
