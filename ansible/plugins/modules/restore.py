# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Makes a member's data of a snapshot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: Makes the data of one member from a snapshot, and moves aside what was there
description:
  - The member must not run. All members are given the same snapshot, members and token.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  snapshot:
    description: The snapshot, on the host.
    type: path
    required: true
  name:
    description: Name of the member.
    type: str
    required: true
  members:
    description: Peer URLs of all members, by name.
    type: dict
    required: true
  token:
    description: Tells the new cluster from the old one.
    type: str
    required: true
  data_dir:
    description: The member's data directory.
    type: path
    default: /var/lib/etcd
  user:
    description: Whom the data belong to.
    type: str
    default: etcd
"""

EXAMPLES = r"""
- name: Restore its part
  etcd_appliance.cluster.restore:
    snapshot: /var/backups/etcd/to-restore.snapshot
    name: etcd1
    members: {etcd1: https://10.0.0.11:2380}
    token: prod-again
"""

RETURN = r"""
moved_to:
  description: Where the old data are; empty when there were none.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM, call
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.data_dir import move_data


def main():
    module = AnsibleModule(
        argument_spec={
            "snapshot": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "members": {"type": "dict", "required": True},
            "token": {"type": "str", "required": True, "no_log": False},
            "data_dir": {"type": "path", "default": "/var/lib/etcd"},
            "user": {"type": "str", "default": "etcd"},
            **PROGRAM,
        },
        supports_check_mode=True,
    )
    params = module.params
    if module.check_mode:
        module.exit_json(changed=True, moved_to="")
    moved_to = move_data(params["data_dir"], "restore")
    cluster = ",".join(f"{name}={url}" for name, url in params["members"].items())
    words = ["snapshot", "restore", params["snapshot"], "--name", params["name"], "--data-dir", params["data_dir"]]
    call(module, [*words, "--initial-cluster", cluster, "--initial-cluster-token", params["token"]])
    module.run_command(["chown", "-R", f"{params['user']}:{params['user']}", params["data_dir"]], check_rc=True)
    module.exit_json(changed=True, moved_to=moved_to)


if __name__ == "__main__":
    main()
