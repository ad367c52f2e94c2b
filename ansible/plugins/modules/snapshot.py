# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Saves a snapshot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot
short_description: Save a verified snapshot of the cluster and its manifest
description:
  - Runs C(etcd-admin snapshot save). Every run saves another snapshot.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  directory:
    description: Directory on the host for the snapshot.
    type: path
    default: /var/backups/etcd
"""

EXAMPLES = r"""
- name: Save a snapshot
  etcd_appliance.cluster.snapshot:
"""

RETURN = r"""
snapshot:
  description: Output of C(etcd-admin snapshot save).
  returned: not in check mode
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM_SPEC, run_admin


def main():
    module = AnsibleModule(
        argument_spec={"directory": {"type": "path", "default": "/var/backups/etcd"}, **PROGRAM_SPEC},
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True)
    report, _ = run_admin(module, ["snapshot", "save", "--dir", module.params["directory"]])
    module.exit_json(changed=True, snapshot=report)


if __name__ == "__main__":
    main()
