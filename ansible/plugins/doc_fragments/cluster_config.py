# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""The options of modules that make a host's configuration of the cluster's document."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  cluster_config:
    description: The cluster.yaml, without what is meant for Ansible alone; the inventory has it as C(etcd_cluster_config).
    type: dict
    required: true
  member:
    description: Which member of it this host is.
    type: str
    required: true
"""
