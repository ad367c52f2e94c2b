# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Hands leadership over."""

from __future__ import annotations

DOCUMENTATION = r"""
module: leadership
short_description: Hands leadership away from a member, if it has it
description:
  - Changes nothing when another member leads.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  away_from:
    description: Name of the member that shall not lead.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Let another member lead
  etcd_appliance.cluster.leadership:
    away_from: etcd1
"""

RETURN = r"""
leader:
  description: Who led before.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM, call


def main():
    module = AnsibleModule(
        argument_spec={"away_from": {"type": "str", "required": True}, **PROGRAM},
        supports_check_mode=True,
    )
    leader, _ = call(module, ["leader", "show"])
    leads = leader.get("name") == module.params["away_from"]
    if leads and not module.check_mode:
        call(module, ["leader", "move"])
    module.exit_json(changed=leads, leader=leader.get("name"))


if __name__ == "__main__":
    main()
