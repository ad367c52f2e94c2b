# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Checks that members can be stopped without loss of quorum."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ok_to_stop
short_description: Fail if the cluster would lose its quorum without the given members
description:
  - Runs C(etcd-admin member ok-to-stop).
  - The remaining members must have acknowledged the leader recently.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  members:
    description: Names of the members to stop.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Check that the other members keep a quorum
  etcd_appliance.cluster.ok_to_stop:
    members: [etcd1]
"""

RETURN = r"""
report:
  description: Output of C(etcd-admin member ok-to-stop).
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM_SPEC, run_admin

# Exit statuses of etcd-admin member ok-to-stop.
OK, NOT_OK = 0, 3


def main():
    module = AnsibleModule(
        argument_spec={"members": {"type": "list", "elements": "str", "required": True}, **PROGRAM_SPEC},
        supports_check_mode=True,
    )
    args = ["member", "ok-to-stop", *module.params["members"]]
    report, status = run_admin(module, args, statuses=(OK, NOT_OK))
    if status == NOT_OK:
        module.fail_json(msg=f"must not be stopped now: {report.get('reason')}", report=report)
    module.exit_json(changed=False, report=report)


if __name__ == "__main__":
    main()
