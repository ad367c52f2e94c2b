# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Inventory plugin for cluster.yaml, the cluster configuration that etcd-admin reads."""

from __future__ import annotations

DOCUMENTATION = r"""
name: cluster
short_description: Hosts of an etcd cluster, read from cluster.yaml
description:
  - Adds each member of the file to the group C(etcd), as a host with the name of the member.
  - Sets the C(vars) of the file as group variables, and the C(vars) of a member as host variables.
  - Sets C(etcd_cluster) to the content of the file with default values.
  - Sets C(etcd_member) to the settings of the host's member with default values.
  - Sets C(etcd_cluster_config) to the content of the file without any C(vars).
author:
  - The authors of the etcd appliance
options:
  plugin:
    description: Not needed. The plugin reads files named C(cluster.yaml) or C(cluster.yml).
    type: str
"""

EXAMPLES = r"""
# ansible-playbook -i cluster.yaml etcd_appliance.cluster.site
schema: 1
name: prod
token: prod-5f0c2a91d3e4b678
members:
  - {name: etcd1, host: 10.0.0.11}
  - {name: etcd2, host: 10.0.0.12}
  - {name: etcd3, host: 10.0.0.13}
vars:
  ansible_user: root
"""

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin

TLS = {"enabled": True, "client_cert_auth": True, "directory": "/etc/etcd/pki", "key": "p256", "days": 365}
CLUSTER = {
    "client_port": 2379,
    "peer_port": 2380,
    "data_dir": "/var/lib/etcd",
    "config_file": "/etc/etcd/etcd.yaml",
    "user": "etcd",
    "auto_compaction": "1h",
    "settings": {},
    "vars": {},
}


class InventoryModule(BaseInventoryPlugin):
    """Hosts and variables of one cluster.yaml."""

    NAME = "etcd_appliance.cluster.cluster"

    def verify_file(self, path):
        return super().verify_file(path) and path.endswith(("cluster.yaml", "cluster.yml"))

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        cluster_config = loader.load_from_file(path, cache="none")
        if not is_cluster_config(cluster_config):
            raise AnsibleParserError(
                f"{path}: not a cluster configuration: expected schema: 1 and a list of members; "
                "see etcd-admin init schema"
            )
        cluster = {**CLUSTER, **cluster_config, "tls": {**TLS, **cluster_config.get("tls", {})}}
        cluster["members"] = [member_settings(cluster, member) for member in cluster_config["members"]]
        inventory.add_group("etcd")
        inventory.set_variable("etcd", "etcd_cluster", cluster)
        inventory.set_variable("etcd", "etcd_cluster_config", without_vars(cluster_config))
        for name, value in cluster["vars"].items():
            inventory.set_variable("etcd", name, value)
        for member in cluster["members"]:
            host = inventory.add_host(member["name"], group="etcd")
            inventory.set_variable(host, "ansible_host", member["host"])
            inventory.set_variable(host, "etcd_member", member)
            for name, value in member["vars"].items():
                inventory.set_variable(host, name, value)


def is_cluster_config(content):
    """Returns True if the content of a file has the required keys of cluster.yaml."""
    return isinstance(content, dict) and content.get("schema") == 1 and bool(content.get("members"))


def without_vars(cluster_config):
    """Returns the cluster configuration without variables for Ansible, which may contain secrets."""
    shared = {key: value for key, value in cluster_config.items() if key != "vars"}
    members = cluster_config["members"]
    shared["members"] = [{key: value for key, value in member.items() if key != "vars"} for member in members]
    return shared


def member_settings(cluster, configured):
    """Returns the settings of a member with default values."""
    member = {"names": [], "settings": {}, "vars": {}, **configured}
    member.setdefault("client_port", cluster["client_port"])
    member.setdefault("peer_port", cluster["peer_port"])
    member.setdefault("listen", member["host"] if is_address(member["host"]) else "0.0.0.0")
    scheme = "https" if cluster["tls"]["enabled"] else "http"
    member["client_url"] = f"{scheme}://{in_url(member['host'])}:{member['client_port']}"
    member["peer_url"] = f"{scheme}://{in_url(member['host'])}:{member['peer_port']}"
    for key in ("data_dir", "config_file"):
        member[key] = cluster[key].replace("{name}", member["name"])
    member["pki"] = cluster["tls"]["directory"].replace("{name}", member["name"])
    return member


def is_address(host):
    """Returns True if the host is an IP address and not a name."""
    return ":" in host or all(part.isdigit() for part in host.split("."))


def in_url(host):
    """Returns the host as it is written in a URL; IPv6 addresses need brackets."""
    return f"[{host}]" if ":" in host else host
