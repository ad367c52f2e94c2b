# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Creates a single-member cluster from surviving data."""

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery
short_description: Create a single-member cluster from surviving data
description:
  - Runs C(etcd-admin recover plan) and C(etcd-admin recover apply) on the data of a stopped member.
  - Keeps everything that the data directory and its raft log contain.
  - The new data replaces the old data, which C(recover apply) renames.
  - The new cluster has another id, so that old members that return are refused.
  - An interrupted run resumes.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  name:
    description: Name of the member.
    type: str
    required: true
  peer_url:
    description: Peer URL of the member.
    type: str
    required: true
  data_dir:
    description:
      - Data directory of the member.
      - The plan and the snapshot are written to a directory of this name with the suffix C(.recovery).
    type: path
    required: true
  user:
    description: User and group that own the data.
    type: str
    default: etcd
"""

EXAMPLES = r"""
- name: Create a single-member cluster
  etcd_appliance.cluster.recovery:
    name: etcd1
    peer_url: https://10.0.0.11:2380
    data_dir: /var/lib/etcd
"""

RETURN = r"""
plan:
  description: Plan file, for C(etcd-admin recover verify).
  returned: always
  type: str
loss:
  description: Description of the data that may be lost.
  returned: not in check mode
  type: str
report:
  description: Output of C(etcd-admin recover apply).
  returned: not in check mode
  type: dict
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM_SPEC, read_text, run_admin
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.data_dir import timestamp


def install_data(module, created):
    """Moves the new data directory to its place. etcd-admin has renamed the old one."""
    data_dir, user = module.params["data_dir"], module.params["user"]
    module.run_command(["chown", "-R", f"{user}:{user}", created], check_rc=True)
    os.chmod(created, 0o700)
    if os.path.isdir(data_dir):
        # Fails unless the directory is empty.
        os.rmdir(data_dir)
    os.rename(created, data_dir)


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "peer_url": {"type": "str", "required": True},
            "data_dir": {"type": "path", "required": True},
            "user": {"type": "str", "default": "etcd"},
            **PROGRAM_SPEC,
        },
        supports_check_mode=True,
    )
    params = module.params
    work = params["data_dir"].rstrip("/") + ".recovery"
    plan, created = os.path.join(work, "plan.json"), os.path.join(work, params["name"])
    if module.check_mode:
        module.exit_json(changed=True, plan=plan)
    journal = json.loads(read_text(os.path.join(work, "plan.journal")) or "{}")
    if "aside" in journal.get("done", []) and not os.path.isdir(created):
        # An earlier recovery has completed.
        os.rename(work, f"{work}-{timestamp()}")
    os.makedirs(work, mode=0o700, exist_ok=True)
    if not os.path.exists(plan):
        args = ["recover", "plan", "--initial-cluster", f"{params['name']}={params['peer_url']}"]
        run_admin(module, [*args, "--output-dir", work, "--plan", plan, params["data_dir"]])
        if not os.path.exists(plan):
            module.fail_json(msg="no plan was written: the cluster has a quorum, so there is nothing to recover")
    report, _ = run_admin(module, ["recover", "apply", "--yes", plan])
    install_data(module, created)
    module.exit_json(changed=True, plan=plan, loss=json.loads(read_text(plan))["loss"], report=report)


if __name__ == "__main__":
    main()
