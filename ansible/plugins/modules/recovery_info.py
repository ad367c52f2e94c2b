# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Tells what the data of a stopped member holds."""

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_info
short_description: Tells what the data of a member that does not run hold, as etcd-admin recover inspect does
description:
  - Of several survivors the one with the greatest rank knows most.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  data_dir:
    description: The member's data directory.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: See what survived
  etcd_appliance.cluster.recovery_info:
    data_dir: /var/lib/etcd
  register: survived
"""

RETURN = r"""
usable:
  description: Whether a cluster can go on from it.
  returned: always
  type: bool
rank:
  description: Compares survivors, as text; empty when it is not usable.
  returned: always
  type: str
report:
  description: What etcd-admin recover inspect tells.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM, call

OK, DAMAGED = 0, 7


def main():
    module = AnsibleModule(argument_spec={"data_dir": {"type": "path", "required": True}, **PROGRAM}, supports_check_mode=True)
    report, _ = call(module, ["recover", "inspect", module.params["data_dir"]], codes=(OK, DAMAGED))
    found = report["survivors"]
    rank = f"{found[0]['last_term']:020d}-{found[0]['last_index']:020d}" if found else ""
    module.exit_json(changed=False, usable=bool(found), rank=rank, report=report)


if __name__ == "__main__":
    main()
