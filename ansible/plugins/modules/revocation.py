# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Revokes a certificate."""

from __future__ import annotations

DOCUMENTATION = r"""
module: revocation
short_description: Revoke a certificate
description:
  - Members refuse the certificate after the role C(certificates) has published and installed the CRL.
  - Run the module on the machine with the CA keys.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.ca
  - etcd_appliance.cluster.program
options:
  certificate:
    description: Serial number of the certificate, or path of a file with the certificate.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Revoke a certificate
  etcd_appliance.cluster.revocation:
    directory: ~/.etcd-admin/prod
    certificate: 4f2a11c09d
  delegate_to: localhost
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import CA_SPEC, ETCD_ADMIN, PROGRAM_SPEC


def main():
    module = AnsibleModule(
        argument_spec={**CA_SPEC, "certificate": {"type": "str", "required": True}, **PROGRAM_SPEC},
        supports_check_mode=True,
    )
    params = module.params
    if module.check_mode:
        module.exit_json(changed=True)
    args = ["--ca-dir", params["directory"], "cert", "revoke", params["certificate"]]
    status, _, error = module.run_command([params["program"] or ETCD_ADMIN, *args, "-o", "json"])
    if status != 0 and "has been revoked before" in error:
        module.exit_json(changed=False)
    if status != 0:
        module.fail_json(msg=error.strip(), rc=status)
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
