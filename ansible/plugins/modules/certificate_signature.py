# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Signs a request."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_signature
short_description: Signs a request for a certificate, on the machine that keeps the authorities
description:
  - Signs only the names that are listed, whatever the request asks for.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.ca
  - etcd_appliance.cluster.program
options:
  request:
    description: The request; nothing is done when it is empty.
    type: str
    required: true
  profile:
    description: What the certificate is for.
    type: str
    choices: [server, peer, client, admin, metrics]
    required: true
  names:
    description: Names that the request may ask for.
    type: list
    elements: str
    default: []
  common_name:
    description: The common name that it has to have.
    type: str
  days:
    description: Days that the certificate lives.
    type: int
    default: 365
"""

EXAMPLES = r"""
- name: Sign what the host asks for
  etcd_appliance.cluster.certificate_signature:
    directory: ~/.etcd-admin/prod
    request: "{{ asked.request }}"
    profile: server
    names: [etcd1, 10.0.0.11, 127.0.0.1]
  delegate_to: localhost
"""

RETURN = r"""
certificate:
  description: The certificate; empty without a request.
  returned: always
  type: str
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import CA_SPEC, PROGRAM, call, text_of


def main():
    module = AnsibleModule(
        argument_spec={
            **CA_SPEC,
            "request": {"type": "str", "required": True},
            "profile": {"type": "str", "required": True, "choices": ["server", "peer", "client", "admin", "metrics"]},
            "names": {"type": "list", "elements": "str", "default": []},
            "common_name": {"type": "str"},
            "days": {"type": "int", "default": 365},
            **PROGRAM,
        },
        supports_check_mode=True,
    )
    params = module.params
    if not params["request"] or module.check_mode:
        module.exit_json(changed=bool(params["request"]), certificate="")
    with tempfile.TemporaryDirectory(dir=module.tmpdir) as directory:
        asked, signed = os.path.join(directory, "request"), os.path.join(directory, "certificate")
        with open(asked, "w", encoding="utf-8") as file:
            file.write(params["request"])
        words = ["--ca-dir", params["directory"], "cert", "sign", "--profile", params["profile"], "--days", str(params["days"]), "--out", signed]
        for name in params["names"]:
            words += ["--san", name]
        if params["common_name"]:
            words += ["--cn", params["common_name"]]
        if params["passphrase_file"]:
            words += ["--passphrase-file", params["passphrase_file"]]
        call(module, [*words, asked])
        module.exit_json(changed=True, certificate=text_of(signed))


if __name__ == "__main__":
    main()
