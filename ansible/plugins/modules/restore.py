# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Creates the data directory of a member from a snapshot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: Create the data directory of a member from a snapshot
description:
  - Runs C(etcd-admin snapshot restore). Existing data is moved to a new directory.
  - The member must be stopped.
  - Use the same snapshot, members and token for all members.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  snapshot:
    description: Snapshot file on the host.
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
    description: Token of the new cluster. It must differ from the token of the old cluster.
    type: str
    required: true
  data_dir:
    description: Data directory of the member.
    type: path
    default: /var/lib/etcd
  user:
    description: User and group that own the data.
    type: str
    default: etcd
"""

EXAMPLES = r"""
- name: Restore the member
  etcd_appliance.cluster.restore:
    snapshot: /var/backups/etcd/to-restore.snapshot
    name: etcd1
    members: {etcd1: https://10.0.0.11:2380}
    token: prod-again
"""

RETURN = r"""
moved_to:
  description: Directory with the old data. Empty if there was no data.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM_SPEC, run_admin
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
            **PROGRAM_SPEC,
        },
        supports_check_mode=True,
    )
    params = module.params
    data_dir, user = params["data_dir"], params["user"]
    if module.check_mode:
        module.exit_json(changed=True, moved_to="")
    moved_to = move_data(data_dir, "restore")
    initial_cluster = ",".join(f"{name}={url}" for name, url in params["members"].items())
    args = ["snapshot", "restore", params["snapshot"], "--name", params["name"], "--data-dir", data_dir]
    args += ["--initial-cluster", initial_cluster, "--initial-cluster-token", params["token"]]
    run_admin(module, args)
    module.run_command(["chown", "-R", f"{user}:{user}", data_dir], check_rc=True)
    module.exit_json(changed=True, moved_to=moved_to)


if __name__ == "__main__":
    main()
