# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Signs a certificate request."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_signature
short_description: Sign a certificate request
description:
  - The certificate is valid for the O(names) at most, even if the request contains others.
  - Run the module on the machine with the CA keys.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.ca
  - etcd_appliance.cluster.program
options:
  request:
    description: Certificate request in PEM format. If it is empty, nothing is done.
    type: str
    required: true
  profile:
    description: Purpose of the certificate.
    type: str
    choices: [server, peer, client, admin, metrics]
    required: true
  names:
    description: Host names and addresses that the request may contain.
    type: list
    elements: str
    default: []
  common_name:
    description: Common name that the request must have.
    type: str
  days:
    description: Validity of the certificate in days.
    type: int
    default: 365
"""

EXAMPLES = r"""
- name: Sign the request of the host
  etcd_appliance.cluster.certificate_signature:
    directory: ~/.etcd-admin/prod
    request: "{{ request.request }}"
    profile: server
    names: [etcd1, 10.0.0.11, 127.0.0.1]
  delegate_to: localhost
"""

RETURN = r"""
certificate:
  description: Certificate in PEM format. Empty without a request, or in check mode.
  returned: always
  type: str
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import (
    CA_SPEC,
    PROGRAM_SPEC,
    passphrase_args,
    read_text,
    run_admin,
)


def main():
    module = AnsibleModule(
        argument_spec={
            **CA_SPEC,
            "request": {"type": "str", "required": True},
            "profile": {
                "type": "str",
                "required": True,
                "choices": ["server", "peer", "client", "admin", "metrics"],
            },
            "names": {"type": "list", "elements": "str", "default": []},
            "common_name": {"type": "str"},
            "days": {"type": "int", "default": 365},
            **PROGRAM_SPEC,
        },
        supports_check_mode=True,
    )
    params = module.params
    if not params["request"] or module.check_mode:
        module.exit_json(changed=bool(params["request"]), certificate="")
    with tempfile.TemporaryDirectory(dir=module.tmpdir) as directory:
        request, certificate = os.path.join(directory, "request"), os.path.join(directory, "certificate")
        with open(request, "w", encoding="utf-8") as file:
            file.write(params["request"])
        args = ["--ca-dir", params["directory"], "cert", "sign", "--profile", params["profile"]]
        args += ["--days", str(params["days"]), "--out", certificate]
        for name in params["names"]:
            args += ["--san", name]
        if params["common_name"]:
            args += ["--cn", params["common_name"]]
        run_admin(module, [*args, *passphrase_args(module), request])
        module.exit_json(changed=True, certificate=read_text(certificate))


if __name__ == "__main__":
    main()
