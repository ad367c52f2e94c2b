# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Tells what ails a host or a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor
short_description: Tells what ails this host or its cluster, each finding with its remedy, as etcd-admin doctor does
description:
  - Changes nothing. In check mode the disk is not probed by a write.
author:
  - The authors of the etcd appliance
extends_documentation_fragment:
  - etcd_appliance.cluster.program
options:
  scope:
    description: What is looked at. V(host) works with the member down.
    type: str
    choices: [host, cluster]
    required: true
  config_file:
    description: The member's configuration.
    type: path
    default: /etc/etcd/etcd.yaml
"""

EXAMPLES = r"""
- name: Look at the host
  etcd_appliance.cluster.doctor:
    scope: host
  register: doctor
"""

RETURN = r"""
ok:
  description: Whether nothing is bad.
  returned: always
  type: bool
messages:
  description: What is not good, a line each.
  returned: always
  type: list
  elements: str
findings:
  description: All that was looked at, the worst first.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.etcd_appliance.cluster.plugins.module_utils.admin import PROGRAM, call

OK, FAILED, SOMETHING_IS_BAD, UNREACHABLE, TIMEOUT = 0, 1, 3, 4, 8


def line_of(found):
    subject = f" {found['subject']}" if found.get("subject") else ""
    remedy = f" -> {found['remedy']}" if found.get("remedy") else ""
    return f"{found['severity']}: {found['check']}{subject}: {found['text']}{remedy}"


def main():
    module = AnsibleModule(
        argument_spec={
            "scope": {"type": "str", "required": True, "choices": ["host", "cluster"]},
            "config_file": {"type": "path", "default": "/etc/etcd/etcd.yaml"},
            **PROGRAM,
        },
        supports_check_mode=True,
    )
    words = ["doctor", module.params["scope"]]
    if module.params["scope"] == "host":
        words += ["--config", module.params["config_file"], *(["--no-probe"] if module.check_mode else [])]
    report, code = call(module, words, codes=(OK, FAILED, SOMETHING_IS_BAD, UNREACHABLE, TIMEOUT))
    # A cluster that nobody serves answers nothing.
    findings = report.get("findings") or [
        {
            "check": module.params["scope"],
            "severity": "bad",
            "subject": "",
            "text": f"etcd-admin doctor tells nothing (exit code {code}): the cluster cannot be reached, or has no quorum",
            "remedy": "look at the findings of the hosts; when most members are lost for good, the playbook recover",
        }
    ]
    messages = [line_of(found) for found in findings if found["severity"] != "good"]
    module.exit_json(changed=False, ok=code == OK, messages=messages, findings=findings)


if __name__ == "__main__":
    main()
