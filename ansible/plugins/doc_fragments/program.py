# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""The option that all modules have which call etcd-admin."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  program:
    description: The tool, where it is not installed by its package.
    type: path
"""
