#!/bin/bash
# The packages on three hosts with a booted systemd: test.sh BINARIES [CHAPTER...]. Makes the hosts, tries everything on them, takes them down, and
# tells the time. Chapters build on each other ("moved" and "secured" begin with empty hosts); with KEEP=DIRECTORY the hosts stay up, and single chapters
# can be tried again ("down" ends them). Needs root, systemd-nspawn (systemd-container), iproute2, ssh, mmdebstrap and a Debian mirror;
# ROOTFS=DIRECTORY keeps what the hosts boot from, $ETCD_BIN_DIR holds a real etcd and its etcdctl to move from.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: test.sh FOLDER_WITH_BINARIES [CHAPTER...]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=packaging/hosts/common.sh
. "$here/common.sh" "$1"
shift

configure() { # host, initial-cluster, state
    printf '%s\n' "name: etcd$1" "data-dir: /var/lib/etcd" "listen-client-urls: http://10.77.0.1$1:2379,http://127.0.0.1:2379" \
        "advertise-client-urls: http://10.77.0.1$1:2379" "listen-peer-urls: http://10.77.0.1$1:2380" "initial-advertise-peer-urls: http://10.77.0.1$1:2380" \
        "initial-cluster: $2" "initial-cluster-token: hosts" "initial-cluster-state: $3" >"$work/etcd.yaml"
    lab put "$1" "$work/etcd.yaml" /etc/etcd/etcd.yaml
    on "$1" "chown root:etcd /etc/etcd/etcd.yaml && chmod 0640 /etc/etcd/etcd.yaml"
}
# shellcheck source=packaging/hosts/chapters.sh
. "$here/chapters.sh"
# shellcheck source=packaging/hosts/space.sh
. "$here/space.sh"
# shellcheck source=packaging/hosts/rpm.sh
. "$here/rpm.sh"
# shellcheck source=packaging/hosts/move.sh
. "$here/move.sh"
# shellcheck source=packaging/hosts/secured.sh
. "$here/secured.sh"

down_if_requested "${1:-}"
make_packages
make_hosts 3
[ $# -gt 0 ] || set -- installed started seen frozen_loop lost_quorum bad_configuration quota full_disk removed_member upgrade come_and_go timers rpm moved \
    secured revoked_by_init revoked_by_hand renewed_lists scheduled_snapshots snapshots_with_users snapshots_on_a_full_disk
run_chapters "$@"
conclude
