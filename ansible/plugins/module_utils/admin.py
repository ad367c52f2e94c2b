# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Calls etcd-admin and reads its answers; all modules of this collection go through it."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile

TOOL = "/usr/bin/etcd-admin"

# Options that several modules have; documented in doc_fragments.
PROGRAM = {"program": {"type": "path"}}
CA_SPEC = {"directory": {"type": "path", "required": True}, "passphrase_file": {"type": "path"}}
CLUSTER_CONFIG_SPEC = {"cluster_config": {"type": "dict", "required": True}, "member": {"type": "str", "required": True}}


def call(module, words, codes=(0,), data=None):
    """Runs one command; gives its answer, read, and its exit code. Other codes than those fail the task, with the tool's own words."""
    program = module.params.get("program") or TOOL
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


@contextlib.contextmanager
def cluster_config_args(module):
    """Flags that name the cluster's document and the member, while the document lies in a file of its own."""
    with tempfile.TemporaryDirectory(dir=module.tmpdir) as directory:
        path = os.path.join(directory, "cluster.yaml")
        with open(path, "w", encoding="utf-8") as file:
            # What is JSON is YAML, too.
            json.dump(module.params["cluster_config"], file)
        yield ["--cluster", path, "--member", module.params["member"], *(["--dry-run"] if module.check_mode else [])]


def diff_of(changes):
    """What etcd-admin tells of files, as Ansible shows it."""
    return [
        {"before_header": change["path"], "after_header": change["path"], "before": change.get("before") or "", "after": change["after"]}
        for change in changes
    ]
