#!/bin/bash
# Creates the root filesystem of the test hosts: rootfs.sh OUT
#
# Debian 12 with systemd, sshd and Python, without our packages, from the Debian mirror of this
# machine's apt. An existing root filesystem is kept.
set -euo pipefail
[ $# = 1 ] || { echo "usage: rootfs.sh OUT" >&2; exit 2; }
. "$(dirname "$0")/../failing.sh"
[ ! -e "$1/etc/os-release" ] || exit 0
command -v mmdebstrap >/dev/null || { echo "rootfs: no mmdebstrap: apt-get install mmdebstrap" >&2; exit 1; }
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null | grep -oE '(https?|mirror)[^ ]*/debian/?( |$)' | head -1 | tr -d ' ') || true
[ -n "$mirror" ] || { echo "rootfs: apt of this machine has no Debian mirror" >&2; exit 1; }
mkdir -p "$(dirname "$1")"
rm -rf "$1.new"
mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Languages "none"' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include=systemd,systemd-sysv,dbus,openssh-server,rpm,python3-apt,iproute2,iptables,procps,ca-certificates bookworm "$1.new" "deb $mirror bookworm main"
# Test hosts have no internet access; their apt uses the directory of packages only.
rm -f "$1.new"/etc/apt/sources.list "$1.new"/var/cache/apt/*.bin
find "$1.new/var/lib/apt/lists" -type f -delete
mv "$1.new" "$1"
