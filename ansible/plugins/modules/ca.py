# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Creates the CAs of a cluster and publishes their CRLs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ca
short_description: Create the two CAs of a cluster and keep their CRLs valid
description:
  - Creates the client CA, which issues certificates for servers and clients.
  - Creates the peer CA, which issues certificates for connections between members.
  - An existing CA is not changed.
  - Publishes a CRL if it is missing, before it expires, and after a revocation.
  - Run the module on the machine with the CA keys.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.ca
  - etcd_appliance.cluster.program
options:
  name:
    description: Common name of new CAs. The kind of the CA is appended.
    type: str
    default: etcd
"""

EXAMPLES = r"""
- name: Create the CAs
  etcd_appliance.cluster.ca:
    directory: ~/.etcd-admin/prod
  delegate_to: localhost
"""

RETURN = r"""
client_ca:
  description: Bundle of the client CA. Empty if it does not exist.
  returned: always
  type: str
peer_ca:
  description: Bundle of the peer CA. Empty if it does not exist.
  returned: always
  type: str
client_crl:
  description: CRL of the client CA. Empty if it does not exist.
  returned: always
  type: str
peer_crl:
  description: CRL of the peer CA. Empty if it does not exist.
  returned: always
  type: str
created:
  description: Kinds of the CAs that were created, or that check mode would create.
  returned: always
  type: list
  elements: str
published:
  description: Kinds of the CAs whose CRL was published. Empty in check mode.
  returned: always
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import (
    CA_SPEC,
    PROGRAM_SPEC,
    passphrase_args,
    read_text,
    run_admin,
)

KINDS = ("client", "peer")


def main():
    module = AnsibleModule(
        argument_spec={
            **CA_SPEC,
            "name": {"type": "str", "default": "etcd"},
            **PROGRAM_SPEC,
        },
        supports_check_mode=True,
    )
    directory = module.params["directory"]
    passphrase = passphrase_args(module)
    missing = [kind for kind in KINDS if not os.path.exists(os.path.join(directory, kind, "ca.crt"))]
    published = []
    if not module.check_mode:
        for kind in missing:
            args = ["--ca-dir", directory, "ca", "init", "--kind", kind, "--name", module.params["name"]]
            run_admin(module, [*args, *(passphrase or ["--no-passphrase"])])
        for kind in KINDS:
            args = ["--ca-dir", directory, "crl", "publish", "--kind", kind, "--if-due"]
            report, _ = run_admin(module, [*args, *passphrase])
            published += [kind] if report["changed"] else []
    files = {}
    for kind in KINDS:
        files[f"{kind}_ca"] = read_text(os.path.join(directory, kind, "bundle.crt")) or ""
        files[f"{kind}_crl"] = read_text(os.path.join(directory, kind, "crl.pem")) or ""
    module.exit_json(changed=bool(missing or published), created=missing, published=published, **files)


if __name__ == "__main__":
    main()
