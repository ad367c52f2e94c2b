# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Inspects the data of a stopped member."""

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_info
short_description: Inspect the data of a stopped member
description:
  - Runs C(etcd-admin recover inspect).
  - Of several survivors, the one with the greatest RV(rank) has the most recent data.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  data_dir:
    description: Data directory of the member.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Inspect the surviving data
  etcd_appliance.cluster.recovery_info:
    data_dir: /var/lib/etcd
  register: survivor
"""

RETURN = r"""
usable:
  description: Whether a cluster can be recovered from the data.
  returned: always
  type: bool
rank:
  description: Term and index of the last entry, as text that can be compared. Empty if not usable.
  returned: always
  type: str
report:
  description: Output of C(etcd-admin recover inspect).
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM_SPEC, run_admin

# Exit statuses of etcd-admin recover inspect.
OK, DAMAGED = 0, 7


def main():
    module = AnsibleModule(
        argument_spec={"data_dir": {"type": "path", "required": True}, **PROGRAM_SPEC},
        supports_check_mode=True,
    )
    report, _ = run_admin(module, ["recover", "inspect", module.params["data_dir"]], statuses=(OK, DAMAGED))
    survivors = report["survivors"]
    rank = f"{survivors[0]['last_term']:020d}-{survivors[0]['last_index']:020d}" if survivors else ""
    module.exit_json(changed=False, usable=bool(survivors), rank=rank, report=report)


if __name__ == "__main__":
    main()
