# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Tells whether a member has to be restarted."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restart_needed
short_description: Tells whether a member runs with an old program or an old configuration
description:
  - Looks at the process alone, so that a play that was interrupted goes on where it stopped.
author:
  - The authors of the etcd appliance
options:
  unit:
    description: The unit that runs the member.
    type: str
    default: etcd-server.service
  config_file:
    description: The configuration that it read when it started.
    type: path
    default: /etc/etcd/etcd.yaml
"""

EXAMPLES = r"""
- name: See whether it has to be restarted
  etcd_appliance.cluster.restart_needed:
  register: restart
"""

RETURN = r"""
running:
  description: Whether the member runs.
  returned: always
  type: bool
needed:
  description: Whether it runs with something old.
  returned: always
  type: bool
reasons:
  description: What is old.
  returned: always
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule


def started_at(process):
    """The moment at which a process began, in seconds since 1970."""
    with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    with open("/proc/stat", encoding="ascii") as file:
        boot = next(int(line.split()[1]) for line in file if line.startswith("btime "))
    return boot + ticks / os.sysconf("SC_CLK_TCK")


def reasons_of(process, config_file):
    reasons = []
    if os.readlink(f"/proc/{process}/exe").endswith(" (deleted)"):
        reasons.append("the program was replaced")
    # The time of the boot is known to a second.
    if os.path.exists(config_file) and os.stat(config_file).st_mtime > started_at(process) + 1:
        reasons.append("the configuration is newer")
    return reasons


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "default": "etcd-server.service"},
            "config_file": {"type": "path", "default": "/etc/etcd/etcd.yaml"},
        },
        supports_check_mode=True,
    )
    _, output, _ = module.run_command(["systemctl", "show", "--value", "--property=MainPID", module.params["unit"]], check_rc=True)
    process = int(output.strip() or 0)
    reasons = reasons_of(process, module.params["config_file"]) if process else []
    module.exit_json(changed=False, running=bool(process), needed=bool(reasons), reasons=reasons)


if __name__ == "__main__":
    main()
