# shellcheck shell=bash
# Sourced by ansible.sh: what is tried, a function each, in this order. Each leaves a healthy cluster of $members.
# shellcheck disable=SC2154,SC2016

chapter_empty() {
    on 1 "mkdir -p /tmp/old/DEBIAN && printf 'Package: etcd-server\nVersion: 3.4.23\nArchitecture: all\nMaintainer: t <t@example.org>\nDescription: stands for the package of Debian\n' >/tmp/old/DEBIAN/control &&
        mkdir -p /tmp/old/etc && echo old >/tmp/old/etc/old && echo /etc/old >/tmp/old/DEBIAN/conffiles && dpkg-deb -b /tmp/old /tmp/old.deb && dpkg -i /tmp/old.deb" </dev/null >"$work/log" 2>&1 || fail "a package in place of Debian's: $(cat "$work/log")"
    refused "etcd-server is installed, or removed and not purged" preflight
    on 1 "dpkg --remove etcd-server" </dev/null >/dev/null 2>&1
    refused "etcd-server is installed, or removed and not purged" site
    on 1 "dpkg --purge etcd-server" </dev/null >/dev/null 2>&1
    play site --check
    is "check mode installs nothing" "" 1 "command -v etcd-server"
}

chapter_founded() {
    local i
    play site
    voters "all members are there" 1 3
    is "keys are root's, readable for the daemon alone" "640 root:etcd 640 root:etcd" 1 "stat -c '%a %U:%G' /etc/etcd/pki/current/*.key | tr '\n' ' ' | sed 's/ \$//'"
    is "so is the configuration" "640 root:etcd" 1 "stat -c '%a %U:%G' /etc/etcd/etcd.yaml"
    is "snapshots have their times" "active 3" 1 "echo \$(systemctl is-active etcd-snapshot.timer) \$(systemctl show --property=ExecStart etcd-snapshot.service | grep -o 'keep-last [0-9]*' | grep -o '[0-9]*' | sort -u)"
    for i in $members; do is "etcd$i has its own two keys" 2 "$i" "grep -rlE 'BEGIN .*PRIVATE KEY' /etc/etcd | wc -l"; done
    [ "$(find "$work/ca" -name '*.key' | wc -l)" = 2 ] && pass "no member's key came to Ansible's machine" || fail "there are keys beside the CAs': $(find "$work/ca" -name '*.key')"
    says "a write with TLS" OK 2 "etcd-admin put kept 'by the cluster'"
}

chapter_again() {
    play site
    unchanged "the same play again"
    play site --check
    unchanged "in check mode too"
    play rolling_restart
    unchanged "nothing has to be restarted"
    play doctor
    unchanged "a doctor finds nothing bad"
}

chapter_rolling_restart() {
    local before after i
    cluster_file quota=2GiB
    before=$(processes)
    play site --check --diff
    changed "check mode tells that the configuration would change"
    grep -q "quota-backend-bytes: 2147483648" "$work/play.log" && pass "and how" || fail "and does not tell how: $(cat "$work/play.log")"
    [ "$(processes)" = "$before" ] && pass "and changes nothing" || fail "check mode restarted a member"
    play site
    changed "the new configuration is written"
    [ "$(processes)" = "$before" ] && pass "and nobody restarted" || fail "site restarted a member"
    begin_load
    play rolling_restart
    end_load
    after=$(processes)
    for i in 1 2 3; do [ "$(cut -d' ' -f$i <<<"$after")" != "$(cut -d' ' -f$i <<<"$before")" ] && pass "etcd$i runs anew" || fail "etcd$i was not restarted"; done
    play rolling_restart
    unchanged "a second time nothing is left to do"
}

chapter_upgrade() {
    local i
    cluster_file version=new
    begin_load
    play site
    play upgrade
    end_load
    for i in $members; do says "etcd$i has the new package" "newer\$" "$i" "dpkg-query --show --showformat='\${Version}' etcd-appliance"; done
    says "with the data" "by the cluster" 3 "etcd-admin get kept"
}

chapter_certificates() {
    local before serial
    before=$(processes)
    serial=$(on 1 "sha256sum /etc/etcd/pki/current/server.crt" </dev/null)
    play rotate_certificates --check
    changed "check mode tells that there would be others"
    [ "$(on 1 "sha256sum /etc/etcd/pki/current/server.crt" </dev/null)" = "$serial" ] && pass "and changes nothing" || fail "check mode changed certificates"
    begin_load
    play rotate_certificates
    end_load
    [ "$(on 1 "sha256sum /etc/etcd/pki/current/server.crt" </dev/null)" != "$serial" ] && pass "they are others" || fail "they are the same"
    [ "$(processes)" = "$before" ] && pass "taken up without a restart" || fail "a member was restarted"
}

chapter_revoked() {
    local before
    before=$(processes)
    is "members enforce the lists" "2 2" 1 "echo \$(grep -c 'crl-file: /etc/etcd/pki/current/' /etc/etcd/etcd.yaml) \$(ls /etc/etcd/pki/current/*-crl.pem | wc -l)"
    new_client lost
    as_client lost get kept | grep -q "by the cluster" && pass "a client is served" || fail "a client with a good certificate is refused"
    play revoke_certificate --check -e "etcd_certificate=$work/client-lost.crt"
    as_client lost get kept >/dev/null && pass "check mode revokes nothing" || fail "check mode revoked a certificate"
    begin_load
    play revoke_certificate -e "etcd_certificate=$work/client-lost.crt"
    end_load
    if as_client lost get kept >"$work/log" 2>&1; then fail "a revoked client is served"; else pass "a revoked client is refused: $(grep -m1 . "$work/log")"; fi
    [ "$(processes)" = "$before" ] && pass "without a restart" || fail "a member was restarted"
    play revoke_certificate -e "etcd_certificate=$work/client-lost.crt"
    unchanged "a second time nothing is left to do"
}

chapter_ca_rotation() {
    local before CA kind
    before=$(processes)
    CA=$(cat "$work/ca/peer/ca.crt" "$work/ca/client/ca.crt" | sha256sum)
    new_client old
    play rotate_ca --check -e '{"etcd_ca_kinds": ["peer", "client"]}'
    [ "$(cat "$work/ca/peer/ca.crt" "$work/ca/client/ca.crt" | sha256sum)" = "$CA" ] && pass "check mode changes nothing" || fail "check mode made a CA"
    begin_load
    # The play stops until clients trust both CAs, and again until they have certificates of the new one, and goes on when it is run again.
    stops "bring.*bundle.crt to all clients" rotate_ca -e '{"etcd_ca_kinds": ["peer", "client"]}'
    new_client load
    stops "no successor yet: .*client load" rotate_ca -e '{"etcd_ca_kinds": ["peer", "client"], "etcd_clients_trust_both": true}'
    cp "$work/client-old.crt" "$work/client-former.crt"
    cp "$work/client-old.key" "$work/client-former.key"
    new_client old
    new_client load
    play rotate_ca -e '{"etcd_ca_kinds": ["peer", "client"], "etcd_clients_trust_both": true}'
    end_load
    for kind in peer client; do is "members trust the new $kind CA alone" 1 1 "grep -c BEGIN /etc/etcd/pki/current/$kind-ca.crt"; done
    [ "$(cat "$work/ca/peer/ca.crt" "$work/ca/client/ca.crt" | sha256sum)" != "$CA" ] && pass "it is another one" || fail "the CAs are the same"
    [ "$(processes)" = "$before" ] && pass "without a restart" || fail "a member was restarted"
    if as_client former get kept >"$work/log" 2>&1; then fail "a client of the old CA is served"; else pass "a client of the old CA is refused: $(grep -m1 . "$work/log")"; fi
    as_client old get kept | grep -q "by the cluster" && pass "one of the new CA is served" || fail "a client of the new CA is refused"
    voters "all members are there" 1 3
}

chapter_snapshots() {
    local before
    before=$(on 1 "ls /var/backups/etcd | wc -l" </dev/null)
    play snapshot --check
    is "check mode saves nothing" "$before" 1 "ls /var/backups/etcd | wc -l"
    play snapshot
    changed "one is saved"
    is "all are the daemon's user's alone" "600 etcd:etcd" 1 "stat -c '%a %U:%G' /var/backups/etcd/* | sort -u"
    says "it can be restored" "returned the same hash" 1 "etcd-admin snapshot verify --test-restore \$(ls -t /var/backups/etcd/* | grep -v json | head -1)"
    # The same time on all members: the leader's host saves, the others skip.
    local host saved=0
    for host in $members; do
        on "$host" "rm -f /var/backups/etcd/*.db* && systemctl start etcd-snapshot.service" </dev/null || fail "the timer's service: $(on "$host" "journalctl --no-pager --lines=20 -u etcd-snapshot.service" </dev/null)"
        saved=$((saved + $(on "$host" "ls /var/backups/etcd | grep -c '\.db\$'" </dev/null || true)))
    done
    [ $saved = 1 ] && pass "the timers of all members save one" || fail "the timers saved $saved"
    play site -e configure_snapshot_user=root:secret
    changed "a user for the timer is written"
    is "for the daemon alone" "640 root:etcd ETCDCTL_USER=root:secret" 2 "echo \$(stat -c '%a %U:%G' /etc/etcd/snapshot.env) \$(cat /etc/etcd/snapshot.env)"
    grep -q secret "$work/play.log" && fail "the password is in Ansible's output" || pass "its password is in no output"
    play site -e configure_snapshot_user=root:secret
    unchanged "a second time nothing is left to do"
    for host in $members; do on "$host" "rm -f /etc/etcd/snapshot.env" </dev/null; done
}

chapter_grow() {
    cluster_file members="1 2 3 4"
    play add_member --check -e etcd_new=etcd4
    is "check mode installs nothing" "" 4 "command -v etcd-server"
    begin_load
    play add_member -e etcd_new=etcd4
    voters "four vote" 1 4
    says "the new one has the data" "by the cluster" 4 "etcd-admin get --consistency=s kept"
    play add_member -e etcd_new=etcd4
    unchanged "a second time nothing is left to do"
    play site
    unchanged "nor for the others"
    play remove_member --check -e etcd_old=etcd4
    changed "check mode tells that a member would go"
    voters "and removes nobody" 1 4
    play remove_member -e etcd_old=etcd4
    end_load
    voters "three vote" 1 3
    is "the removed one is stopped, and stays so" "inactive disabled" 4 "echo \$(systemctl is-active etcd-server) \$(systemctl is-enabled etcd-server)"
    play remove_member -e etcd_old=etcd4
    unchanged "a second time nothing is left to do"
    cluster_file members="1 2 3"
}

chapter_replaced() {
    cluster_file members="1 2 3"
    fresh 4
    begin_load
    lab kill 3
    if run_playbook doctor; then fail "a doctor finds nothing bad with a host dead"; fi
    grep -q "bad: the host cannot be reached" "$work/play.log" && grep -q "bad: member etcd3: not reached" "$work/play.log" && pass "a doctor tells of a dead host" ||
        fail "a doctor tells nothing of a dead host: $(cat "$work/play.log")"
    unchanged "and"
    cluster_file members="1 2 4"
    play replace_member --check -e etcd_old=etcd3 -e etcd_new=etcd4
    play replace_member -e etcd_old=etcd3 -e etcd_new=etcd4
    end_load
    voters "three vote" 1 3
    says "the new one has the data" "by the cluster" 4 "etcd-admin get --consistency=s kept"
    play replace_member -e etcd_old=etcd3 -e etcd_new=etcd4
    unchanged "a second time nothing is left to do"
    refused "lives: add the new member first" replace_member -e etcd_old=etcd2 -e etcd_new=etcd4
}

chapter_emptied() {
    fresh 2
    play replace_member -e etcd_old=etcd2 -e etcd_new=etcd2
    voters "an empty host takes its own old place" 1 3
    says "with the data" "by the cluster" 2 "etcd-admin get --consistency=s kept"
    play replace_member -e etcd_old=etcd2 -e etcd_new=etcd2
    unchanged "a second time nothing is left to do"
}

chapter_restored() {
    play snapshot
    on 1 "cat \$(ls -t /var/backups/etcd/* | grep -v json | head -1)" </dev/null >"$work/snapshot"
    on 1 "etcd-admin put after 'the snapshot'" </dev/null >/dev/null
    refused "this replaces all data" restore -e "etcd_snapshot=$work/snapshot"
    play restore --check -e "etcd_snapshot=$work/snapshot" -e etcd_confirm=hosts
    is "check mode restores nothing" "the snapshot" 1 "etcd-admin get after --print-value-only"
    play restore -e "etcd_snapshot=$work/snapshot" -e etcd_confirm=hosts
    voters "all members are there" 1 3
    says "what was there at the snapshot is there" "by the cluster" 4 "etcd-admin get kept"
    is "what came after is not" "" 2 "etcd-admin get after"
    says "what was there before lies beside it" "^-?member" 1 "ls /var/lib/etcd.before-restore-*"
    play site
    unchanged "the cluster is as cluster.yaml says"
}

chapter_recovered() {
    local host
    on 4 "etcd-admin put kept 'to the last'" </dev/null >/dev/null
    refused "nothing to recover" recover -e etcd_confirm=hosts
    for host in 2 4; do fresh $host; done
    refused "say -e etcd_confirm=hosts" recover
    grep -q "etcd1 of etcd1, etcd2, etcd4 can be reached and have data" "$work/play.log" && pass "it tells who survived" || fail "it does not tell who survived: $(cat "$work/play.log")"
    play recover --check
    is "check mode does not stop the survivor" active 1 "systemctl is-active etcd-server"
    recapped "and tells that it would begin anew" etcd1 changed=2
    for host in 2 4; do recapped "and that etcd$host would be brought in" etcd$host changed=1; done
    on 1 "systemctl stop etcd-server" </dev/null
    play recover --check
    recapped "of a member that is stopped it tells the same" etcd1 changed=2
    on 1 "systemctl start etcd-server" </dev/null
    play recover -e etcd_confirm=hosts
    voters "all members are there" 1 3
    for host in $members; do is "etcd$host has what was written last" "to the last" "$host" "etcd-admin get kept --print-value-only"; done
    says "a write" OK 4 "etcd-admin put kept 'by the cluster'"
    play site
    unchanged "the cluster is as cluster.yaml says"
    play doctor
    refused "nothing to recover" recover -e etcd_confirm=hosts
}
