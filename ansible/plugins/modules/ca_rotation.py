# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Takes one step of a CA rotation."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ca_rotation
short_description: Take one step of a CA rotation, if it is due
description:
  - The steps are V(start), V(switch) and V(finish), in this order.
  - A completed step is not repeated, so that an interrupted play resumes.
  - Run the module on the machine with the CA keys.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.ca
  - etcd_appliance.cluster.program
options:
  kind:
    description: CA to replace.
    type: str
    choices: [client, peer]
    required: true
  step:
    description:
      - V(start) creates the next CA and a bundle with both CAs.
      - V(switch) issues certificates from the next CA.
      - V(finish) removes the old CA.
    type: str
    choices: [start, switch, finish]
    required: true
"""

EXAMPLES = r"""
- name: Create the next peer CA
  etcd_appliance.cluster.ca_rotation:
    directory: ~/.etcd-admin/prod
    kind: peer
    step: start
  delegate_to: localhost
"""

RETURN = r"""
phase:
  description: Phase of the rotation before the step.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import (
    CA_SPEC,
    PROGRAM_SPEC,
    passphrase_args,
    run_admin,
)

# The phase in which a step is due.
DUE_PHASES = {"start": "none", "switch": "trust-both", "finish": "reissue"}


def main():
    module = AnsibleModule(
        argument_spec={
            **CA_SPEC,
            "kind": {"type": "str", "required": True, "choices": ["client", "peer"]},
            "step": {"type": "str", "required": True, "choices": list(DUE_PHASES)},
            **PROGRAM_SPEC,
        },
        supports_check_mode=True,
    )
    step = module.params["step"]
    args = ["--ca-dir", module.params["directory"], "ca", "rotate", "--kind", module.params["kind"]]
    status, _ = run_admin(module, [*args, "status"])
    due = status["phase"] == DUE_PHASES[step]
    if due and not module.check_mode:
        passphrase = passphrase_args(module)
        if step == "start":
            passphrase = passphrase or ["--no-passphrase"]
        run_admin(module, [*args, *passphrase, step])
    module.exit_json(changed=due, phase=status["phase"])


if __name__ == "__main__":
    main()
