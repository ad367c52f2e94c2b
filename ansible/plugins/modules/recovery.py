# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Begins a new cluster with what survived."""

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery
short_description: Begins a new cluster of one member with the data of a member that survived
description:
  - Takes all that the data directory and its log hold, as etcd-admin recover plan and recover apply do, and puts the new data in the place of the
    old ones, which are moved aside.
  - The new cluster has another id, so that old members that return are refused. A run that was interrupted goes on where it stopped.
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
    description: Where other members will reach it.
    type: str
    required: true
  data_dir:
    description: Its data directory. The plan and the snapshot that was made go to a directory of this name with C(.recovery) behind it.
    type: path
    required: true
  user:
    description: Whom the data belong to.
    type: str
    default: etcd
"""

EXAMPLES = r"""
- name: Begin anew with what it has
  etcd_appliance.cluster.recovery:
    name: etcd1
    peer_url: https://10.0.0.11:2380
    data_dir: /var/lib/etcd
"""

RETURN = r"""
plan:
  description: The plan's file, for etcd-admin recover verify.
  returned: always
  type: str
loss:
  description: What may be lost, in words.
  returned: not in check mode
  type: str
report:
  description: What etcd-admin recover apply tells.
  returned: not in check mode
  type: dict
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM, call, text_of
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.data_dir import timestamp


def put_in_place(module, made):
    """The new data directory where the old one was; the old one has been moved aside."""
    data_dir, user = module.params["data_dir"], module.params["user"]
    module.run_command(["chown", "-R", f"{user}:{user}", made], check_rc=True)
    os.chmod(made, 0o700)
    if os.path.isdir(data_dir):
        # Only an empty one goes.
        os.rmdir(data_dir)
    os.rename(made, data_dir)


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "peer_url": {"type": "str", "required": True},
            "data_dir": {"type": "path", "required": True},
            "user": {"type": "str", "default": "etcd"},
            **PROGRAM,
        },
        supports_check_mode=True,
    )
    params = module.params
    work = params["data_dir"].rstrip("/") + ".recovery"
    plan, made = os.path.join(work, "plan.json"), os.path.join(work, params["name"])
    if module.check_mode:
        module.exit_json(changed=True, plan=plan)
    journal = json.loads(text_of(os.path.join(work, "plan.journal")) or "{}")
    if "aside" in journal.get("done", []) and not os.path.isdir(made):
        # An earlier recovery, which came to its end.
        os.rename(work, f"{work}-{timestamp()}")
    os.makedirs(work, mode=0o700, exist_ok=True)
    if not os.path.exists(plan):
        entry = f"{params['name']}={params['peer_url']}"
        call(module, ["recover", "plan", "--initial-cluster", entry, "--output-dir", work, "--plan", plan, params["data_dir"]])
        if not os.path.exists(plan):
            module.fail_json(msg="no plan was made: the cluster serves, and there is nothing to recover")
    report, _ = call(module, ["recover", "apply", "--yes", plan])
    put_in_place(module, made)
    module.exit_json(changed=True, plan=plan, loss=json.loads(text_of(plan))["loss"], report=report)


if __name__ == "__main__":
    main()
