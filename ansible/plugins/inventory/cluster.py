# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""The inventory is cluster.yaml, the document that etcd-admin reads."""

from __future__ import annotations

DOCUMENTATION = r"""
name: cluster
short_description: Hosts of an etcd cluster, from its cluster.yaml
description:
  - Every member of the file is a host of the group C(etcd), under its name.
  - The C(vars) of the file and of its members are the variables of the group and of the hosts, such as C(ansible_user).
  - C(etcd_cluster) holds the whole file with what it leaves out filled in, C(etcd_member) what it says about a host, and C(etcd_cluster_config) the file
    as it is, without any C(vars).
author:
  - The authors of the etcd appliance
options:
  plugin:
    description: Not needed; the name of the file says which plugin reads it.
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
    """Reads one file."""

    NAME = "etcd_appliance.cluster.cluster"

    def verify_file(self, path):
        return super().verify_file(path) and path.endswith(("cluster.yaml", "cluster.yml"))

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        cluster_config = loader.load_from_file(path, cache="none")
        if not isinstance(cluster_config, dict) or cluster_config.get("schema") != 1 or not cluster_config.get("members"):
            raise AnsibleParserError(f"{path}: not a cluster.yaml: it needs schema: 1 and members")
        cluster = {**CLUSTER, **cluster_config, "tls": {**TLS, **cluster_config.get("tls", {})}}
        cluster["members"] = [member_of(cluster, member) for member in cluster_config["members"]]
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


def without_vars(cluster_config):
    """The document for the hosts: variables of Ansible may be secrets."""
    shared = {key: value for key, value in cluster_config.items() if key != "vars"}
    shared["members"] = [{key: value for key, value in member.items() if key != "vars"} for member in cluster_config["members"]]
    return shared


def member_of(cluster, given):
    """A member with what the file leaves out."""
    member = {"names": [], "settings": {}, "vars": {}, **given}
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
    return ":" in host or all(part.isdigit() for part in host.split("."))


def in_url(host):
    return f"[{host}]" if ":" in host else host
