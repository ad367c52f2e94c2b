# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Writes a member's configuration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: configuration
short_description: Writes the configuration of a member, its directories and its times of snapshots, as etcd-admin init apply does
description:
  - What the daemon would refuse is refused, and what is there stays. What is replaced is kept beside it.
  - Who founded the cluster stays what it was on a host that has data. Nothing is restarted.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.cluster_config
  - etcd_appliance.cluster.program
"""

EXAMPLES = r"""
- name: Write its configuration
  etcd_appliance.cluster.configuration:
    cluster_config: "{{ etcd_cluster_config }}"
    member: "{{ etcd_member.name }}"
"""

RETURN = r"""
files:
  description: What was, or would be, written.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import CLUSTER_CONFIG_SPEC, PROGRAM, call, diff_of, cluster_config_args


def main():
    module = AnsibleModule(argument_spec={**CLUSTER_CONFIG_SPEC, **PROGRAM}, supports_check_mode=True)
    with cluster_config_args(module) as words:
        report, _ = call(module, ["init", "apply", *words])
    files = [change["path"] for change in report["diff"]]
    if not report["ready"] and not module.check_mode:
        module.fail_json(msg="the member cannot start yet: " + "; ".join(report["next"]), files=files)
    module.exit_json(changed=report["changed"], files=files, diff=diff_of(report["diff"]))


if __name__ == "__main__":
    main()
