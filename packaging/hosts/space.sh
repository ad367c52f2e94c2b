# shellcheck shell=bash
# Sourced by test.sh: what ends when there is no room, as RUNBOOKS.md says it: the quota of the cluster, and the disk of one host.
# shellcheck disable=SC2154,SC2016

everywhere="http://10.77.0.11:2379,http://10.77.0.12:2379,http://10.77.0.13:2379"
in_place="systemctl show --property=StatusText etcd-server | grep -Eq '(leader|follower).*voters 3'"

# One value that is written again and again: what it was before is history.
overwrite() { # host, how often: until it is refused
    on "$1" "head -c 1000000 /dev/zero | tr '\\0' x >/root/value; for i in \$(seq $2); do etcd-admin put big </root/value >/dev/null || break; done" 2>&1 || true
}
set_quota() { # bytes; nothing takes the setting out
    local host
    for host in 1 2 3; do
        on $host "sed -i '/^quota-backend-bytes:/d' /etc/etcd/etcd.yaml; [ -z '${1:-}' ] || echo 'quota-backend-bytes: ${1:-}' >>/etc/etcd/etcd.yaml; systemctl restart etcd-server"
        until_true "etcd$host is back with ${1:-no} quota" $host "$in_place"
    done
}

chapter_quota() {
    local said
    set_quota 20000000
    said=$(overwrite 1 40)
    grep -q "database space exceeded" <<<"$said" && pass "a write beyond the quota is refused" || fail "no write was refused: $said"
    says "the journal has it under its id" "the quota is used up" 1 "journalctl --no-pager --output=cat MESSAGE_ID=67a9d381d05343b5b34a16c3f891ac7f"
    says "status tells why" NOSPACE 2 "etcd-admin status"
    is "and ends with 3" 3 2 "etcd-admin status >/dev/null 2>&1; echo \$?"
    says "reads go on" "by the cluster" 3 "etcd-admin get kept"
    says "the alarm is explained" "etcd-admin maintenance reclaim" 1 "etcd-admin explain NOSPACE"
    says "what would be done is told" "would compact up to revision" 1 "etcd-admin maintenance reclaim --dry-run"
    says "and is not done" NOSPACE 1 "etcd-admin alarm list"
    says "the runbook's step gives room" "etcd3: [0-9.]+ MB before, [0-9.]+ [kM]?B now" 1 "etcd-admin maintenance reclaim --yes"
    is "the alarm is gone" "" 1 "etcd-admin alarm list"
    says "a write" OK 2 "etcd-admin put kept 'by the cluster'"
    set_quota
}

# Puts the data of a host on a file system of its own, so small that it can be filled.
small_disk() { # host, size
    on "$1" "systemctl stop etcd-server && cp -a /var/lib/etcd /var/lib/etcd.large && mount -t tmpfs -o size=$2,mode=0700,uid=etcd,gid=etcd small /var/lib/etcd &&
        cp -a /var/lib/etcd.large/. /var/lib/etcd && systemctl start etcd-server"
    until_true "etcd$1 has a small disk" "$1" "$in_place"
}

# How often the load's key was written, as one member knows it by itself: at least as often as was acknowledged, or something is lost.
none_lost() { # host
    local acknowledged there
    acknowledged=$(grep -o '^[0-9]* writes' "$work/load.out" | grep -o '[0-9]*')
    there=$(on "$1" "etcd-admin get load --consistency=s -w json" </dev/null | python3 -c 'import json, sys; print(json.load(sys.stdin)["kvs"][0]["version"])')
    [ "$there" -ge "$acknowledged" ] && pass "etcd$1 has every acknowledged write ($acknowledged of $there)" || fail "etcd$1 knows of $there writes, acknowledged were $acknowledged"
}

chapter_full_disk() {
    on 1 "etcd-admin del load" </dev/null >/dev/null
    small_disk 2 320m
    patience 2 30
    until_true "etcd2 is tried again quickly" 2 "$in_place"
    writes_begin --endpoints "$everywhere"
    on 2 "dd if=/dev/zero of=/var/lib/etcd/ballast bs=1M 2>/dev/null" </dev/null || true
    says "a doctor tells of it" "disk-space.*(0 B|[0-9.]+ kB) free" 2 "etcd-admin doctor host"
    overwrite 1 150 >"$work/log"
    until_true "etcd2 ends, and is not tried for ever" 2 "[ \"\$(systemctl is-failed etcd-server)\" = failed ]"
    says "its journal tells why" "No space left on device|no space" 2 "journalctl --no-pager --output=verbose -u etcd-server"
    says "under its id" "member cannot continue" 2 "journalctl --no-pager --output=cat MESSAGE_ID=6b115643cfd245e38b3baf02f6f3f5e6"
    says "and what to do" "No space left on device: make room" 2 "journalctl --no-pager --catalog -u etcd-server | tail -60"
    says "the others serve" OK 1 "etcd-admin put kept 'by the cluster'"
    is "status tells who is away" 3 3 "etcd-admin status >/dev/null 2>&1; echo \$?"
    on 2 "rm /var/lib/etcd/ballast && systemctl reset-failed etcd-server && systemctl start etcd-server"
    until_true "with room it is started, and caught up" 1 "etcd-admin wait --for caught-up --member etcd2 --timeout 60s"
    writes_end
    until_true "all follow" 2 "$in_place"
    local host
    for host in 1 2 3; do none_lost $host; done
    says "the data are those of the others" "by the cluster" 2 "etcd-admin get --consistency=s kept"
    # Chapters that follow find the host with room, and little in it.
    on 2 "mount -o remount,size=2g /var/lib/etcd"
    on 1 "etcd-admin maintenance reclaim --yes" >"$work/log" 2>&1 || fail "reclaim: $(cat "$work/log")"
}
