# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Moves the data of a stopped member to a new directory."""

from __future__ import annotations

DOCUMENTATION = r"""
module: data_move
short_description: Move the data of a stopped member to a new directory
description:
  - Leaves the data directory empty, so that the member can start without data.
  - The new directory is beside the data directory. Its name contains the O(reason) and the time.
author:
  - The authors of the etcd appliance
options:
  data_dir:
    description: Data directory of the member. The directory itself is kept.
    type: path
    required: true
  reason:
    description: Word for the name of the new directory.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Move the old data to a new directory
  etcd_appliance.cluster.data_move:
    data_dir: /var/lib/etcd
    reason: recovery
"""

RETURN = r"""
moved_to:
  description: Directory with the moved data. Empty if there was no data.
  returned: not in check mode
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.data_dir import move_data


def main():
    module = AnsibleModule(
        argument_spec={
            "data_dir": {"type": "path", "required": True},
            "reason": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    data_dir = module.params["data_dir"]
    if module.check_mode:
        module.exit_json(changed=os.path.isdir(data_dir) and bool(os.listdir(data_dir)))
    moved_to = move_data(data_dir, module.params["reason"])
    module.exit_json(changed=bool(moved_to), moved_to=moved_to)


if __name__ == "__main__":
    main()
