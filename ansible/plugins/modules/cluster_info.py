# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Tells how a cluster stands."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Tells how a cluster stands, as etcd-admin status does
description:
  - Run it on a member, whose own settings tell how to reach the others.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
"""

EXAMPLES = r"""
- name: See how the cluster stands
  etcd_appliance.cluster.cluster_info:
  register: cluster
  until: cluster.status.healthy
  retries: 60
"""

RETURN = r"""
reached:
  description: Whether any member answered, with or without a leader.
  returned: always
  type: bool
serves:
  description: Whether a leader has a quorum, so that the cluster can be read and changed.
  returned: always
  type: bool
status:
  description: What etcd-admin status tells.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM, call

OK, UNHEALTHY, UNREACHABLE, TIMEOUT = 0, 3, 4, 8


def main():
    module = AnsibleModule(argument_spec=PROGRAM, supports_check_mode=True)
    status, _ = call(module, ["status"], codes=(OK, 1, UNHEALTHY, UNREACHABLE, TIMEOUT))
    reached = bool(status.get("members"))
    if not reached:
        status = {"healthy": False, "confirmed": False, "members": [], "leader": None}
    module.exit_json(changed=False, reached=reached, serves=bool(status.get("confirmed")), status=status)


if __name__ == "__main__":
    main()
