# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Returns the status of a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Return the status of a cluster
description:
  - Runs C(etcd-admin status).
  - Run the module on a member. The configuration of the member contains the addresses of the others.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
"""

EXAMPLES = r"""
- name: Wait until the cluster is healthy
  etcd_appliance.cluster.cluster_info:
  register: cluster
  until: cluster.status.healthy
  retries: 60
"""

RETURN = r"""
reached:
  description: Whether any member responded, with or without a leader.
  returned: always
  type: bool
serves:
  description: Whether the cluster has a leader with a quorum, and serves reads and writes.
  returned: always
  type: bool
status:
  description: Output of C(etcd-admin status).
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM_SPEC, run_admin

# Exit statuses of etcd-admin status.
OK, FAILED, UNHEALTHY, UNREACHABLE, TIMEOUT = 0, 1, 3, 4, 8


def main():
    module = AnsibleModule(argument_spec=PROGRAM_SPEC, supports_check_mode=True)
    status, _ = run_admin(module, ["status"], statuses=(OK, FAILED, UNHEALTHY, UNREACHABLE, TIMEOUT))
    reached = bool(status.get("members"))
    if not reached:
        status = {"healthy": False, "confirmed": False, "members": [], "leader": None}
    module.exit_json(changed=False, reached=reached, serves=bool(status.get("confirmed")), status=status)


if __name__ == "__main__":
    main()
