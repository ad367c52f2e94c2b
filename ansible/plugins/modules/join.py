# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Adds a host to a running cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: join
short_description: Add this host to a running cluster
description:
  - Runs C(etcd-admin join).
  - Without O(wait) it adds the member as a learner and writes its configuration. Start it then.
  - With O(wait) it waits until the started member has caught up, and promotes it to voter.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.cluster_config
  - etcd_appliance.cluster.program
options:
  wait:
    description: Time to wait until the member is a voter, such as V(10m). Without it, do not wait.
    type: str
"""

EXAMPLES = r"""
- name: Add the member as a learner
  etcd_appliance.cluster.join:
    cluster_config: "{{ etcd_cluster_config }}"
    member: "{{ etcd_member.name }}"

- name: Promote the member when it has caught up
  etcd_appliance.cluster.join:
    cluster_config: "{{ etcd_cluster_config }}"
    member: "{{ etcd_member.name }}"
    wait: 10m
"""

RETURN = r"""
steps:
  description: Changes that were made to the cluster, or that check mode would make.
  returned: always
  type: list
  elements: str
voter:
  description: Whether the member is a voter.
  returned: always
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import (
    CLUSTER_CONFIG_SPEC,
    PROGRAM_SPEC,
    ansible_diff,
    cluster_config_args,
    run_admin,
)


def main():
    module = AnsibleModule(
        argument_spec={**CLUSTER_CONFIG_SPEC, "wait": {"type": "str"}, **PROGRAM_SPEC},
        supports_check_mode=True,
    )
    wait = module.params["wait"]
    with cluster_config_args(module) as args:
        report, _ = run_admin(module, ["join", *args, *(["--wait", wait] if wait else ["--no-wait"])])
    if not report["ready"] and not module.check_mode:
        module.fail_json(msg="the member cannot join yet: " + "; ".join(report["next"]))
    steps = report["steps"]
    if not wait and not module.check_mode:
        # Without waiting, etcd-admin reports the promotion ("promote NAME ...") and does not do it.
        steps = [step for step in steps if not step.startswith("promote ")]
    module.exit_json(
        changed=bool(steps or report["diff"]),
        steps=steps,
        voter=report["votes"],
        diff=ansible_diff(report["diff"]),
    )


if __name__ == "__main__":
    main()
