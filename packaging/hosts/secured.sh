# shellcheck shell=bash
# Sourced by test.sh: certificates and snapshots as RUNBOOKS.md has them, on a cluster with TLS that
# `etcd-admin init` has made. The CAs are on the machine of the test, as on an administrator's.
# shellcheck disable=SC2154,SC2016

secured="https://10.77.0.11:2379,https://10.77.0.12:2379,https://10.77.0.13:2379"
cas() { "$binaries/etcd-admin" --ca-dir "$work/cas" "$@" </dev/null; }
signing() { cas "$@" --passphrase-file "$work/passphrase"; }
# A command that has to succeed, and says nothing then.
must() { "$@" >"$work/log" 2>&1 || fail "$*: $(tail -20 "$work/log")"; }

# Copies files to a directory of a host.
bring() { # host, directory, files
    local host=$1 directory=$2 file
    shift 2
    on "$host" "mkdir -p $directory" </dev/null
    for file in "$@"; do lab put "$host" "$file" "$directory/$(basename "$file")"; done
}

chapter_secured() {
    local host kind requests
    rm -rf "$work/cas" "$work/secured" && mkdir -p "$work/secured"
    for host in 1 2 3; do fresh $host; done
    (umask 077 && echo "a passphrase of the test" >"$work/passphrase")
    "$binaries/etcd-admin" init new secured etcd1=10.77.0.11 etcd2=10.77.0.12 etcd3=10.77.0.13 >"$work/secured/cluster.yaml"
    must signing ca init
    for host in 1 2 3; do
        install_from $host old
        lab put $host "$work/secured/cluster.yaml" /etc/etcd/cluster.yaml
        says "etcd$host makes its keys and requests" "init sign --member etcd$host" $host "etcd-admin init apply"
        requests=$work/secured/requests$host
        mkdir "$requests"
        for kind in server peer; do on $host "cat /etc/etcd/pki/pending/$kind.csr" >"$requests/$kind.csr" </dev/null; done
        must signing init sign --cluster "$work/secured/cluster.yaml" --member "etcd$host" --requests "$requests" --out "$work/secured/signed$host"
        bring $host /root/signed "$work/secured/signed$host"/*
        must on $host "etcd-admin init apply --signed /root/signed && systemctl enable --now etcd-server 2>/dev/null"
    done
    until_true "three members serve with TLS" 1 "etcd-admin wait --for healthy --timeout 60s"
    is "applied again, nothing changes" false 2 "etcd-admin -o json init apply | python3 -c 'import json, sys; print(str(json.load(sys.stdin)[\"changed\"]).lower())'"
    is "they enforce both lists" "2 2" 3 "echo \$(grep -c 'crl-file: /etc/etcd/pki/current/' /etc/etcd/etcd.yaml) \$(ls /etc/etcd/pki/current/*-crl.pem | wc -l)"
}

# A client with a certificate of its own.
issue() { # name
    rm -rf "$work/issued"
    must signing cert issue client --cn "$1" --out "$work/issued"
    mv -f "$work"/issued/* "$work/secured"
}
as_holder() { # name, words; $at names other endpoints than all
    local name=$1 files=$work/secured
    shift
    lab inside "$binaries/etcd-admin" "$@" --endpoints "${at:-$secured}" --cacert "$files/client-ca.crt" --cert "$files/client-$name.crt" --key "$files/client-$name.key" </dev/null
}
# Holds a connection to the first member in the background.
hold() { # name
    local files=$work/secured
    rm -f "$work/held.$1"
    lab inside python3 "$here/hold.py" "$work/held.$1" 10.77.0.11 "$files/client-ca.crt" "$files/client-$1.crt" "$files/client-$1.key" </dev/null >/dev/null 2>&1 &
    held+=($!)
    within "$1 has a connection" grep -q open "$work/held.$1"
}
within() { # what, command
    local what=$1 until=$((SECONDS + 60))
    shift
    while [ $SECONDS -lt $until ]; do
        if "$@" >/dev/null 2>&1; then pass "$what"; return; fi
        sleep 0.2
    done
    fail "$what: not within its time"
}

refused() { # name, host
    ! at=https://10.77.0.1$2:2379 as_holder "$1" get a >"$work/log" 2>&1
}

# Issues two certificates, revokes one of them, and sees its holder disconnected and refused.
revoke_and_see() { # how a list reaches a host, a function of host and file
    local publish=$1 lost=lost-$1 kept=kept-$1 held=() host processes
    issue "$lost"
    issue "$kept"
    must as_holder "$lost" put "$lost" served
    hold "$lost"
    hold "$kept"
    processes=$(for host in 1 2 3; do on $host "$(property MainPID)" </dev/null; done)
    must cas cert revoke "$work/secured/client-$lost.crt"
    must signing crl publish --kind client
    for host in 1 2 3; do must "$publish" $host "$work/cas/client/crl.pem"; done
    within "the connection of the revoked client is closed" grep -q closed "$work/held.$lost"
    # A member reads a new list within a second.
    for host in 1 2 3; do within "etcd$host refuses it" refused "$lost" $host; done
    grep -qi revoked "$work/log" && pass "and the reason is named" || fail "no reason: $(cat "$work/log")"
    says "the journal of the member names it" "revoked" 1 "journalctl --no-pager --output=verbose -u etcd-server | grep -i revoked | tail -3"
    must as_holder "$kept" put "$kept" served
    [ "$(cat "$work/held.$kept")" = open ] && pass "another client keeps its connection" || fail "another client: $(cat "$work/held.$kept")"
    [ "$(for host in 1 2 3; do on $host "$(property MainPID)" </dev/null; done)" = "$processes" ] && pass "no member was restarted" || fail "a member was restarted"
    kill "${held[@]}" 2>/dev/null || true
}
list_by_init() { # host, file
    on "$1" "rm -rf /root/signed && mkdir /root/signed" </dev/null
    lab put "$1" "$2" /root/signed/client-crl.pem
    on "$1" "etcd-admin init apply --signed /root/signed" </dev/null
}
list_by_hand() { # host, file
    lab put "$1" "$2" /root/crl.pem
    on "$1" "etcd-admin cert install --dir /etc/etcd/pki --client-crl /root/crl.pem" </dev/null
}

chapter_revoked_by_init() { revoke_and_see list_by_init; }

chapter_revoked_by_hand() {
    local host
    revoke_and_see list_by_hand
    # A member's certificate, too: the others disconnect it, until it has another one.
    on 3 "cat /etc/etcd/pki/current/peer.crt" >"$work/secured/peer3.crt" </dev/null
    must cas cert revoke "$work/secured/peer3.crt"
    must signing crl publish --kind peer
    for host in 1 2; do
        lab put $host "$work/cas/peer/crl.pem" /root/peer-crl.pem
        must on $host "etcd-admin cert install --dir /etc/etcd/pki --peer-crl /root/peer-crl.pem"
    done
    until_true "a member with a revoked certificate is disconnected" 1 "etcd-admin status | grep -q 'NOT HEALTHY'"
    must on 3 "etcd-admin cert request peer 10.77.0.13 --cn etcd3 --dir /etc/etcd/pki"
    on 3 "cat /etc/etcd/pki/pending/peer.csr" >"$work/secured/peer3.csr" </dev/null
    rm -f "$work/secured/peer3.new.crt"
    must signing cert sign "$work/secured/peer3.csr" --profile peer --cn etcd3 --san 10.77.0.13 --out "$work/secured/peer3.new.crt"
    bring 3 /root/signed "$work/secured/peer3.new.crt" "$work/cas/peer/crl.pem"
    must on 3 "etcd-admin cert install --dir /etc/etcd/pki --cert /root/signed/peer3.new.crt --peer-crl /root/signed/crl.pem"
    until_true "with another one it is a member again" 1 "etcd-admin wait --for healthy --timeout 20s"
}

# A list of the clients' CA that is almost a year old, as one that nothing has renewed.
old_list() { # file
    local config=$work/secured/openssl.cnf
    : >"$work/secured/index.txt"
    echo 00 >"$work/secured/number"
    printf '%s\n' "[ca]" "default_ca = own" "[own]" "database = $work/secured/index.txt" "crlnumber = $work/secured/number" "default_md = sha256" \
        "crl_extensions = list" "[list]" "authorityKeyIdentifier = keyid" >"$config"
    openssl ca -config "$config" -gencrl -keyfile "$work/cas/client/ca.key" -passin "file:$work/passphrase" -cert "$work/cas/client/ca.crt" \
        -crl_lastupdate "$(date -u -d '-335 days' +%Y%m%d%H%M%SZ)" -crl_nextupdate "$(date -u -d '+30 days' +%Y%m%d%H%M%SZ)" -out "$1"
}

chapter_renewed_lists() {
    local number="etcd-admin -o json crl show /etc/etcd/pki/current/client-crl.pem | python3 -c 'import json, sys; print(json.load(sys.stdin)[0][\"number\"])'" published kind
    published=$(cas -o json crl show "$work/cas/client/crl.pem" | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["number"])')
    mkdir -p "$work/packages/published"
    cp "$work/cas/client/crl.pem" "$work/packages/published/client-crl.pem"
    cp "$work/cas/peer/crl.pem" "$work/packages/published/peer-crl.pem"
    # The site's own part: how a list comes to a member.
    printf '#!/bin/sh\nexec etcd-admin cert install --dir /etc/etcd/pki "--$1" "/srv/packages/published/$1.pem"\n' >"$work/secured/renew-certificate"
    lab put 2 "$work/secured/renew-certificate" /etc/etcd/renew-certificate
    on 2 "chmod 0755 /etc/etcd/renew-certificate"
    for kind in client peer; do
        says "a $kind list that is not due is left alone" "not due" 2 "systemctl start etcd-crl-renewal@$kind.service; journalctl --no-pager --output=cat -u etcd-crl-renewal@$kind.service"
    done
    old_list "$work/secured/old.pem" >"$work/log" 2>&1 || fail "no old list: $(cat "$work/log")"
    must list_by_hand 2 "$work/secured/old.pem"
    is "a list that nothing renewed is there" 0 2 "$number"
    on 2 "mkdir -p /run/systemd/system/etcd-crl-renewal@.timer.d && printf '[Timer]\nOnCalendar=*:*:0/2\nRandomizedDelaySec=0\nAccuracySec=100ms\n' >/run/systemd/system/etcd-crl-renewal@.timer.d/often.conf && systemctl daemon-reload"
    is "its timer is enabled" "active" 2 "systemctl enable --now etcd-crl-renewal@client.timer 2>/dev/null; systemctl is-active etcd-crl-renewal@client.timer"
    until_true "the timer renews it" 2 "[ \"\$($number)\" = $published ]"
    until_true "and leaves it alone then" 2 "[ \$(journalctl --no-pager --output=cat -u etcd-crl-renewal@client.service | grep -c 'not due') -ge 2 ]"
    on 2 "systemctl disable --now etcd-crl-renewal@client.timer 2>/dev/null"
    if at=https://10.77.0.12:2379 as_holder lost-list_by_hand get a >"$work/log" 2>&1; then fail "a revoked client is served"; else pass "the member enforces it"; fi
    until_true "all is well" 2 "etcd-admin status"
}

# The host whose member leads.
leader_host() { on 1 "etcd-admin -o json leader show" </dev/null | python3 -c 'import json, sys; print(json.load(sys.stdin)["name"][len("etcd"):])'; }
snapshots_of() { on "$1" "ls /var/backups/etcd | grep -c '\\.db\$'" </dev/null || true; }
metric_of() { # host, name
    on "$1" "sed -n 's/^$2 //p' /var/lib/etcd-snapshot/etcd_snapshot.prom" </dev/null
}
# Runs the service of the timer on hosts, and waits for its end.
slot() { # hosts
    local host
    for host in "$@"; do on "$host" "rm -f /var/backups/etcd/*.db*; systemctl restart etcd-snapshot.service 2>/dev/null" </dev/null || true; done
}

chapter_scheduled_snapshots() {
    local host leader others=() second
    for host in 1 2 3; do is "etcd$host has its timer without further steps" "active enabled" $host "echo \$(systemctl is-active etcd-snapshot.timer) \$(systemctl is-enabled etcd-snapshot.timer)"; done
    leader=$(leader_host)
    slot 1 2 3
    for host in 1 2 3; do
        is "etcd$host ran well" success $host "systemctl show --value --property=Result etcd-snapshot.service"
        if [ "$host" = "$leader" ]; then
            [ "$(snapshots_of $host)" = 1 ] && pass "the leader's host, etcd$host, has the snapshot" || fail "etcd$host leads and has $(snapshots_of $host) snapshots"
        else
            others+=("$host")
            [ "$(snapshots_of $host)" = 0 ] && pass "etcd$host has none" || fail "etcd$host has $(snapshots_of $host), too"
            says "and says why" "skipped: etcd$leader leads and saves it" $host "journalctl --no-pager --output=cat -u etcd-snapshot.service"
        fi
    done
    is "all users may read its metrics" "755 644 1" "$leader" "cd /var/lib/etcd-snapshot && echo \$(stat -c %a . etcd_snapshot.prom) \$(grep -c '^etcd_snapshot_timestamp_seconds{cluster_id=' etcd_snapshot.prom)"
    on "$leader" "systemctl stop etcd-server" </dev/null
    until_true "the others have a leader" "${others[0]}" "etcd-admin -o json status | grep '\"leader\":' | grep -qv etcd$leader"
    slot "${others[@]}"
    second=0
    for host in "${others[@]}"; do second=$((second + $(snapshots_of "$host"))); done
    [ "$second" = 1 ] && pass "with the leader away, one of the others saves" || fail "the others saved $second snapshots"
    on "$leader" "systemctl start etcd-server" </dev/null
    until_true "it is back" "${others[0]}" "etcd-admin wait --for healthy --timeout 60s"
}

chapter_snapshots_with_users() {
    local leader
    on 1 "etcd-admin user add root:secret && etcd-admin user grant-role root root && etcd-admin auth enable" </dev/null >"$work/log" 2>&1 || fail "authentication: $(cat "$work/log")"
    leader=$(on 1 "etcd-admin -o json leader show --user root:secret" </dev/null | python3 -c 'import json, sys; print(json.load(sys.stdin)["name"][len("etcd"):])')
    slot "$leader"
    says "without a user it fails, and says what to do" "ETCDCTL_USER=NAME:PASSWORD to /etc/etcd/snapshot.env" "$leader" "journalctl --no-pager --output=cat -u etcd-snapshot.service"
    on "$leader" "(umask 027 && echo ETCDCTL_USER=root:secret >/etc/etcd/snapshot.env && chgrp etcd /etc/etcd/snapshot.env)" </dev/null
    slot "$leader"
    [ "$(snapshots_of "$leader")" = 1 ] && pass "with one it succeeds" || fail "with a user: $(on "$leader" "journalctl --no-pager --lines=20 -u etcd-snapshot.service" </dev/null)"
    must on 1 "etcd-admin auth disable --user root:secret"
}

chapter_snapshots_on_a_full_disk() {
    local leader
    leader=$(leader_host)
    on "$leader" "rm -f /var/backups/etcd/*; mount -t tmpfs -o size=16m,mode=0700,uid=etcd,gid=etcd small /var/backups/etcd &&
        mkdir -p /run/systemd/system/etcd-snapshot.service.d && printf '[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=3s\n' >/run/systemd/system/etcd-snapshot.service.d/soon.conf && systemctl daemon-reload" </dev/null
    on "$leader" "head -c 12000000 /dev/zero >/var/backups/etcd/ballast; for i in 1 2 3 4 5 6; do head -c 1000000 /dev/zero | tr '\\0' x | etcd-admin put big\$i >/dev/null; done" </dev/null
    slot "$leader"
    until_true "a snapshot that does not fit fails" "$leader" "[ \$(systemctl show --value --property=Result etcd-snapshot.service) = exit-code ]"
    is "and leaves nothing" ballast "$leader" "ls /var/backups/etcd"
    [ "$(metric_of "$leader" etcd_snapshot_last_run_failed)" = 1 ] && pass "metrics show it" || fail "metrics: $(on "$leader" "cat /var/lib/etcd-snapshot/etcd_snapshot.prom" </dev/null)"
    says "so does doctor host" "BAD +snapshot .*the last run on this host failed" "$leader" "etcd-admin doctor host --no-probe"
    says "and status" "snapshot etcd-snapshot.service: the last run on this host failed" "$leader" "etcd-admin status"
    until_true "it is repeated" "$leader" "[ \$(journalctl --no-pager --output=cat -u etcd-snapshot.service | grep -c 'No space left on device') -ge 2 ]"
    on "$leader" "rm /var/backups/etcd/ballast" </dev/null
    until_true "with the disk freed, the next one succeeds by itself" "$leader" "ls /var/backups/etcd/*.db && [ \$(systemctl show --value --property=Result etcd-snapshot.service) = success ]"
    [ "$(metric_of "$leader" etcd_snapshot_last_run_failed)" = 0 ] && pass "metrics show that, too" || fail "metrics: $(on "$leader" "cat /var/lib/etcd-snapshot/etcd_snapshot.prom" </dev/null)"
    says "it can be restored" "returned the same hash" "$leader" "etcd-admin snapshot verify --test-restore \$(ls -t /var/backups/etcd/*.db | head -1)"
    says "doctor host finds nothing bad" "ok +snapshot" "$leader" "etcd-admin doctor host --no-probe"
}
