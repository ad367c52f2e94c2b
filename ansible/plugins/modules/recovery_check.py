# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Compares a running cluster with its recovery plan."""

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_check
short_description: Fail if the running cluster differs from the recovered data
description:
  - Runs C(etcd-admin recover verify).
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  plan:
    description: Plan file of the recovery.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Verify the recovered cluster
  etcd_appliance.cluster.recovery_check:
    plan: /var/lib/etcd.recovery/plan.json
"""

RETURN = r"""
report:
  description: Output of C(etcd-admin recover verify).
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM_SPEC, run_admin

# Exit statuses of etcd-admin recover verify.
OK, NOT_OK = 0, 3


def main():
    module = AnsibleModule(
        argument_spec={"plan": {"type": "path", "required": True}, **PROGRAM_SPEC},
        supports_check_mode=True,
    )
    report, status = run_admin(module, ["recover", "verify", module.params["plan"]], statuses=(OK, NOT_OK))
    if status == NOT_OK:
        findings = "; ".join(report["findings"])
        module.fail_json(msg=f"the cluster differs from the recovered data: {findings}", report=report)
    module.exit_json(changed=False, report=report)


if __name__ == "__main__":
    main()
