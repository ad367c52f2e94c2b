# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Asks whether a member may be stopped."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ok_to_stop
short_description: Fails unless the other members keep the quorum when this one stops
description:
  - The others have to prove, with fresh acknowledgements, that they follow the leader.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  members:
    description: Names of the members that are to be stopped.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: See whether the others can go on without it
  etcd_appliance.cluster.ok_to_stop:
    members: [etcd1]
"""

RETURN = r"""
report:
  description: What etcd-admin member ok-to-stop tells.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM, call

OK, NOT_NOW = 0, 3


def main():
    module = AnsibleModule(
        argument_spec={"members": {"type": "list", "elements": "str", "required": True}, **PROGRAM},
        supports_check_mode=True,
    )
    report, code = call(module, ["member", "ok-to-stop", *module.params["members"]], codes=(OK, NOT_NOW))
    if code == NOT_NOW:
        module.fail_json(msg=f"must not be stopped now: {report.get('reason')}", report=report)
    module.exit_json(changed=False, report=report)


if __name__ == "__main__":
    main()
