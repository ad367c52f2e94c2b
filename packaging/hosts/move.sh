# shellcheck shell=bash
# Sourced by test.sh: a real etcd's cluster is moved onto our members, as RUNBOOKS.md says it, on hosts that begin empty.
# shellcheck disable=SC2154,SC2016

real=${ETCD_BIN_DIR:-}
ctl() { lab inside "$real/etcdctl" --endpoints "$everywhere" "$@" </dev/null; }
# A member of etcd may not yet know the token that another one gave out, and refuses what it is asked.
as_user() { # name:password, words
    local user=$1 try
    shift
    for try in 1 2 3 4 5; do
        if ctl --user "$user" "$@" >"$work/ctl.out" 2>"$work/ctl.log"; then
            cat "$work/ctl.out"
            return
        fi
        grep -q 'invalid auth token' "$work/ctl.log" || break
        sleep 0.2
    done
    echo "$try tries: $(cat "$work/ctl.log")" >&2
    return 1
}
as_root() { as_user root:secret "$@"; }
as_app() { as_user app:secret "$@"; }

# As a site has it that put etcd there by hand: its program, its unit, its settings as variables, its data in etcd's usual place.
real_member() { # host
    on "$1" "useradd --system --home-dir /var/lib/etcd etcd; install -d -o etcd -g etcd -m 0700 /var/lib/etcd; cp /srv/packages/real/etcd /usr/local/bin/
cat >/etc/default/etcd <<'SETTINGS'
ETCD_NAME=etcd$1
ETCD_DATA_DIR=/var/lib/etcd
ETCD_LISTEN_CLIENT_URLS=http://10.77.0.1$1:2379,http://127.0.0.1:2379
ETCD_ADVERTISE_CLIENT_URLS=http://10.77.0.1$1:2379
ETCD_LISTEN_PEER_URLS=http://10.77.0.1$1:2380
ETCD_INITIAL_ADVERTISE_PEER_URLS=http://10.77.0.1$1:2380
ETCD_INITIAL_CLUSTER=\"$three\"
ETCD_INITIAL_CLUSTER_TOKEN=real
ETCD_INITIAL_CLUSTER_STATE=new
ETCD_HEARTBEAT_INTERVAL=\"200\"
ETCD_ELECTION_TIMEOUT=2000
ETCD_ENABLE_V2=false
SETTINGS
cat >/etc/systemd/system/etcd.service <<'UNIT'
[Service]
Type=notify
User=etcd
EnvironmentFile=/etc/default/etcd
ExecStart=/usr/local/bin/etcd
[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload && systemctl enable --now --no-block etcd 2>/dev/null"
}

real_cluster() {
    local host
    mkdir -p "$work/packages/real"
    cp "$real/etcd" "$work/packages/real/"
    # All empty before the first one starts, or it would meet members of an earlier run.
    for host in 1 2 3; do fresh $host; done
    for host in 1 2 3; do real_member $host; done
    for host in 1 2 3; do until_true "a real etcd runs on etcd$host" $host "systemctl is-active etcd"; done
}

# Keys with a history that is compacted in part, leases, users who may not do everything.
fill() {
    local i
    for i in $(seq 40); do ctl put "app/$i" first; done >/dev/null
    ctl del app/3 --prefix >/dev/null
    ctl compact 40 >/dev/null
    for i in $(seq 20); do ctl put "app/$i" second; done >/dev/null
    lease=$(ctl lease grant 3600 | grep -o '[0-9a-f]\{16\}')
    ctl put app/leased kept --lease="$lease" >/dev/null
    ctl user add root:secret >/dev/null
    ctl user add app:secret >/dev/null
    ctl role add app >/dev/null
    ctl role grant-permission app --prefix readwrite app/ >/dev/null
    ctl user grant-role root root >/dev/null
    ctl user grant-role app app >/dev/null
    ctl auth enable >/dev/null
}

count() { # from, to: what a watcher has to see, each once and in order
    local i
    for i in $(seq "$1" "$2"); do as_app put app/count "$i" >/dev/null || fail "put $i"; done
}
# The hash of every member at a revision, and where history begins: one line, if they agree.
hashes() { # revision
    as_root endpoint hashkv --rev "$1" -w json | python3 -c 'import json, sys
for told in sorted({(one["HashKV"]["hash"], one["HashKV"].get("compact_revision", 0)) for one in json.load(sys.stdin)}): print(*told)'
}
revision() { as_root get none -w json | python3 -c 'import json, sys; print(json.load(sys.stdin)["header"]["revision"])'; }

# The runbook's steps: all members of etcd are stopped first, so that none of them meets ours.
stop_real() {
    local host stops=()
    for host in 1 2 3; do
        on $host "systemctl disable --now etcd 2>/dev/null; rm /etc/systemd/system/etcd.service && systemctl daemon-reload && mv /var/lib/etcd /var/lib/etcd.before" </dev/null &
        stops+=($!)
    done
    wait "${stops[@]}"
}
move_host() { # host
    install_from "$1" old
    lab put "$1" "$work/moving.db" /root/moving.db
    on "$1" "etcd-admin adopt --data-dir /var/lib/etcd" >"$work/log" 2>&1 || fail "adopt: $(cat "$work/log")"
    on "$1" "etcd-admin snapshot restore /root/moving.db --exact --name etcd$1 --initial-cluster $three --initial-cluster-token moved --data-dir /var/lib/etcd &&
        chown -R etcd:etcd /var/lib/etcd" >"$work/log" 2>&1 || fail "restore: $(cat "$work/log")"
    on "$1" "etcd-server --check-config --config-file /etc/etcd/etcd.yaml" >"$work/log" 2>&1 || fail "the configuration: $(cat "$work/log")"
}

chapter_moved() {
    local at before leases host begun_moving
    [ -x "$real/etcd" ] && [ -x "$real/etcdctl" ] || { echo "left out: no etcd and etcdctl in \$ETCD_BIN_DIR"; return; }
    real_cluster
    fill
    at=$(revision)
    lab inside python3 "$here/watch.py" "$work/watched" $((at + 1)) "$real/etcdctl" --endpoints "$everywhere" --user app:secret watch app/count 2>"$work/watched.log" </dev/null &
    count 1 20
    at=$(revision)
    before=$(hashes "$at")
    leases=$(as_root lease list)
    begun_moving=$(date +%s%N)
    lab inside "$real/etcdctl" --endpoints http://10.77.0.11:2379 --user root:secret snapshot save "$work/moving.db" >"$work/log" 2>&1 </dev/null || fail "snapshot save: $(cat "$work/log")"
    stop_real
    for host in 1 2 3; do move_host $host; done
    for host in 1 2 3; do on $host "systemctl enable --now etcd-server 2>/dev/null"; done
    until_true "three of ours serve" 1 "etcd-admin wait --for healthy --timeout 60s --user root:secret"
    pass "after $((($(date +%s%N) - begun_moving) / 1000000)) ms without service"
    [ "$(hashes "$at")" = "$before" ] && pass "their hash at revision $at is that of the real members: $before" || fail "the hash at $at was $before, and is $(hashes "$at")"
    is "the settings were carried over" "heartbeat-interval: 200" 1 "grep heartbeat /etc/etcd/etcd.yaml"
    [ "$(as_root lease list)" = "$leases" ] && as_root lease timetolive "$lease" --keys | grep -q "app/leased" && pass "leases live on" || fail "leases: $(as_root lease timetolive "$lease" --keys)"
    count 21 40
    if as_app put other/key value >"$work/log" 2>&1; then fail "who may not write there does"; else pass "permissions hold: $(grep -om1 'permission denied' "$work/log")"; fi
    until_watched 40
    [ "$(cat "$work/watched")" = "$(seq 40)" ] && pass "a watcher saw every event once and in order, before and after; $(grep '^begun' "$work/watched.log" | tail -1)" ||
        fail "a watcher saw: $(tr '\n' ' ' <"$work/watched") and said: $(cat "$work/watched.log")"
    kill "$(cat "$work/watched.pid")"
    as_root lease revoke "$lease" >/dev/null
    [ -z "$(as_root get app/leased)" ] && pass "a lease that is revoked takes its key along" || fail "the key of a revoked lease is there"
    until_true "all is well" 2 "etcd-admin status --user root:secret"
}
until_watched() { # number
    local until=$((SECONDS + 30))
    while [ $SECONDS -lt $until ]; do
        if grep -qx "$1" "$work/watched"; then return; fi
        sleep 0.2
    done
    fail "the watcher does not go on"
}
