# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Brings a host into a cluster that runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: join
short_description: Brings this host into a cluster that runs, as etcd-admin join does
description:
  - Without O(wait) it ends when the member is a learner, its configuration is written and it may be started.
  - With O(wait) it waits until the member, which has been started, has caught up and votes.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.cluster_config
  - etcd_appliance.cluster.program
options:
  wait:
    description: How long to wait until it votes, as C(10m); left out, it is not waited for.
    type: str
"""

EXAMPLES = r"""
- name: Make it a learner
  etcd_appliance.cluster.join:
    cluster_config: "{{ etcd_cluster_config }}"
    member: "{{ etcd_member.name }}"

- name: Let it vote as soon as it has caught up
  etcd_appliance.cluster.join:
    cluster_config: "{{ etcd_cluster_config }}"
    member: "{{ etcd_member.name }}"
    wait: 10m
"""

RETURN = r"""
steps:
  description: What was, or would be, done in the cluster.
  returned: always
  type: list
  elements: str
voter:
  description: Whether it is a member that votes.
  returned: always
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import CLUSTER_CONFIG_SPEC, PROGRAM, call, diff_of, cluster_config_args


def main():
    module = AnsibleModule(argument_spec={**CLUSTER_CONFIG_SPEC, "wait": {"type": "str"}, **PROGRAM}, supports_check_mode=True)
    wait = module.params["wait"]
    with cluster_config_args(module) as words:
        report, _ = call(module, ["join", *words, *(["--wait", wait] if wait else ["--no-wait"])])
    if not report["ready"] and not module.check_mode:
        module.fail_json(msg="the member cannot join yet: " + "; ".join(report["next"]))
    steps = report["steps"]
    if not wait and not module.check_mode:
        # The last step is left to who waits.
        steps = [step for step in steps if not step.startswith("let ")]
    module.exit_json(changed=bool(steps or report["diff"]), steps=steps, voter=report["votes"], diff=diff_of(report["diff"]))


if __name__ == "__main__":
    main()
