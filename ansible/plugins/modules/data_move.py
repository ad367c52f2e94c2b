# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Moves data aside."""

from __future__ import annotations

DOCUMENTATION = r"""
module: data_move
short_description: Moves the data of a member aside that does not run, so that it can begin again with none
author:
  - The authors of the etcd appliance
options:
  data_dir:
    description: The member's data directory, which stays, empty.
    type: path
    required: true
  reason:
    description: A word that becomes part of the new name.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Move its old data aside
  etcd_appliance.cluster.data_move:
    data_dir: /var/lib/etcd
    reason: recovery
"""

RETURN = r"""
moved_to:
  description: Where the data are; empty when there were none.
  returned: not in check mode
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.data_dir import move_data


def main():
    module = AnsibleModule(
        argument_spec={"data_dir": {"type": "path", "required": True}, "reason": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    data_dir = module.params["data_dir"]
    if module.check_mode:
        module.exit_json(changed=os.path.isdir(data_dir) and bool(os.listdir(data_dir)))
    moved_to = move_data(data_dir, module.params["reason"])
    module.exit_json(changed=bool(moved_to), moved_to=moved_to)


if __name__ == "__main__":
    main()
