# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Compares a cluster with what was recovered."""

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_check
short_description: Fails unless the cluster that runs is what was recovered, as etcd-admin recover verify tells
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  plan:
    description: The plan of the recovery.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: See that it is what was recovered
  etcd_appliance.cluster.recovery_check:
    plan: /var/lib/etcd.recovery/plan.json
"""

RETURN = r"""
report:
  description: What etcd-admin recover verify tells.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM, call

OK, NOT_OK = 0, 3


def main():
    module = AnsibleModule(argument_spec={"plan": {"type": "path", "required": True}, **PROGRAM}, supports_check_mode=True)
    report, code = call(module, ["recover", "verify", module.params["plan"]], codes=(OK, NOT_OK))
    if code == NOT_OK:
        module.fail_json(msg="not what was recovered: " + "; ".join(report["findings"]), report=report)
    module.exit_json(changed=False, report=report)


if __name__ == "__main__":
    main()
