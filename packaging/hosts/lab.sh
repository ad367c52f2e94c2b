#!/bin/bash
# Test hosts with a booted systemd on a separate network:
# lab.sh up N | down | run I COMMAND... | put I FILE PATH | cut I | heal I | off I | kill I | boot I
#
# Host I is etcdI at 10.77.0.1I. Each host writes to memory over $LAB_ROOTFS (see rootfs.sh), which
# does not change. $LAB contains keys and logs; the directory $LAB_SHARED is /srv/packages on all
# hosts. Needs root, systemd-nspawn, iproute2 and an ssh client.
set -euo pipefail
. "$(dirname "$0")/../failing.sh"
: "${LAB:?a directory for keys and logs}" "${LAB_ROOTFS:?made by rootfs.sh}"
network=10.77.0
# Names of interfaces have 15 letters at most.
tag=${LAB_TAG:-$(printf '%s' "$LAB" | cksum | cut -c1-5)}
bridge=etcdbr$tag
namespace() { echo "etcdlab$tag-$1"; }
inside() { ip netns exec "$bridge" "$@"; }
address() { echo "$network.1$1"; }
options() { echo -q -i "$LAB/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=10; }

# Runs a command on a host. Several arguments are quoted for the remote shell.
run() { # host, command...
    local host=$1
    shift
    # shellcheck disable=SC2046
    inside ssh $(options) "root@$(address "$host")" "$(if [ $# = 1 ]; then printf '%s' "$1"; else printf '%q ' "$@"; fi)"
}
put() { # host, file, path
    run "$1" "cat >$(printf %q "$3")" <"$2"
}

boot() { # host
    local name=etcd$1 binds=()
    [ -z "${LAB_SHARED:-}" ] || binds=("--bind-ro=$LAB_SHARED:/srv/packages")
    echo "$name" >"$LAB/$name.hostname"
    # A separate process group, so that an interrupt reaches the test only.
    setsid systemd-nspawn --quiet --register=no --keep-unit --directory="$LAB_ROOTFS" --volatile=overlay --boot --machine="lab$tag-$1" --hostname="$name" \
        --network-namespace-path="/run/netns/$(namespace "$1")" --bind-ro="$LAB/key.pub:/root/.ssh/authorized_keys" --bind-ro="$LAB/$name.hostname:/etc/hostname" \
        --bind-ro="$LAB/hosts:/etc/hosts" "${binds[@]}" >"$LAB/$name.log" 2>&1 </dev/null &
    echo $! >"$LAB/$name.pid"
}
wait_for_boot() { # host
    local left state
    for left in $(seq 600 -1 0); do
        # Failed units of the system are ignored.
        state=$(run "$1" "systemctl is-system-running --wait" 2>/dev/null) || true
        case $state in running | degraded) return ;; esac
        kill -0 "$(cat "$LAB/etcd$1.pid")" 2>/dev/null || break
        sleep 0.2
    done
    echo "lab: etcd$1 did not boot ($left tries left):" >&2
    tail -20 "$LAB/etcd$1.log" >&2
    return 1
}

up() { # number of hosts
    local i
    mkdir -p "$LAB"
    [ -f "$LAB/key" ] || ssh-keygen -q -t ed25519 -N '' -f "$LAB/key"
    { echo "127.0.0.1 localhost"; for i in $(seq "$1"); do echo "$(address "$i") etcd$i"; done; } >"$LAB/hosts"
    ip netns add "$bridge"
    inside sh -c "ip link set lo up && ip link add br0 type bridge && ip address add $network.1/24 dev br0 && ip link set br0 up"
    for i in $(seq "$1"); do
        ip netns add "$(namespace "$i")"
        ip link add "v$tag-$i" netns "$bridge" type veth peer name eth0 netns "$(namespace "$i")"
        inside ip link set "v$tag-$i" master br0 up
        ip netns exec "$(namespace "$i")" sh -c "ip link set lo up && ip address add $(address "$i")/24 dev eth0 && ip link set eth0 up"
        boot "$i"
    done
    for i in $(seq "$1"); do wait_for_boot "$i"; done
}

# Stops a host in order, or like a power failure (kill). The data of the host is lost either way.
off() { # host
    local pid
    pid=$(cat "$LAB/etcd$1.pid")
    kill -TERM "$pid" 2>/dev/null || true
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    power_cut "$1"
}
power_cut() { # host
    local pid
    pid=$(cat "$LAB/etcd$1.pid")
    kill -KILL "$pid" 2>/dev/null || true
    # The host outlives its systemd-nspawn; killing its first process ends all others.
    until [ -z "$(ip netns pids "$(namespace "$1")")" ]; do
        ip netns pids "$(namespace "$1")" | xargs -r kill -KILL 2>/dev/null || true
        sleep 0.1
    done
}
# Succeeds if any host is up.
is_up() {
    local file
    for file in "$LAB"/etcd*.pid; do if [ -f "$file" ] && kill -0 "$(cat "$file")" 2>/dev/null; then return; fi; done
    return 1
}
down() {
    local file name
    for file in "$LAB"/etcd*.pid; do
        [ -f "$file" ] || continue
        name=$(basename "$file" .pid)
        off "${name#etcd}"
        rm "$file"
    done
    for name in $(ip netns list | awk -v tag="$tag" '$1 ~ "^etcdlab" tag "-" || $1 == "etcdbr" tag { print $1 }'); do ip netns delete "$name"; done
}

case ${1:-} in
up) up "$2" ;;
down) down ;;
# The exit status of the command on the host is passed on.
run) shift && run "$@" || exit ;;
put) put "$2" "$3" "$4" ;;
inside) shift && inside "$@" || exit ;;
options) options ;;
off) off "$2" ;;
kill) power_cut "$2" ;;
is-up) is_up || exit ;;
boot) boot "$2" && wait_for_boot "$2" ;;
cut) inside ip link set "v$tag-$2" down ;;
heal) inside ip link set "v$tag-$2" up ;;
*) sed -n 2,7p "$0" && exit 2 ;;
esac
