# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Puts certificates in place."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificates
short_description: Puts signed certificates, bundles and lists in place, all at once
description:
  - The daemon takes them up by itself. What is in place already is no change.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  directory:
    description: Directory of the host's certificates.
    type: path
    required: true
  signed:
    description: Certificates for requests that were made on this host; empty ones are left out.
    type: list
    elements: str
    default: []
  client_ca:
    description: The bundle that clients and servers trust.
    type: str
  peer_ca:
    description: The bundle that members trust among themselves.
    type: str
  client_crl:
    description: The list of what the authority of clients has revoked.
    type: str
  peer_crl:
    description: The list of what the authority of members has revoked.
    type: str
"""

EXAMPLES = r"""
- name: Put everything in place
  etcd_appliance.cluster.certificates:
    directory: /etc/etcd/pki
    signed: ["{{ signed.certificate }}"]
    client_ca: "{{ ca.client_ca }}"
    peer_ca: "{{ ca.peer_ca }}"
"""

RETURN = r"""
files:
  description: What was, or would be, put in place.
  returned: always
  type: list
  elements: str
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM, call, text_of

SHARED = {"client_ca": "client-ca.crt", "peer_ca": "peer-ca.crt", "client_crl": "client-crl.pem", "peer_crl": "peer-crl.pem"}


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "signed": {"type": "list", "elements": "str", "default": []},
            **{name: {"type": "str"} for name in SHARED},
            **PROGRAM,
        },
        supports_check_mode=True,
    )
    directory = module.params["directory"]
    signed = [text for text in module.params["signed"] if text]
    changed = {}
    for name, file in SHARED.items():
        wanted, found = module.params[name], text_of(os.path.join(directory, "current", file))
        if wanted and wanted.strip() != (found or "").strip():
            changed[name] = wanted
    files = [SHARED[name] for name in changed] + ["a certificate"] * len(signed)
    if not files or module.check_mode:
        module.exit_json(changed=bool(files), files=files)
    with tempfile.TemporaryDirectory(dir=module.tmpdir) as temporary:

        def written(name, text):
            path = os.path.join(temporary, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.strip() + "\n")
            return path

        words = ["cert", "install", "--dir", directory]
        for number, text in enumerate(signed):
            words += ["--cert", written(f"certificate{number}", text)]
        for name, text in changed.items():
            words += ["--" + name.replace("_", "-"), written(name, text)]
        report, _ = call(module, words)
    module.exit_json(changed=True, files=report.get("changed", files))


if __name__ == "__main__":
    main()
