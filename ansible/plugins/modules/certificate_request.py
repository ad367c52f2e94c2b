# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Creates a key and a certificate request on the host that uses the key."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_request
short_description: Create a key and a certificate request, if a certificate is due
description:
  - The key does not leave the host.
  - A certificate is due if it is missing or its names differ from O(names).
  - A certificate is also due when less than a third of its validity is left.
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
    description: Purpose of the certificate.
    type: str
    choices: [server, peer, client, admin, metrics]
    required: true
  names:
    description: Host names and addresses that the certificate is valid for.
    type: list
    elements: str
    default: []
  common_name:
    description: Common name. Defaults to the first of the O(names).
    type: str
  key:
    description: Key algorithm.
    type: str
    default: p256
  force:
    description: Create a request although no certificate is due.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Request a server certificate
  etcd_appliance.cluster.certificate_request:
    directory: /etc/etcd/pki
    profile: server
    names: [etcd1, 10.0.0.11, 127.0.0.1]
  register: request
"""

RETURN = r"""
request:
  description: Certificate request in PEM format. Empty if no certificate is due, or in check mode.
  returned: always
  type: str
reason:
  description: Reason why a certificate is due. Empty if none is due.
  returned: always
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM_SPEC, read_text, run_admin

# Exit statuses of etcd-admin cert needs-renewal.
DUE, NOT_DUE, UNKNOWN = 0, 1, 255


def due_reason(module, certificate):
    """Returns the reason why a certificate is due; empty if none is due."""
    if module.params["force"]:
        return "a new certificate is forced"
    if not os.path.exists(certificate):
        return "the certificate does not exist"
    _, status = run_admin(module, ["cert", "needs-renewal", certificate], statuses=(DUE, NOT_DUE, UNKNOWN))
    if status != NOT_DUE:
        return "the certificate expires"
    certificates, _ = run_admin(module, ["cert", "inspect", certificate])
    leaf = certificates[0] if isinstance(certificates, list) else certificates
    if set(leaf.get("names", [])) != set(module.params["names"]):
        return "the names differ"
    return ""


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "profile": {
                "type": "str",
                "required": True,
                "choices": ["server", "peer", "client", "admin", "metrics"],
            },
            "names": {"type": "list", "elements": "str", "default": []},
            "common_name": {"type": "str"},
            "key": {"type": "str", "default": "p256", "no_log": False},
            "force": {"type": "bool", "default": False},
            **PROGRAM_SPEC,
        },
        supports_check_mode=True,
    )
    params = module.params
    reason = due_reason(module, os.path.join(params["directory"], "current", params["profile"] + ".crt"))
    if not reason or module.check_mode:
        module.exit_json(changed=bool(reason), request="", reason=reason)
    args = ["cert", "request", "--replace", "--dir", params["directory"], "--key", params["key"]]
    if params["common_name"]:
        args += ["--cn", params["common_name"]]
    created, _ = run_admin(module, [*args, params["profile"], *params["names"]])
    module.exit_json(changed=True, request=read_text(created["request"]), reason=reason)


if __name__ == "__main__":
    main()
