# shellcheck shell=bash
# Functions of both tests on hosts, sourced with the directory of the binaries. $here is the
# directory of this file. With KEEP=DIRECTORY, packages and running hosts are kept for the next run.
# shellcheck disable=SC2034 # variables are used by the scripts that source this file
. "${here:?}/../failing.sh"
for tool in systemd-nspawn:systemd-container ip:iproute2 ssh:openssh-client mmdebstrap:mmdebstrap apt-ftparchive:apt-utils; do
    command -v "${tool%%:*}" >/dev/null || { echo "hosts: no ${tool%%:*}: apt-get install ${tool##*:}" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "hosts: not root: run the test as root" >&2; exit 1; }
[ -x "$1/etcd-server" ] && [ -x "$1/etcd-admin" ] || { echo "hosts: no etcd-server and etcd-admin in $1: run make binaries first" >&2; exit 1; }
binaries=$(cd "$1" && pwd)
if [ -n "${KEEP:-}" ]; then mkdir -p "$KEEP" && work=$(cd "$KEEP" && pwd); else work=$(mktemp -d); fi
export LAB=$work/lab LAB_ROOTFS=${ROOTFS:-$work/rootfs} LAB_SHARED=$work/packages XZ_LEVEL=0
lab() { "$here/lab.sh" "$@"; }
# shellcheck disable=SC2329 # called by the trap
finish() {
    local process
    for process in "$work/load.out.pid" "$work/watched.pid"; do [ ! -f "$process" ] || kill "$(cat "$process")" || true; done
    [ -z "${KEEP:-}" ] || return 0
    lab down || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

failures=0 begun=$(date +%s)
fail() { echo "FAILED: $*" >&2; failures=$((failures + 1)); }
pass() { echo "ok: $*"; }
chapter() { echo "--- $* (after $(($(date +%s) - begun)) s)"; }
on() { lab run "$@"; }
# Compares the output of a command on a host with the expected text.
is() { # what, expected, host, command
    local answer
    answer=$(on "$3" "$4" 2>&1 </dev/null) || true
    [ "$answer" = "$2" ] && pass "$1" || fail "$1: expected '$2', got '$answer'"
}
# Searches the output of a command on a host for a pattern.
says() { # what, pattern, host, command
    local answer
    answer=$(on "$3" "$4" 2>&1 </dev/null) || true
    grep -Eq -- "$2" <<<"$answer" && pass "$1" || fail "$1: no '$2' in: $(tail -30 <<<"$answer")"
}
# Waits until a command on a host succeeds.
until_true() { # what, host, command
    local until=$((SECONDS + 120))
    while [ $SECONDS -lt $until ]; do
        if on "$2" "$3" >/dev/null 2>&1; then pass "$1"; return; fi
        sleep 0.2
    done
    fail "$1: not within its time; $(on "$2" 'systemctl status --no-pager --lines=20 etcd-server' 2>&1 || true)"
}
property() { echo "systemctl show --value --property=$1 etcd-server"; }

# Replaces a host by an empty one with the same name.
fresh() { # host
    lab kill "$1"
    lab boot "$1"
}

# Starts writes in a loop, one client process each. writes_end stops them; load.out has the result.
writes_begin() { # connection flags
    lab inside python3 "$here/load.py" "$work/load.out" "$binaries/etcd-admin" put load "$@" </dev/null >/dev/null 2>&1 &
    load=$!
    until [ -s "$work/load.out.pid" ]; do sleep 0.1; done
}
writes_end() {
    kill "$(cat "$work/load.out.pid")"
    wait "$load" || true
    cat "$work/load.out"
}

install_from() { # host, directory below /srv/packages
    on "$1" "echo 'deb [trusted=yes] file:/srv/packages/$2 ./' >/etc/apt/sources.list && apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install etcd-appliance" >"$work/apt.log" 2>&1 ||
        { fail "apt-get install on etcd$1: $(tail -5 "$work/apt.log")"; exit 1; }
}

# Creates two versions of the packages, each in a directory that apt can install from.
make_packages() {
    chapter "packages and hosts"
    newer=$(cat "$work/newer" 2>/dev/null || true)
    [ -z "$newer" ] || return 0
    "$here/../deb.sh" "$binaries" "$work/debs/old" >"$work/log" 2>&1 && "$here/../repo.sh" "$work/debs/old" "$work/packages/old" >>"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    newer=$(dpkg-deb --field "$work"/debs/old/etcd-admin_*.deb Version)+newer
    # Only the version changes, which is faster than a second build.
    mkdir "$work/debs/new"
    for deb in "$work"/debs/old/*.deb; do
        rm -rf "$work/unpacked"
        dpkg-deb --raw-extract "$deb" "$work/unpacked"
        sed -i "s/^Version: .*/Version: $newer/; s/etcd-admin (= [^)]*)/etcd-admin (= $newer)/" "$work/unpacked/DEBIAN/control"
        dpkg-deb --root-owner-group -Znone --build "$work/unpacked" "$work/debs/new/$(basename "$deb" .deb)-newer.deb" >"$work/log"
    done
    "$here/../repo.sh" "$work/debs/new" "$work/packages/new" >>"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    echo "$newer" >"$work/newer"
}

make_hosts() { # number of hosts
    local hosts_begun
    "$here/rootfs.sh" "$LAB_ROOTFS"
    if lab is-up; then pass "the hosts are up"; return; fi
    hosts_begun=$(date +%s)
    lab up "$1"
    pass "$1 hosts booted in $(($(date +%s) - hosts_begun)) s"
}

# Removes the hosts of an earlier run and exits, if the first argument is "down".
down_if_requested() { # first argument
    [ "$1" = down ] || return 0
    KEEP=
    exit
}
run_chapters() { # names
    local name
    for name in "$@"; do
        chapter "${name//_/ }"
        "chapter_$name"
    done
}

conclude() {
    echo "total time: $(($(date +%s) - begun)) s"
    [ "$failures" = 0 ] || { echo "$failures failed" >&2; exit 1; }
    echo "all checks passed"
}
