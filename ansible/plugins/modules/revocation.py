# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Revokes a certificate."""

from __future__ import annotations

DOCUMENTATION = r"""
module: revocation
short_description: Revokes a certificate of a cluster's CA, on the machine that holds the key
description:
  - Members refuse it once they have the next list, which the role certificates publishes and installs.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.ca
  - etcd_appliance.cluster.program
options:
  certificate:
    description: Serial number of the certificate, or a file with it.
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
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import CA_SPEC, PROGRAM, TOOL


def main():
    module = AnsibleModule(
        argument_spec={**CA_SPEC, "certificate": {"type": "str", "required": True}, **PROGRAM},
        supports_check_mode=True,
    )
    words = ["--ca-dir", module.params["directory"], "cert", "revoke", module.params["certificate"]]
    program = module.params["program"] or TOOL
    if module.check_mode:
        module.exit_json(changed=True)
    code, _, complaint = module.run_command([program, *words, "-o", "json"])
    if code != 0 and "has been revoked before" in complaint:
        module.exit_json(changed=False)
    if code != 0:
        module.fail_json(msg=complaint.strip(), rc=code)
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
