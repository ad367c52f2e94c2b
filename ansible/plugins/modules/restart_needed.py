# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Checks whether a member has to be restarted."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restart_needed
short_description: Check whether a member runs an old program or configuration
description:
  - Inspects the running process only, so that an interrupted play resumes.
author:
  - The authors of the etcd appliance
options:
  unit:
    description: Unit of the member.
    type: str
    default: etcd-server.service
  config_file:
    description: Configuration file that the member reads when it starts.
    type: path
    default: /etc/etcd/etcd.yaml
"""

EXAMPLES = r"""
- name: Check whether a restart is needed
  etcd_appliance.cluster.restart_needed:
  register: restart
"""

RETURN = r"""
running:
  description: Whether the member runs.
  returned: always
  type: bool
needed:
  description: Whether the member runs an old program or configuration.
  returned: always
  type: bool
reasons:
  description: Reasons for a restart.
  returned: always
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule


def started_at(process):
    """Returns the start time of a process in seconds since 1970."""
    with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    with open("/proc/stat", encoding="ascii") as file:
        boot = next(int(line.split()[1]) for line in file if line.startswith("btime "))
    return boot + ticks / os.sysconf("SC_CLK_TCK")


def restart_reasons(process, config_file):
    """Returns the reasons to restart a running member; empty if there are none."""
    reasons = []
    if os.readlink(f"/proc/{process}/exe").endswith(" (deleted)"):
        reasons.append("the program was replaced")
    # The boot time has a resolution of one second.
    if os.path.exists(config_file) and os.stat(config_file).st_mtime > started_at(process) + 1:
        reasons.append("the configuration is newer than the process")
    return reasons


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "default": "etcd-server.service"},
            "config_file": {"type": "path", "default": "/etc/etcd/etcd.yaml"},
        },
        supports_check_mode=True,
    )
    command = ["systemctl", "show", "--value", "--property=MainPID", module.params["unit"]]
    _, output, _ = module.run_command(command, check_rc=True)
    process = int(output.strip() or 0)
    reasons = restart_reasons(process, module.params["config_file"]) if process else []
    module.exit_json(changed=False, running=bool(process), needed=bool(reasons), reasons=reasons)


if __name__ == "__main__":
    main()
