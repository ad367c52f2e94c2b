# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Exchanges an authority, a step at a time."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ca_rotation
short_description: Takes one step of the exchange of an authority, if it is its turn
description:
  - V(start) makes the next authority, V(switch) lets it issue, V(finish) drops the old one.
  - A step that has been taken is not taken again, so that a play that was interrupted goes on where it stopped.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.ca
  - etcd_appliance.cluster.program
options:
  kind:
    description: Which of the two.
    type: str
    choices: [client, peer]
    required: true
  step:
    description: What is to be done.
    type: str
    choices: [start, switch, finish]
    required: true
"""

EXAMPLES = r"""
- name: Begin
  etcd_appliance.cluster.ca_rotation:
    directory: ~/.etcd-admin/prod
    kind: peer
    step: start
  delegate_to: localhost
"""

RETURN = r"""
phase:
  description: How far the exchange was before.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import CA_SPEC, PROGRAM, call

TURN = {"start": "none", "switch": "trust-both", "finish": "reissue"}


def main():
    module = AnsibleModule(
        argument_spec={
            **CA_SPEC,
            "kind": {"type": "str", "required": True, "choices": ["client", "peer"]},
            "step": {"type": "str", "required": True, "choices": list(TURN)},
            **PROGRAM,
        },
        supports_check_mode=True,
    )
    params = module.params
    words = ["--ca-dir", params["directory"], "ca", "rotate", "--kind", params["kind"]]
    status, _ = call(module, [*words, "status"])
    due = status["phase"] == TURN[params["step"]]
    if due and not module.check_mode:
        protection = []
        if params["passphrase_file"]:
            protection = ["--passphrase-file", params["passphrase_file"]]
        elif params["step"] == "start":
            protection = ["--no-passphrase"]
        call(module, [*words, *protection, params["step"]])
    module.exit_json(changed=due, phase=status["phase"])


if __name__ == "__main__":
    main()
