# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Saves a snapshot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot
short_description: Saves a snapshot of the cluster on a host, checked and with its manifest
description:
  - Every run saves another one.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  directory:
    description: Directory for it, on the host.
    type: path
    default: /var/backups/etcd
"""

EXAMPLES = r"""
- name: Save a snapshot
  etcd_appliance.cluster.snapshot:
"""

RETURN = r"""
snapshot:
  description: What etcd-admin snapshot save tells.
  returned: not in check mode
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM, call


def main():
    module = AnsibleModule(
        argument_spec={"directory": {"type": "path", "default": "/var/backups/etcd"}, **PROGRAM},
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True)
    report, _ = call(module, ["snapshot", "save", "--dir", module.params["directory"]])
    module.exit_json(changed=True, snapshot=report)


if __name__ == "__main__":
    main()
