# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Checks a host or its cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor
short_description: Check a host or its cluster and return findings with remedies
description:
  - Runs C(etcd-admin doctor). Nothing is changed.
  - In check mode the disk is not tested with a write.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  scope:
    description: Subject of the check. V(host) works while the member is down.
    type: str
    choices: [host, cluster]
    required: true
  config_file:
    description: Configuration file of the member.
    type: path
    default: /etc/etcd/etcd.yaml
"""

EXAMPLES = r"""
- name: Check the host
  etcd_appliance.cluster.doctor:
    scope: host
  register: doctor
"""

RETURN = r"""
ok:
  description: Whether no finding is bad.
  returned: always
  type: bool
messages:
  description: Findings that are not good, one line each.
  returned: always
  type: list
  elements: str
findings:
  description: All findings, the worst first.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM_SPEC, run_admin

# Exit statuses of etcd-admin doctor.
OK, FAILED, BAD, UNREACHABLE, TIMEOUT = 0, 1, 3, 4, 8


def line_of(finding):
    """Returns a finding as one line of text."""
    subject = f" {finding['subject']}" if finding.get("subject") else ""
    remedy = f" -> {finding['remedy']}" if finding.get("remedy") else ""
    return f"{finding['severity']}: {finding['check']}{subject}: {finding['text']}{remedy}"


def unreachable(scope, status):
    """Returns the finding for a cluster that does not respond."""
    return {
        "check": scope,
        "severity": "bad",
        "subject": "",
        "text": f"etcd-admin doctor exited with status {status} and without findings: "
        "the cluster cannot be reached or has no quorum",
        "remedy": "check the findings of the hosts; after permanent loss of quorum, run the playbook recover",
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "scope": {"type": "str", "required": True, "choices": ["host", "cluster"]},
            "config_file": {"type": "path", "default": "/etc/etcd/etcd.yaml"},
            **PROGRAM_SPEC,
        },
        supports_check_mode=True,
    )
    scope = module.params["scope"]
    args = ["doctor", scope]
    if scope == "host":
        args += ["--config", module.params["config_file"], *(["--no-probe"] if module.check_mode else [])]
    report, status = run_admin(module, args, statuses=(OK, FAILED, BAD, UNREACHABLE, TIMEOUT))
    findings = report.get("findings") or [unreachable(scope, status)]
    messages = [line_of(finding) for finding in findings if finding["severity"] != "good"]
    module.exit_json(changed=False, ok=status == OK, messages=messages, findings=findings)


if __name__ == "__main__":
    main()
