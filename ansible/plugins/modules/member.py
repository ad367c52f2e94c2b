# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Adds and removes members."""

from __future__ import annotations

DOCUMENTATION = r"""
module: member
short_description: Adds a member to a cluster, or removes one
description:
  - An added member is a learner until it has caught up; starting it is somebody else's work.
  - A member is removed only if the others keep the quorum.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  name:
    description: Name of the member.
    type: str
    required: true
  peer_url:
    description: Where other members reach it; needed to add it.
    type: str
  state:
    description: What it shall be. V(voter) waits until a learner has caught up.
    type: str
    choices: [learner, voter, absent]
    default: voter
"""

EXAMPLES = r"""
- name: Make it a learner
  etcd_appliance.cluster.member:
    name: etcd4
    peer_url: https://10.0.0.14:2380
    state: learner
  delegate_to: etcd1
"""

RETURN = r"""
members:
  description: The members before.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM, call


def change_of(params, members):
    """The command that makes the member what it shall be; None when it is that already."""
    # A member that has not started has no name yet, but its address.
    found = [member for member in members if member["name"] == params["name"] or params["peer_url"] in member["peer_urls"]]
    if params["state"] == "absent":
        return ["member", "remove", "--yes", found[0]["id"]] if found else None
    if not found:
        return ["member", "add", "--no-wait", "--peer-urls", params["peer_url"], params["name"]]
    if params["state"] == "voter" and found[0]["role"] == "learner":
        return ["member", "promote", params["name"]]
    return None


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "peer_url": {"type": "str"},
            "state": {"type": "str", "choices": ["learner", "voter", "absent"], "default": "voter"},
            **PROGRAM,
        },
        supports_check_mode=True,
    )
    members, _ = call(module, ["member", "list"], codes=(0, 3))
    command = change_of(module.params, members)
    if command and "add" in command and not module.params["peer_url"]:
        module.fail_json(msg="peer_url is needed to add a member")
    if command and not module.check_mode:
        call(module, command)
    module.exit_json(changed=bool(command), members=members)


if __name__ == "__main__":
    main()
