# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Installs certificates, CA bundles and CRLs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificates
short_description: Install certificates, CA bundles and CRLs in one step
description:
  - Members load the new files without a restart.
  - Files that are already installed are not a change.
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
    description: Certificates for requests that were created on this host. Empty ones are skipped.
    type: list
    elements: str
    default: []
  client_ca:
    description: Bundle of the client CA.
    type: str
  peer_ca:
    description: Bundle of the peer CA.
    type: str
  client_crl:
    description: CRL of the client CA.
    type: str
  peer_crl:
    description: CRL of the peer CA.
    type: str
"""

EXAMPLES = r"""
- name: Install the certificate and the CA bundles
  etcd_appliance.cluster.certificates:
    directory: /etc/etcd/pki
    signed: ["{{ signature.certificate }}"]
    client_ca: "{{ ca.client_ca }}"
    peer_ca: "{{ ca.peer_ca }}"
"""

RETURN = r"""
files:
  description: Files that were installed, or that check mode would install.
  returned: always
  type: list
  elements: str
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM_SPEC, read_text, run_admin

# Files that are the same on all members, by option.
SHARED_FILES = {
    "client_ca": "client-ca.crt",
    "peer_ca": "peer-ca.crt",
    "client_crl": "client-crl.pem",
    "peer_crl": "peer-crl.pem",
}


def write_file(directory, name, text):
    """Writes a text with a final line feed and returns the path of the file."""
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.strip() + "\n")
    return path


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "signed": {"type": "list", "elements": "str", "default": []},
            **{name: {"type": "str"} for name in SHARED_FILES},
            **PROGRAM_SPEC,
        },
        supports_check_mode=True,
    )
    directory = module.params["directory"]
    signed = [text for text in module.params["signed"] if text]
    changed = {}
    for name, file in SHARED_FILES.items():
        wanted, found = module.params[name], read_text(os.path.join(directory, "current", file))
        if wanted and wanted.strip() != (found or "").strip():
            changed[name] = wanted
    files = [SHARED_FILES[name] for name in changed] + ["a certificate"] * len(signed)
    if not files or module.check_mode:
        module.exit_json(changed=bool(files), files=files)
    with tempfile.TemporaryDirectory(dir=module.tmpdir) as temporary:
        args = ["cert", "install", "--dir", directory]
        for number, text in enumerate(signed):
            args += ["--cert", write_file(temporary, f"certificate{number}", text)]
        for name, text in changed.items():
            args += ["--" + name.replace("_", "-"), write_file(temporary, name, text)]
        report, _ = run_admin(module, args)
    module.exit_json(changed=True, files=report.get("changed", files))


if __name__ == "__main__":
    main()
