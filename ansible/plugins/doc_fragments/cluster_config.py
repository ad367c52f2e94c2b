# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Options of modules that derive the configuration of a host from cluster.yaml."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  cluster_config:
    description:
      - Content of C(cluster.yaml), without the variables for Ansible.
      - The inventory plugin provides it as C(etcd_cluster_config).
    type: dict
    required: true
  member:
    description: Name of the member on this host.
    type: str
    required: true
"""
