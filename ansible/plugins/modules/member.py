# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Adds, promotes and removes members."""

from __future__ import annotations

DOCUMENTATION = r"""
module: member
short_description: Add, promote or remove a member of a cluster
description:
  - A new member is a learner until it has caught up. The module does not start it.
  - A member is removed only if the remaining members keep a quorum.
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
    description: Peer URL of the member. Required to add it.
    type: str
  state:
    description: State of the member. V(voter) promotes a learner when it has caught up.
    type: str
    choices: [learner, voter, absent]
    default: voter
"""

EXAMPLES = r"""
- name: Add a learner
  etcd_appliance.cluster.member:
    name: etcd4
    peer_url: https://10.0.0.14:2380
    state: learner
  delegate_to: etcd1
"""

RETURN = r"""
members:
  description: Members before the change.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM_SPEC, run_admin

# Exit statuses of etcd-admin member list.
OK, UNHEALTHY = 0, 3


def command_for(params, members):
    """Returns the command that changes the member to the wanted state; None if it is in that state."""
    # A member that has not started yet has a peer URL and no name.
    found = [
        member for member in members if member["name"] == params["name"] or params["peer_url"] in member["peer_urls"]
    ]
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
            **PROGRAM_SPEC,
        },
        supports_check_mode=True,
    )
    members, _ = run_admin(module, ["member", "list"], statuses=(OK, UNHEALTHY))
    command = command_for(module.params, members)
    if command and "add" in command and not module.params["peer_url"]:
        module.fail_json(msg="peer_url is required to add a member")
    if command and not module.check_mode:
        run_admin(module, command)
    module.exit_json(changed=bool(command), members=members)


if __name__ == "__main__":
    main()
