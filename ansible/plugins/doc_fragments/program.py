# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Option of all modules that run etcd-admin."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  program:
    description: Path of C(etcd-admin). Defaults to C(/usr/bin/etcd-admin).
    type: path
"""
