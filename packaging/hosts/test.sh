#!/bin/bash
# The packages on three hosts with a booted systemd: test.sh BINARIES. Makes the hosts, tries everything on them, takes them down, and tells the time.
# Needs root, systemd-nspawn (systemd-container), iproute2, ssh, mmdebstrap and a Debian mirror; ROOTFS=FOLDER keeps what the hosts boot from.
set -euo pipefail
[ $# = 1 ] || { echo "usage: test.sh FOLDER_WITH_BINARIES" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=packaging/hosts/common.sh
. "$here/common.sh" "$1"

configure() { # host, initial-cluster, state
    printf '%s\n' "name: etcd$1" "data-dir: /var/lib/etcd" "listen-client-urls: http://10.77.0.1$1:2379,http://127.0.0.1:2379" \
        "advertise-client-urls: http://10.77.0.1$1:2379" "listen-peer-urls: http://10.77.0.1$1:2380" "initial-advertise-peer-urls: http://10.77.0.1$1:2380" \
        "initial-cluster: $2" "initial-cluster-token: hosts" "initial-cluster-state: $3" >"$work/etcd.yaml"
    lab put "$1" "$work/etcd.yaml" /etc/etcd/etcd.yaml
    on "$1" "chown root:etcd /etc/etcd/etcd.yaml && chmod 0640 /etc/etcd/etcd.yaml"
}
# shellcheck source=packaging/hosts/chapters.sh
. "$here/chapters.sh"

make_packages
make_hosts 3
chapter "an install starts nothing"
installed
chapter "three members, one after another"
started
chapter "what operators see"
seen
chapter "restarts"
frozen_loop
lost_quorum
bad_configuration
chapter "a removed member"
removed_member
chapter "upgrade, remove, purge, reinstall"
upgrade
come_and_go
chapter "timers"
timers
conclude
