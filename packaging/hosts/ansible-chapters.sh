# shellcheck shell=bash
# Sourced by ansible.sh: one function per chapter, in the order of a full run. Each chapter leaves a
# healthy cluster of $members.
# shellcheck disable=SC2154,SC2016

chapter_empty() {
    on 1 "mkdir -p /tmp/old/DEBIAN && printf 'Package: etcd-server\nVersion: 3.4.23\nArchitecture: all\nMaintainer: t <t@example.org>\nDescription: substitute for the package of Debian\n' >/tmp/old/DEBIAN/control &&
        mkdir -p /tmp/old/etc && echo old >/tmp/old/etc/old && echo /etc/old >/tmp/old/DEBIAN/conffiles && dpkg-deb -b /tmp/old /tmp/old.deb && dpkg -i /tmp/old.deb" </dev/null >"$work/log" 2>&1 || fail "install a substitute for the package of Debian: $(cat "$work/log")"
    refused "etcd-server is installed, or removed and not purged" preflight
    on 1 "dpkg --remove etcd-server" </dev/null >/dev/null 2>&1
    refused "etcd-server is installed, or removed and not purged" site
    on 1 "dpkg --purge etcd-server" </dev/null >/dev/null 2>&1
    play site --check
    is "check mode installs nothing" "" 1 "command -v etcd-server"
}

chapter_installed() {
    local i
    play site
    voters "all three members are healthy voters" 1 3
    is "keys belong to root and only the daemon can read them" "640 root:etcd 640 root:etcd" 1 "stat -c '%a %U:%G' /etc/etcd/pki/current/*.key | tr '\n' ' ' | sed 's/ \$//'"
    is "the configuration has the same permissions" "640 root:etcd" 1 "stat -c '%a %U:%G' /etc/etcd/etcd.yaml"
    is "the snapshot timer has the retention of cluster.yaml" "active 3" 1 "echo \$(systemctl is-active etcd-snapshot.timer) \$(systemctl show --property=ExecStart etcd-snapshot.service | grep -o 'keep-last [0-9]*' | grep -o '[0-9]*' | sort -u)"
    for i in $members; do is "etcd$i has its own two keys" 2 "$i" "grep -rlE 'BEGIN .*PRIVATE KEY' /etc/etcd | wc -l"; done
    [ "$(find "$work/ca" -name '*.key' | wc -l)" = 2 ] && pass "no key of a member is on Ansible's machine" || fail "keys other than the CA keys are on Ansible's machine: $(find "$work/ca" -name '*.key')"
    says "a write over TLS succeeds" OK 2 "etcd-admin put kept 'by the cluster'"
}

chapter_again() {
    play site
    unchanged "a second run"
    play site --check
    unchanged "a second run in check mode"
    play rolling_restart
    unchanged "no member needs a restart"
    play doctor
    unchanged "doctor finds nothing bad"
}

chapter_rolling_restart() {
    local before after i
    cluster_file quota=2GiB
    before=$(processes)
    play site --check --diff
    changed "check mode reports that the configuration would change"
    grep -q "quota-backend-bytes: 2147483648" "$work/play.log" && pass "check mode prints the difference" || fail "check mode does not print the difference: $(cat "$work/play.log")"
    [ "$(processes)" = "$before" ] && pass "check mode restarts no member" || fail "check mode restarted a member"
    play site
    changed "the new configuration is written"
    [ "$(processes)" = "$before" ] && pass "site restarts no member" || fail "site restarted a member"
    begin_load
    play rolling_restart
    end_load
    after=$(processes)
    for i in 1 2 3; do [ "$(cut -d' ' -f$i <<<"$after")" != "$(cut -d' ' -f$i <<<"$before")" ] && pass "etcd$i was restarted" || fail "etcd$i was not restarted"; done
    play rolling_restart
    unchanged "a second run"
}

chapter_upgrade() {
    local i
    cluster_file version=new
    begin_load
    play site
    play upgrade
    end_load
    for i in $members; do says "etcd$i has the new package" "newer\$" "$i" "dpkg-query --show --showformat='\${Version}' etcd-appliance"; done
    says "the data is kept" "by the cluster" 3 "etcd-admin get kept"
}

chapter_certificates() {
    local before serial
    before=$(processes)
    serial=$(on 1 "sha256sum /etc/etcd/pki/current/server.crt" </dev/null)
    play rotate_certificates --check
    changed "check mode reports that certificates would be replaced"
    [ "$(on 1 "sha256sum /etc/etcd/pki/current/server.crt" </dev/null)" = "$serial" ] && pass "check mode changes no certificate" || fail "check mode changed certificates"
    begin_load
    play rotate_certificates
    end_load
    [ "$(on 1 "sha256sum /etc/etcd/pki/current/server.crt" </dev/null)" != "$serial" ] && pass "the certificate was replaced" || fail "the certificate was not replaced"
    [ "$(processes)" = "$before" ] && pass "it was loaded without a restart" || fail "a member was restarted"
}

chapter_revoked() {
    local before
    before=$(processes)
    is "members have CRLs and enforce them" "2 2" 1 "echo \$(grep -c 'crl-file: /etc/etcd/pki/current/' /etc/etcd/etcd.yaml) \$(ls /etc/etcd/pki/current/*-crl.pem | wc -l)"
    new_client lost
    as_client lost get kept | grep -q "by the cluster" && pass "a client with a valid certificate is served" || fail "a client with a valid certificate is refused"
    play revoke_certificate --check -e "etcd_certificate=$work/client-lost.crt"
    as_client lost get kept >/dev/null && pass "check mode revokes nothing" || fail "check mode revoked a certificate"
    begin_load
    play revoke_certificate -e "etcd_certificate=$work/client-lost.crt"
    end_load
    if as_client lost get kept >"$work/log" 2>&1; then fail "a revoked client is served"; else pass "a revoked client is refused: $(grep -m1 . "$work/log")"; fi
    [ "$(processes)" = "$before" ] && pass "no member was restarted" || fail "a member was restarted"
    play revoke_certificate -e "etcd_certificate=$work/client-lost.crt"
    unchanged "a second run"
}

chapter_ca_rotation() {
    local before ca kind
    before=$(processes)
    ca=$(cat "$work/ca/peer/ca.crt" "$work/ca/client/ca.crt" | sha256sum)
    new_client old
    play rotate_ca --check -e '{"etcd_ca_kinds": ["peer", "client"]}'
    [ "$(cat "$work/ca/peer/ca.crt" "$work/ca/client/ca.crt" | sha256sum)" = "$ca" ] && pass "check mode creates no CA" || fail "check mode created a CA"
    begin_load
    # The play stops until clients trust both CAs, and again until they have certificates of the new
    # CA. It resumes when it is run again.
    stops "Copy .*bundle.crt to all clients" rotate_ca -e '{"etcd_ca_kinds": ["peer", "client"]}'
    new_client load
    stops "no successor yet: .*client load" rotate_ca -e '{"etcd_ca_kinds": ["peer", "client"], "etcd_clients_trust_both": true}'
    cp "$work/client-old.crt" "$work/client-former.crt"
    cp "$work/client-old.key" "$work/client-former.key"
    new_client old
    new_client load
    play rotate_ca -e '{"etcd_ca_kinds": ["peer", "client"], "etcd_clients_trust_both": true}'
    end_load
    for kind in peer client; do is "members trust only the new $kind CA" 1 1 "grep -c BEGIN /etc/etcd/pki/current/$kind-ca.crt"; done
    [ "$(cat "$work/ca/peer/ca.crt" "$work/ca/client/ca.crt" | sha256sum)" != "$ca" ] && pass "the CAs were replaced" || fail "the CAs were not replaced"
    [ "$(processes)" = "$before" ] && pass "no member was restarted" || fail "a member was restarted"
    if as_client former get kept >"$work/log" 2>&1; then fail "a client of the old CA is served"; else pass "a client of the old CA is refused: $(grep -m1 . "$work/log")"; fi
    as_client old get kept | grep -q "by the cluster" && pass "a client of the new CA is served" || fail "a client of the new CA is refused"
    voters "all three members are healthy voters" 1 3
}

chapter_snapshots() {
    local before
    before=$(on 1 "ls /var/backups/etcd | wc -l" </dev/null)
    play snapshot --check
    is "check mode saves nothing" "$before" 1 "ls /var/backups/etcd | wc -l"
    play snapshot
    changed "a snapshot is saved"
    is "only the user of the daemon can read snapshots" "600 etcd:etcd" 1 "stat -c '%a %U:%G' /var/backups/etcd/* | sort -u"
    says "the snapshot can be restored" "returned the same hash" 1 "etcd-admin snapshot verify --test-restore \$(ls -t /var/backups/etcd/* | grep -v json | head -1)"
    # Timers start at the same time on all members: the leader's host saves, the others skip.
    local host saved=0
    for host in $members; do
        on "$host" "rm -f /var/backups/etcd/*.db* && systemctl start etcd-snapshot.service" </dev/null || fail "the service of the timer: $(on "$host" "journalctl --no-pager --lines=20 -u etcd-snapshot.service" </dev/null)"
        saved=$((saved + $(on "$host" "ls /var/backups/etcd | grep -c '\.db\$'" </dev/null || true)))
    done
    [ $saved = 1 ] && pass "the timers of all members save one snapshot" || fail "the timers saved $saved snapshots"
    play site -e configure_snapshot_user=root:secret
    changed "the credentials of the timer are written"
    is "only the daemon can read the credentials" "640 root:etcd ETCDCTL_USER=root:secret" 2 "echo \$(stat -c '%a %U:%G' /etc/etcd/snapshot.env) \$(cat /etc/etcd/snapshot.env)"
    grep -q secret "$work/play.log" && fail "the password is in the output of Ansible" || pass "the password is not in the output of Ansible"
    play site -e configure_snapshot_user=root:secret
    unchanged "a second run"
    for host in $members; do on "$host" "rm -f /etc/etcd/snapshot.env" </dev/null; done
}

chapter_grow() {
    cluster_file members="1 2 3 4"
    play add_member --check -e etcd_new=etcd4
    is "check mode installs nothing" "" 4 "command -v etcd-server"
    begin_load
    play add_member -e etcd_new=etcd4
    voters "all four members are voters" 1 4
    says "the new member has the data" "by the cluster" 4 "etcd-admin get --consistency=s kept"
    play add_member -e etcd_new=etcd4
    unchanged "a second run"
    play site
    unchanged "site changes no other member"
    play remove_member --check -e etcd_old=etcd4
    changed "check mode reports that a member would be removed"
    voters "check mode removes no member" 1 4
    play remove_member -e etcd_old=etcd4
    end_load
    voters "all three members are healthy voters" 1 3
    is "the removed member is stopped and disabled" "inactive disabled" 4 "echo \$(systemctl is-active etcd-server) \$(systemctl is-enabled etcd-server)"
    play remove_member -e etcd_old=etcd4
    unchanged "a second run"
    cluster_file members="1 2 3"
}

chapter_replaced() {
    cluster_file members="1 2 3"
    fresh 4
    begin_load
    lab kill 3
    if run_playbook doctor; then fail "doctor finds nothing bad with a dead host"; fi
    grep -q "bad: the host cannot be reached" "$work/play.log" && grep -q "bad: member etcd3: not reached" "$work/play.log" && pass "doctor reports a dead host" ||
        fail "doctor does not report a dead host: $(cat "$work/play.log")"
    unchanged "doctor"
    cluster_file members="1 2 4"
    play replace_member --check -e etcd_old=etcd3 -e etcd_new=etcd4
    play replace_member -e etcd_old=etcd3 -e etcd_new=etcd4
    end_load
    voters "all three members are healthy voters" 1 3
    says "the new member has the data" "by the cluster" 4 "etcd-admin get --consistency=s kept"
    play replace_member -e etcd_old=etcd3 -e etcd_new=etcd4
    unchanged "a second run"
    refused "is running: run the playbook add_member" replace_member -e etcd_old=etcd2 -e etcd_new=etcd4
}

chapter_emptied() {
    fresh 2
    play replace_member -e etcd_old=etcd2 -e etcd_new=etcd2
    voters "an empty host replaces the member of the same name" 1 3
    says "the data is kept" "by the cluster" 2 "etcd-admin get --consistency=s kept"
    play replace_member -e etcd_old=etcd2 -e etcd_new=etcd2
    unchanged "a second run"
}

chapter_restored() {
    play snapshot
    on 1 "cat \$(ls -t /var/backups/etcd/* | grep -v json | head -1)" </dev/null >"$work/snapshot"
    on 1 "etcd-admin put after 'the snapshot'" </dev/null >/dev/null
    refused "this replaces all data" restore -e "etcd_snapshot=$work/snapshot"
    play restore --check -e "etcd_snapshot=$work/snapshot" -e etcd_confirm=hosts
    is "check mode restores nothing" "the snapshot" 1 "etcd-admin get after --print-value-only"
    play restore -e "etcd_snapshot=$work/snapshot" -e etcd_confirm=hosts
    voters "all three members are healthy voters" 1 3
    says "data of the snapshot is restored" "by the cluster" 4 "etcd-admin get kept"
    is "later data is not restored" "" 2 "etcd-admin get after"
    says "the old data was moved to a new directory" "^-?member" 1 "ls /var/lib/etcd.before-restore-*"
    play site
    unchanged "the cluster matches cluster.yaml"
}

chapter_recovered() {
    local host
    on 4 "etcd-admin put kept 'to the last'" </dev/null >/dev/null
    refused "nothing to recover" recover -e etcd_confirm=hosts
    for host in 2 4; do fresh $host; done
    refused "confirm with -e etcd_confirm=hosts" recover
    grep -q "etcd1 of etcd1, etcd2, etcd4 can be reached and have data" "$work/play.log" && pass "the survivors are reported" || fail "the survivors are not reported: $(cat "$work/play.log")"
    play recover --check
    is "check mode does not stop the survivor" active 1 "systemctl is-active etcd-server"
    recapped "check mode reports that etcd1 would start a new cluster" etcd1 changed=2
    for host in 2 4; do recapped "check mode reports that etcd$host would be added" etcd$host changed=1; done
    on 1 "systemctl stop etcd-server" </dev/null
    play recover --check
    recapped "check mode reports the same for a stopped member" etcd1 changed=2
    on 1 "systemctl start etcd-server" </dev/null
    play recover -e etcd_confirm=hosts
    voters "all three members are healthy voters" 1 3
    for host in $members; do is "etcd$host has the last write" "to the last" "$host" "etcd-admin get kept --print-value-only"; done
    says "a write succeeds" OK 4 "etcd-admin put kept 'by the cluster'"
    play site
    unchanged "the cluster matches cluster.yaml"
    play doctor
    refused "nothing to recover" recover -e etcd_confirm=hosts
}
