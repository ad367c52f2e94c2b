# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Runs etcd-admin and reads its JSON output."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile

ETCD_ADMIN = "/usr/bin/etcd-admin"

# Arguments of several modules; doc_fragments documents them.
PROGRAM_SPEC = {"program": {"type": "path"}}
CA_SPEC = {"directory": {"type": "path", "required": True}, "passphrase_file": {"type": "path"}}
CLUSTER_CONFIG_SPEC = {
    "cluster_config": {"type": "dict", "required": True},
    "member": {"type": "str", "required": True},
}


def run_admin(module, args, statuses=(0,)):
    """Runs one command and returns its decoded output and its exit status.

    Fails the task with the error of etcd-admin if the exit status is not one of `statuses`.
    """
    program = module.params.get("program") or ETCD_ADMIN
    command = [program, *args, "-o", "json"]
    status, output, error = module.run_command(command)
    if status not in statuses:
        message = error.strip() or output.strip() or f"etcd-admin exited with status {status}"
        module.fail_json(msg=message, command=command, rc=status)
    try:
        return (json.loads(output) if output.strip() else {}), status
    except ValueError:
        # Some commands print sentences in a dry run.
        return {"steps": output.strip().splitlines()}, status


def read_text(path):
    """Returns the content of a file, or None if it does not exist."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def passphrase_args(module):
    """Returns the flags for the passphrase of the CA keys; empty without a passphrase file."""
    passphrase_file = module.params["passphrase_file"]
    return ["--passphrase-file", passphrase_file] if passphrase_file else []


@contextlib.contextmanager
def cluster_config_args(module):
    """Yields the flags for the cluster configuration, written to a temporary file, and the member."""
    with tempfile.TemporaryDirectory(dir=module.tmpdir) as directory:
        path = os.path.join(directory, "cluster.yaml")
        with open(path, "w", encoding="utf-8") as file:
            # JSON is valid YAML.
            json.dump(module.params["cluster_config"], file)
        dry_run = ["--dry-run"] if module.check_mode else []
        yield ["--cluster", path, "--member", module.params["member"], *dry_run]


def ansible_diff(changes):
    """Converts file changes of etcd-admin to the format of Ansible's --diff."""
    return [
        {
            "before_header": change["path"],
            "after_header": change["path"],
            "before": change.get("before") or "",
            "after": change["after"],
        }
        for change in changes
    ]
