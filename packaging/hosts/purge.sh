#!/bin/bash
# What becomes of a member's data and user when Debian's etcd packages are purged: purge.sh BINARIES. In throw-away systems made for it, with the packages
# of Debian 12 (3.4) and of Debian's development (3.5 or later): purged before ours is installed, as documented, and in the wrong order. Needs root,
# mmdebstrap and a Debian mirror; ROOTFS=DIR keeps what the systems are copied from, DEBS=DIR the packages of Debian (DIR/SUITE/*.deb).
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: purge.sh DIRECTORY_WITH_BINARIES" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../failing.sh"
[ "$(id -u)" = 0 ] || { echo "purge: only root makes systems" >&2; exit 1; }
binaries=$(cd "$1" && pwd)
work=$(mktemp -d)
chmod 755 "$work"
export XZ_LEVEL=0
rootfs=${ROOTFS:-$work/rootfs} debs=${DEBS:-$work/debs}
failures=0 root=
fail() { echo "FAILED: $*" >&2; failures=$((failures + 1)); }
pass() { echo "ok: $*"; }
finish() {
    [ -z "$root" ] || leave
    rm -rf "$work"
}
trap finish EXIT

fetch() { # suite
    local mirror lists=$work/lists-$1 options
    [ -z "$(ls "$debs/$1" 2>/dev/null)" ] || return 0
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null | grep -oE '(https?|mirror)[^ ]*/debian/?( |$)' | head -1 | tr -d ' ') || true
    mkdir -p "$debs/$1" "$lists"/{parts,lists/partial,cache/archives/partial}
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main" >"$lists/sources"
    options=(-qq -o "Dir::Etc::SourceList=$lists/sources" -o "Dir::Etc::SourceParts=$lists/parts" -o "Dir::State::Lists=$lists/lists" -o "Dir::Cache=$lists/cache"
        -o APT::Get::List-Cleanup=0 -o Acquire::Languages=none -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update && (cd "$debs/$1" && apt-get "${options[@]}" download etcd-server etcd-client) >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    # Older ones need it for their user.
    if dpkg-deb --field "$debs/$1"/etcd-server_*.deb Depends | grep -q adduser; then (cd "$debs/$1" && apt-get "${options[@]}" download adduser) >"$work/log" 2>&1; fi
}

# A system of its own, where nothing is started: a layer in memory over the common one.
enter() {
    root=$work/system
    mkdir -p "$root" "$work/layer"
    mount -t tmpfs layer "$work/layer"
    mkdir -p "$work/layer"/{upper,work}
    mount -t overlay -o "lowerdir=$rootfs,upperdir=$work/layer/upper,workdir=$work/layer/work" system "$root"
    mount -t proc proc "$root/proc"
    mount --bind /dev "$root/dev"
    mkdir -p "$root/packages"
    cp "$work"/packages/*.deb "$root/packages/"
    cp -r "$debs" "$root/packages/debian"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    printf 'deb [trusted=yes] file:/packages/repository ./\n' >"$root/etc/apt/sources.list"
    cp -r "$work/packages/repository" "$root/packages/repository"
    inside "apt-get -qq update"
}
leave() {
    [ -z "${member:-}" ] || stop
    umount -l "$root/dev" "$root/proc" 2>/dev/null || true
    umount "$root" && umount "$work/layer"
    root=
}
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 sh -c "$1" </dev/null; }
# A step that must work.
does() { inside "$1" >"$work/said" 2>&1 || fail "$1: $(tail -5 "$work/said")"; }
is() { # what, expected, command
    local found
    found=$(inside "$3" 2>&1) || true
    [ "$found" = "$2" ] && pass "$suite: $1" || fail "$suite: $1: expected '$2', got '$found'"
}
state() { inside "dpkg-query --show --showformat='\${db:Status-Status}' $1 2>/dev/null" || echo not-installed; }

# A member as the unit runs it: by its user, with the packaged directory. In a network of its own.
start() { # data directory
    local id
    id=$(inside "id -u etcd"):$(inside "id -g etcd")
    # shellcheck disable=SC2016
    unshare --net sh -c 'ip link set lo up && exec chroot --userspec="$1" "$2" /usr/bin/etcd-server --data-dir "$3" --name m1 --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster m1=http://127.0.0.1:2380' \
        sh "$id" "$root" "$1" >"$work/member.log" 2>&1 &
    member=$!
    asked "endpoint health" || fail "$suite: no member: $(tail -3 "$work/member.log")"
}
asked() { # command of etcd-admin
    for _ in $(seq 100); do
        if nsenter --target "$member" --net chroot "$root" sh -c "/usr/bin/etcd-admin $1 --endpoints http://127.0.0.1:2379" >"$work/answer" 2>&1; then return 0; fi
        kill -0 "$member" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}
stop() {
    kill "$member" 2>/dev/null || true
    wait "$member" 2>/dev/null || true
    member=
}
# The running member acknowledges a write, and its next start has it.
keeps() { # what, data directory
    asked "put key '$1'" || { fail "$suite: $1: the member does not acknowledge: $(tail -2 "$work/member.log")"; return; }
    stop
    start "$2"
    asked "get key --print-value-only" && [ "$(cat "$work/answer")" = "$1" ] && pass "$suite: $1: data and service are there" || fail "$suite: $1: the data is gone: $(cat "$work/answer")"
}
# A name, and the command.
purges="etcd-server:apt-get -y purge etcd-server
all removed packages:apt-get -y purge '~c'
unneeded packages:apt-get -y autopurge
etcd-server by dpkg:dpkg --purge etcd-server"

# The package of Debian. systemd of Debian 12 does not know the modifier "!" in its description of the user.
install_old() {
    inside "apt-get -y install /packages/debian/$suite/etcd-server_*.deb \$(ls /packages/debian/$suite/adduser_*.deb 2>/dev/null)" >"$work/said" 2>&1 || true
    does "sed -i 's/^u!/u/' /usr/lib/sysusers.d/*etcd*.conf 2>/dev/null || true; dpkg --configure --pending"
    is "the old package is installed" installed "dpkg-query --show --showformat='\${db:Status-Status}' etcd-server"
}
# The old package is purged while there is no data of ours; $1 is where the data is then.
documented() { # data directory
    local entry owner
    enter
    install_old
    does "mkdir -p /var/lib/etcd/default && echo old >/var/lib/etcd/default/data && mv /var/lib/etcd /var/lib/etcd.before && apt-get -y purge etcd-server"
    does "apt-get -y install etcd-appliance etcd-appliance-client-"
    if grep -q 'etcd-appliance: error' "$work/said"; then fail "$suite: an error where the order was right: $(cat "$work/said")"; else pass "$suite: nothing is wrong where the order is right"; fi
    is "the directories are there" "700 etcd:etcd 700 etcd:etcd" "echo \$(stat -c '%a %U:%G' /var/lib/etcd-appliance /var/lib/etcd)"
    start "$1"
    owner=$(inside "id etcd")
    while IFS= read -r entry; do
        does "${entry#*:}"
        keeps "$1: purge of ${entry%%:*}" "$1"
        is "$1: purge of ${entry%%:*}: the user is the same" "$owner" "id etcd"
    done <<<"$purges"
    is "the old data lies where it was moved" old "cat /var/lib/etcd.before/default/data"
    does "apt-get -y install /packages/debian/$suite/etcd-client_*.deb"
    is "etcd-client is installed beside ours" "installed installed" "echo $(state etcd-client) $(state etcd-appliance)"
    does "apt-get -y install etcd-appliance-client"
    is "our client package takes its place" etcd-admin "readlink /usr/bin/etcdctl"
    [ "$(state etcd-client)" != installed ] && pass "$suite: and etcd-client is gone" || fail "$suite: etcd-client is still there"
    does "apt-get -y install /packages/debian/$suite/etcd-client_*.deb"
    is "and gives way to it again" installed "echo $(state etcd-client)"
    stop
    does "apt-get -y purge etcd-appliance etcd-admin"
    is "our own purge keeps the data" member "ls $1"
    leave
}

# Ours is installed over the old package, which stays in the state config-files, and is purged later.
wrong_order() { # data directory
    enter
    install_old
    does "rm -rf /var/lib/etcd && apt-get -y install etcd-appliance"
    grep -q "etcd-appliance: error: package etcd-server is removed, but not purged" "$work/said" && pass "$suite: the installation reports the old package" || fail "$suite: the installation says nothing: $(tail -5 "$work/said")"
    is "its state" config-files "dpkg-query --show --showformat='\${db:Status-Status}' etcd-server"
    reported
    start "$1"
    asked "put key before" || fail "$suite: no write: $(cat "$work/answer")"
    does "apt-get -y purge etcd-server"
    if [ "$1" = /var/lib/etcd ]; then stopped; else survived "$1"; fi
    leave
}
# Before data is written.
reported() {
    inside "etcd-admin doctor host" >"$work/said" 2>&1 || true
    grep -Eq "etcd-server.*removed, but not purged" "$work/said" && grep -q "dpkg --purge etcd-server" "$work/said" && pass "$suite: doctor host reports it with the remedy" || fail "$suite: doctor host: $(cat "$work/said")"
    does "printf 'schema: 1\nname: c\ntoken: c-0001\ntls: {enabled: false}\nmembers:\n  - {name: m1, host: 127.0.0.1}\n' >/root/cluster.yaml"
    if inside "cd /root && etcd-admin preflight --cluster cluster.yaml --member m1 --no-probe" >"$work/said" 2>&1; then fail "$suite: preflight ends with 0"; fi
    grep -q "removed, but not purged" "$work/said" && pass "$suite: preflight fails and reports it" || fail "$suite: preflight: $(cat "$work/said")"
}
# The purge deletes a directory that it takes for its own: nothing is acknowledged into it afterwards.
stopped() {
    for _ in $(seq 50); do kill -0 "$member" 2>/dev/null || break; sleep 0.1; done
    if kill -0 "$member" 2>/dev/null; then fail "$suite: the member goes on without its data"; stop; fi
    grep -q "etcd-server: /var/lib/etcd.* was removed while" "$work/member.log" && pass "$suite: on the old path the member stops: $(grep -o 'etcd-server: .* was removed while' "$work/member.log" | tail -1)" ||
        fail "$suite: the member does not say why it stopped: $(tail -2 "$work/member.log")"
    member=
}
survived() { # data directory
    asked "put key after" && pass "$suite: the member goes on" || fail "$suite: the member does not go on: $(tail -2 "$work/member.log")"
    stop
    does "systemd-sysusers && systemd-tmpfiles --create etcd-server.conf; chown -R etcd:etcd $1"
    start "$1"
    asked "get key --print-value-only" && [ "$(cat "$work/answer")" = after ] && pass "$suite: the remedy brings the user back, and all data is there" || fail "$suite: the data is gone: $(cat "$work/answer")"
    stop
}

# Image builds: neither /proc nor a running systemd.
without_proc() {
    enter
    umount "$root/proc"
    does "apt-get -y install etcd-appliance"
    [ "$(state etcd-appliance)" = installed ] && pass "the package is configured where /proc is not mounted" || fail "the package is not configured where /proc is not mounted: $(tail -5 "$work/said")"
    mount -t proc proc "$root/proc"
    suite=image
    is "the first boot makes the rest" "etcd 700 etcd:etcd" "systemd-sysusers && systemd-tmpfiles --create etcd-server.conf; echo \$(id -un etcd) \$(stat -c '%a %U:%G' /var/lib/etcd-appliance)"
    leave
}

"$here/rootfs.sh" "$rootfs"
"$here/../deb.sh" "$binaries" "$work/packages" >"$work/log" 2>&1 && "$here/../repo.sh" "$work/packages" "$work/packages/repository" >>"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
for suite in bookworm sid; do
    fetch $suite
    echo "--- $suite: $(cd "$debs/$suite" && echo etcd-server_*)"
    for data in /var/lib/etcd-appliance /var/lib/etcd; do
        documented $data
        wrong_order $data
    done
done
without_proc
[ "$failures" = 0 ] || { echo "$failures failed" >&2; exit 1; }
echo "all of it holds"
