# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Asks for a certificate where its key stays."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_request
short_description: Makes a key that stays on its host, and a request for a certificate, when it is time
description:
  - Changes nothing while the certificate that is in use has more than a third of its life left and bears the right names.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  directory:
    description: Directory of the host's certificates.
    type: path
    required: true
  profile:
    description: What the certificate is for.
    type: str
    choices: [server, peer, client, admin, metrics]
    required: true
  names:
    description: Hosts and addresses by which its bearer is reached.
    type: list
    elements: str
    default: []
  common_name:
    description: Common name; else the first of the names.
    type: str
  key:
    description: Kind of the key.
    type: str
    default: p256
  force:
    description: Asks for a new one although there is no need.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Ask for the server's certificate
  etcd_appliance.cluster.certificate_request:
    directory: /etc/etcd/pki
    profile: server
    names: [etcd1, 10.0.0.11, 127.0.0.1]
  register: asked
"""

RETURN = r"""
request:
  description: The request, to be signed elsewhere; empty when none is needed, or in check mode.
  returned: always
  type: str
reason:
  description: Why one is needed.
  returned: always
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM, call, text_of

TIME, NOT_YET, NOBODY_KNOWS = 0, 1, 255


def reason_for(module, certificate):
    """Why a new certificate is needed; empty when none is."""
    if module.params["force"]:
        return "asked for"
    if not os.path.exists(certificate):
        return "there is none"
    _, code = call(module, ["cert", "needs-renewal", certificate], codes=(TIME, NOT_YET, NOBODY_KNOWS))
    if code != NOT_YET:
        return "it runs out"
    facts, _ = call(module, ["cert", "inspect", certificate])
    leaf = facts[0] if isinstance(facts, list) else facts
    if set(leaf.get("names", [])) != set(module.params["names"]):
        return "its names are others"
    return ""


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "profile": {"type": "str", "required": True, "choices": ["server", "peer", "client", "admin", "metrics"]},
            "names": {"type": "list", "elements": "str", "default": []},
            "common_name": {"type": "str"},
            "key": {"type": "str", "default": "p256", "no_log": False},
            "force": {"type": "bool", "default": False},
            **PROGRAM,
        },
        supports_check_mode=True,
    )
    params = module.params
    reason = reason_for(module, os.path.join(params["directory"], "current", params["profile"] + ".crt"))
    if not reason or module.check_mode:
        module.exit_json(changed=bool(reason), request="", reason=reason)
    words = ["cert", "request", "--replace", "--dir", params["directory"], "--key", params["key"]]
    if params["common_name"]:
        words += ["--cn", params["common_name"]]
    made, _ = call(module, [*words, params["profile"], *params["names"]])
    module.exit_json(changed=True, request=text_of(made["request"]), reason=reason)


if __name__ == "__main__":
    main()
