# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Checks a snapshot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot_check
short_description: Fails unless a snapshot is whole, as etcd-admin snapshot verify tells
description:
  - With O(test_restore) a member is started from it in a throw-away place.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  path:
    description: The snapshot.
    type: path
    required: true
  test_restore:
    description: Restores it somewhere, starts a member there and compares hashes.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Prove that it can be restored
  etcd_appliance.cluster.snapshot_check:
    path: /var/backups/etcd/snapshot
    test_restore: true
"""

RETURN = r"""
report:
  description: What etcd-admin snapshot verify tells.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM, call


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "test_restore": {"type": "bool", "default": False},
            **PROGRAM,
        },
        supports_check_mode=True,
    )
    report, _ = call(module, ["snapshot", "verify", *(["--drill"] if module.params["test_restore"] else []), module.params["path"]])
    module.exit_json(changed=False, report=report)


if __name__ == "__main__":
    main()
