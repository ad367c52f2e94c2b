# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Makes the authorities of a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ca
short_description: Makes the two CAs of a cluster and keeps their revocation lists current, on the machine that holds the keys
description:
  - One signs for clients and servers, the other for members among themselves. What is there is left alone.
  - A list is published where there is none, before the current one expires, and after a certificate was revoked.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.ca
  - etcd_appliance.cluster.program
options:
  name:
    description: Common name, to which the kind is appended.
    type: str
    default: etcd
"""

EXAMPLES = r"""
- name: Make the authorities
  etcd_appliance.cluster.ca:
    directory: ~/.etcd-admin/prod
  delegate_to: localhost
"""

RETURN = r"""
client_ca:
  description: The bundle that clients and servers trust.
  returned: when the authorities are there
  type: str
peer_ca:
  description: The bundle that members trust among themselves.
  returned: when the authorities are there
  type: str
published:
  description: Kinds of which a new list was published.
  returned: always
  type: list
  elements: str
client_crl:
  description: The list of what the first has revoked.
  returned: when the authorities are there
  type: str
peer_crl:
  description: The list of what the second has revoked.
  returned: when the authorities are there
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import CA_SPEC, PROGRAM, call, text_of


def main():
    module = AnsibleModule(
        argument_spec={
            **CA_SPEC,
            "name": {"type": "str", "default": "etcd"},
            **PROGRAM,
        },
        supports_check_mode=True,
    )
    directory = module.params["directory"]
    secret = ["--passphrase-file", module.params["passphrase_file"]] if module.params["passphrase_file"] else []
    missing = [kind for kind in ("client", "peer") if not os.path.exists(os.path.join(directory, kind, "ca.crt"))]
    if missing and not module.check_mode:
        protection = secret or ["--no-passphrase"]
        for kind in missing:
            call(module, ["--ca-dir", directory, "ca", "init", "--kind", kind, "--name", module.params["name"], *protection])
    published = []
    if not module.check_mode:
        for kind in ("client", "peer"):
            report, _ = call(module, ["--ca-dir", directory, "crl", "publish", "--kind", kind, "--if-due", *secret])
            published += [kind] if report["changed"] else []
    bundles = {}
    for kind in ("client", "peer"):
        bundles[f"{kind}_ca"] = text_of(os.path.join(directory, kind, "bundle.crt")) or ""
        bundles[f"{kind}_crl"] = text_of(os.path.join(directory, kind, "crl.pem")) or ""
    module.exit_json(changed=bool(missing or published), made=missing, published=published, **bundles)


if __name__ == "__main__":
    main()
