# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Verifies a snapshot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot_check
short_description: Fail if a snapshot is damaged or incomplete
description:
  - Runs C(etcd-admin snapshot verify).
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  path:
    description: Snapshot file.
    type: path
    required: true
  test_restore:
    description:
      - Restore the snapshot to a temporary directory, start a member and compare hashes.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Verify that the snapshot can be restored
  etcd_appliance.cluster.snapshot_check:
    path: /var/backups/etcd/snapshot
    test_restore: true
"""

RETURN = r"""
report:
  description: Output of C(etcd-admin snapshot verify).
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM_SPEC, run_admin


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "test_restore": {"type": "bool", "default": False},
            **PROGRAM_SPEC,
        },
        supports_check_mode=True,
    )
    test_restore = ["--test-restore"] if module.params["test_restore"] else []
    report, _ = run_admin(module, ["snapshot", "verify", *test_restore, module.params["path"]])
    module.exit_json(changed=False, report=report)


if __name__ == "__main__":
    main()
