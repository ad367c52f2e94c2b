# shellcheck shell=bash
# Sourced by test.sh: what is tried on the hosts, a function each, in this order. $work, $binaries, $here, lab, on, is, says, until_true and the like
# are test.sh's and common.sh's.
# shellcheck disable=SC2154

three="etcd1=http://10.77.0.11:2380,etcd2=http://10.77.0.12:2380,etcd3=http://10.77.0.13:2380"

chapter_installed() {
    local host directory
    for host in 1 2 3; do install_from $host old; done
    is "disabled" disabled 1 "systemctl is-enabled etcd-server"
    is "stopped" inactive 1 "systemctl is-active etcd-server"
    is "no timer is on" "" 1 "systemctl list-timers --no-legend 'etcd-*'"
    while read -r directory; do
        is "$directory" "$directory" 1 "stat -c '%n %a %U:%G' ${directory%% *}"
    done <<'LIST'
/etc/etcd 750 root:etcd
/etc/etcd/pki 750 root:etcd
/var/lib/etcd-appliance 700 etcd:etcd
/var/lib/etcd 700 etcd:etcd
/var/backups/etcd 700 etcd:etcd
/usr/bin/etcd-server 755 root:root
/usr/lib/systemd/system/etcd-server.service 644 root:root
LIST
    is "without a configuration a start is left out, not failed" "no inactive success" 1 \
        "systemctl start etcd-server && echo \$($(property ConditionResult)) \$($(property ActiveState)) \$($(property Result))"
}

chapter_started() {
    local host began took
    for host in 1 2 3; do configure $host "$three" new; done
    # Comes back with nobody else there: a member that waited for the others would hold up whoever starts them one by one.
    began=$(date +%s%N)
    is "the first of three is started" active 1 "systemctl enable --now etcd-server 2>/dev/null; systemctl is-active etcd-server"
    took=$((($(date +%s%N) - began) / 1000000))
    [ $took -lt 5000 ] && pass "at once: $took ms" || fail "it took $took ms"
    until_true "it says what it waits for" 1 "systemctl show --property=StatusText etcd-server | grep -q 'waiting for quorum 1/3'"
    for host in 2 3; do on $host "systemctl enable --now etcd-server 2>/dev/null"; done
    for host in 1 2 3; do until_true "etcd$host has a leader" $host "systemctl show --property=StatusText etcd-server | grep -Eq '(leader|follower), term [0-9]+, revision [0-9]+, voters 3'"; done
    says "a write at one" OK 1 "etcd-admin put kept 'by the cluster'"
    says "is read at another" "by the cluster" 3 "etcd-admin get kept"
}

chapter_seen() {
    # The line is renewed once a second.
    until_true "systemctl status tells role and revision" 1 \
        "systemctl status --no-pager etcd-server | grep -Eq 'Status: \"(leader|follower), term [0-9]+, revision 2, voters 3\"'"
    says "the journal finds a member's messages by field" "raft role changed" 1 "journalctl --no-pager ETCD_MEMBER=etcd1"
    says "and what they are about" "raft role changed" 1 "journalctl --no-pager --output=cat ETCD_MEMBER=etcd1 ETCD_ROLE=Follower + ETCD_MEMBER=etcd1 ETCD_ROLE=Leader"
    local id
    id=$(sed -n 's/^    ("\([0-9a-f]*\)", "raft role changed"),/\1/p' "$here/../../etcd-server/crates/telemetry/src/log/message_id.rs")
    says "and explains one" "A change now and then is a stop or an" 1 "journalctl --no-pager --catalog --lines=1 MESSAGE_ID=$id"
    says "with the fields of the message" "This member is now (Follower|Leader|Candidate|PreCandidate) in term [0-9]+" 1 "journalctl --no-pager --catalog --lines=1 MESSAGE_ID=$id"
    says "a running member is as confined as its unit says" "^1.1$|Overall exposure level for etcd-server.service: 1.1" 1 "systemd-analyze security --no-pager etcd-server | tail -1"
    is "it runs as etcd" etcd 1 "ps -o user= -p \$($(property MainPID))"
    local process
    process=$(on 1 "$(property MainPID)")
    is "a reload goes through, and restarts nobody" "reloaded active $process" 1 "systemctl reload etcd-server && echo reloaded \$(systemctl is-active etcd-server) \$($(property MainPID))"
}

# The watchdog's time, short enough for a test.
patience() { # host, seconds
    on "$1" "mkdir -p /run/systemd/system/etcd-server.service.d && printf '[Service]\nWatchdogSec=%s\nRestartSec=1\n' $2 >/run/systemd/system/etcd-server.service.d/patience.conf && systemctl daemon-reload && systemctl restart etcd-server"
}

chapter_frozen_loop() {
    patience 2 6
    until_true "etcd2 is back" 2 "systemctl show --property=StatusText etcd-server | grep -Eq 'leader|follower'"
    lab put 2 "$here/freeze.py" /root/freeze.py
    local process
    process=$(on 2 "$(property MainPID)")
    on 2 "nohup python3 /root/freeze.py $process raft >/root/frozen 2>&1 </dev/null & sleep 0.1; until [ -s /root/frozen ]; do sleep 0.1; done"
    is "its consensus thread is frozen, and that alone" frozen 2 "cat /root/frozen"
    until_true "the watchdog restarts it" 2 "[ \"\$($(property NRestarts))\" -ge 1 ] && systemctl show --property=StatusText etcd-server | grep -Eq 'leader|follower'"
    says "the journal tells why" "Watchdog timeout" 2 "journalctl --no-pager -u etcd-server"
    says "it has its data" "by the cluster" 2 "etcd-admin get --consistency=s kept"
}

chapter_lost_quorum() {
    local process
    patience 1 6
    until_true "etcd1 is back" 1 "systemctl show --property=StatusText etcd-server | grep -Eq 'leader|follower'"
    process=$(on 1 "$(property MainPID)")
    on 2 "systemctl stop etcd-server"
    on 3 "systemctl stop etcd-server"
    until_true "two of three are stopped" 1 "systemctl show --property=StatusText etcd-server | grep -q 'waiting for quorum 1/3'"
    # Four times what the watchdog waits.
    sleep 24
    is "a lost quorum restarts nobody" "$process 0" 1 "echo \$($(property MainPID)) \$($(property NRestarts))"
    for host in 2 3; do on $host "systemctl start etcd-server"; done
    until_true "with the others the cluster goes on" 1 "etcd-admin put kept 'by the cluster'"
}

chapter_bad_configuration() {
    local process
    process=$(on 1 "$(property MainPID)")
    on 1 "cp -p /etc/etcd/etcd.yaml /etc/etcd/etcd.yaml.good && sed -i 's/^initial-cluster-state: .*/initial-cluster-state: perhaps/; s/^initial-cluster: etcd1/initial-cluster: other/' /etc/etcd/etcd.yaml"
    says "a check names what is wrong" 'unexpected clusterState "perhaps"' 1 "etcd-server --check-config --config-file /etc/etcd/etcd.yaml"
    is "a reload is refused" refused 1 "systemctl reload etcd-server 2>/dev/null && echo reloaded || echo refused"
    is "and the running member not touched" "active $process" 1 "echo \$(systemctl is-active etcd-server) \$($(property MainPID))"
    on 1 "systemctl restart etcd-server" 2>/dev/null && fail "a restart with a bad configuration succeeds" || pass "a restart fails"
    is "at once, and is not tried again" "failed exit-code 78 0" 1 "echo \$(systemctl is-failed etcd-server) \$($(property Result)) \$($(property ExecMainStatus)) \$($(property NRestarts))"
    on 1 "mv /etc/etcd/etcd.yaml.good /etc/etcd/etcd.yaml && systemctl start etcd-server"
    until_true "with a good one it starts" 1 "systemctl show --property=StatusText etcd-server | grep -Eq 'leader|follower'"
}

chapter_removed_member() {
    until_true "etcd3 is removed" 1 "etcd-admin member remove etcd3 --yes"
    until_true "it stops by itself" 3 "[ \"\$(systemctl is-active etcd-server)\" = inactive ]"
    is "cleanly, and is not started again" "success 0 0" 3 "echo \$($(property Result)) \$($(property ExecMainStatus)) \$($(property NRestarts))"
    # It may be ready before the others tell it; then it ends as it did when it was removed.
    on 3 "systemctl start etcd-server" 2>/dev/null || true
    until_true "started by hand it ends, and is not tried again" 3 \
        "echo \$(systemctl is-active etcd-server) \$($(property ExecMainStatus)) \$($(property NRestarts)) | grep -Eqx 'failed 78 0|inactive 0 0'"
    says "and says why" "the member has been permanently removed from the cluster" 3 "journalctl --no-pager --output=verbose -u etcd-server"
}

chapter_upgrade() {
    local process
    process=$(on 2 "$(property MainPID)")
    install_from 2 new
    is "the new version is installed" "$newer" 2 "dpkg-query --show --showformat='\${Version}' etcd-appliance"
    is "the old one goes on running" "active $process" 2 "echo \$(systemctl is-active etcd-server) \$($(property MainPID))"
    grep -q "restart members one after another" "$work/apt.log" && pass "the operator is told to restart" || fail "the operator is told nothing: $(cat "$work/apt.log")"
    is "it stays enabled" enabled 2 "systemctl is-enabled etcd-server"
    on 2 "systemctl restart etcd-server"
    until_true "it is restarted by its operator" 2 "systemctl show --property=StatusText etcd-server | grep -Eq 'leader|follower'"
    says "with its data" "by the cluster" 2 "etcd-admin get kept"
}

# What lies in the directories, with owners and modes.
things() { on "$1" "find /etc/etcd /var/lib/etcd /var/backups/etcd -maxdepth 2 -printf '%p %m %u:%g\n' | sort | md5sum"; }

chapter_come_and_go() {
    local before
    on 2 "touch /etc/etcd/pki/server.key /var/backups/etcd/old.snapshot && chown root:etcd /etc/etcd/pki/server.key && chmod 0640 /etc/etcd/pki/server.key && systemctl stop etcd-server"
    before=$(things 2)
    on 2 "systemctl start etcd-server"
    on 2 "apt-get -qq -y remove etcd-appliance" >/dev/null 2>&1 || fail "apt-get remove"
    is "a removal stops the member" inactive 2 "systemctl is-active etcd-server"
    [ "$(things 2)" = "$before" ] && pass "and leaves everything" || fail "a removal changed something: $(on 2 'ls -lR /etc/etcd /var/lib/etcd /var/backups/etcd')"
    on 2 "apt-get -qq -y purge etcd-appliance" >/dev/null 2>&1 || fail "apt-get purge"
    [ "$(things 2)" = "$before" ] && pass "so does a purge" || fail "a purge changed something: $(on 2 'ls -lR /etc/etcd /var/lib/etcd /var/backups/etcd')"
    install_from 2 new
    is "after a purge it is disabled and stopped" "disabled inactive" 2 "echo \$(systemctl is-enabled etcd-server) \$(systemctl is-active etcd-server)"
    [ "$(things 2)" = "$before" ] && pass "a new installation finds everything" || fail "a new installation changed something"
    on 2 "systemctl enable --now etcd-server 2>/dev/null"
    until_true "started again, it is the member that it was" 2 "systemctl show --property=StatusText etcd-server | grep -Eq '(leader|follower).*voters 2'"
    says "with its data" "by the cluster" 2 "etcd-admin get kept"
}

chapter_timers() {
    # The leader's host saves.
    until_true "etcd1 leads" 1 "etcd-admin leader move --to etcd1"
    is "the snapshot's service succeeds" "success" 1 "systemctl start etcd-snapshot.service; systemctl show --value --property=Result etcd-snapshot.service"
    says "a snapshot is there, for the daemon's user alone" "^-rw------- 1 etcd etcd" 1 "ls -l /var/backups/etcd"
    # Every two seconds, so that a test can wait for it.
    on 1 "mkdir -p /run/systemd/system/etcd-snapshot.service.d && systemctl cat etcd-snapshot.service | sed -n 's/^ExecStart=.*--scheduled/& --min-age 0s/p' >/root/save &&
        { printf '[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=\n'; cat /root/save; systemctl cat etcd-snapshot.service | sed -n 's/^ExecStart=-/ExecStart=/p'; } >/run/systemd/system/etcd-snapshot.service.d/often.conf"
    on 1 "mkdir -p /run/systemd/system/etcd-snapshot.timer.d && printf '[Timer]\nOnCalendar=*:*:0/2\nRandomizedDelaySec=0\nAccuracySec=100ms\n' >/run/systemd/system/etcd-snapshot.timer.d/often.conf && systemctl daemon-reload"
    is "its timer can be enabled" active 1 "systemctl enable --now etcd-snapshot.timer 2>/dev/null; systemctl is-active etcd-snapshot.timer"
    until_true "and saves one after another" 1 "[ \$(journalctl --no-pager --output=cat -u etcd-snapshot.service | grep -c '^Finished') -ge 7 ]"
    on 1 "systemctl disable --now etcd-snapshot.timer 2>/dev/null; until [ \$(systemctl is-active etcd-snapshot.service) = inactive ]; do sleep 0.1; done"
    is "four of them are kept" 4 1 "ls /var/backups/etcd/*.db | wc -l"
    says "the last one can be restored" "returned the same hash" 1 "etcd-admin snapshot verify --test-restore \$(ls -t /var/backups/etcd/*.db | head -1)"
}
