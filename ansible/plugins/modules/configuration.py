# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Writes the configuration of a member."""

from __future__ import annotations

DOCUMENTATION = r"""
module: configuration
short_description: Write the configuration of a member
description:
  - Runs C(etcd-admin init apply).
  - Writes the configuration file, directories and the schedule of snapshots. Nothing is restarted.
  - A configuration that the daemon would refuse does not replace the existing one.
  - The old version of a replaced file is kept beside it.
  - The initial members of a host with data are not changed.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.cluster_config
  - etcd_appliance.cluster.program
"""

EXAMPLES = r"""
- name: Write the configuration
  etcd_appliance.cluster.configuration:
    cluster_config: "{{ etcd_cluster_config }}"
    member: "{{ etcd_member.name }}"
"""

RETURN = r"""
files:
  description: Files that were written, or that check mode would write.
  returned: always
  type: list
  elements: str
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
    module = AnsibleModule(argument_spec={**CLUSTER_CONFIG_SPEC, **PROGRAM_SPEC}, supports_check_mode=True)
    with cluster_config_args(module) as args:
        report, _ = run_admin(module, ["init", "apply", *args])
    files = [change["path"] for change in report["diff"]]
    if not report["ready"] and not module.check_mode:
        module.fail_json(msg="the member cannot start yet: " + "; ".join(report["next"]), files=files)
    module.exit_json(changed=report["changed"], files=files, diff=ansible_diff(report["diff"]))


if __name__ == "__main__":
    main()
