# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Checks a snapshot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot_check
short_description: Fails unless a snapshot is whole, as etcd-admin snapshot verify tells
description:
  - With O(drill) a member is started from it in a throw-away place.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  path:
    description: The snapshot.
    type: path
    required: true
  drill:
    description: Restores it somewhere, starts a member there and compares hashes.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Prove that it can be restored
  etcd_appliance.cluster.snapshot_check:
    path: /var/backups/etcd/snapshot
    drill: true
"""

RETURN = r"""
answer:
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
            "drill": {"type": "bool", "default": False},
            **PROGRAM,
        },
        supports_check_mode=True,
    )
    answer, _ = call(module, ["snapshot", "verify", *(["--drill"] if module.params["drill"] else []), module.params["path"]])
    module.exit_json(changed=False, answer=answer)


if __name__ == "__main__":
    main()
