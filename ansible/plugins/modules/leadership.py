# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Transfers leadership."""

from __future__ import annotations

DOCUMENTATION = r"""
module: leadership
short_description: Transfer leadership away from a member
description:
  - Nothing is changed if the member is not the leader.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  away_from:
    description: Name of the member that must not be the leader.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Transfer leadership to another member
  etcd_appliance.cluster.leadership:
    away_from: etcd1
"""

RETURN = r"""
leader:
  description: Name of the leader before the transfer.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM_SPEC, run_admin


def main():
    module = AnsibleModule(
        argument_spec={"away_from": {"type": "str", "required": True}, **PROGRAM_SPEC},
        supports_check_mode=True,
    )
    leader, _ = run_admin(module, ["leader", "show"])
    is_leader = leader.get("name") == module.params["away_from"]
    if is_leader and not module.check_mode:
        run_admin(module, ["leader", "move"])
    module.exit_json(changed=is_leader, leader=leader.get("name"))


if __name__ == "__main__":
    main()
