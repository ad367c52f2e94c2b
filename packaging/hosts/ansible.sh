#!/bin/bash
# The Ansible collection on three hosts with a booted systemd: ansible.sh BINARIES. Makes the hosts, runs the playbooks over SSH, takes the hosts down.
# Needs what test.sh needs, and ansible-core: VENV=FOLDER names one that is kept, else one is made with pip for this run.
set -euo pipefail
[ $# = 1 ] || { echo "usage: ansible.sh FOLDER_WITH_BINARIES" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=packaging/hosts/common.sh
. "$here/common.sh" "$1"

environment() {
    local venv=${VENV:-$work/venv}
    if [ ! -x "$venv/bin/ansible-playbook" ]; then
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet ansible-core
    fi
    export PATH=$venv/bin:$PATH ANSIBLE_COLLECTIONS_PATH=$work/collections ANSIBLE_HOME=$work/ansible ANSIBLE_NOCOLOR=1
    mkdir -p "$work/collections/ansible_collections/etcd_appliance"
    ln -s "$here/../../ansible" "$work/collections/ansible_collections/etcd_appliance/cluster"
    printf '[inventory]\nenable_plugins = etcd_appliance.cluster.cluster\n' >"$work/ansible.cfg"
    export ANSIBLE_CONFIG=$work/ansible.cfg
}

cluster_file() { # members
    local i
    printf 'schema: 1\nname: hosts\ntoken: hosts-0001\nquota: 1GiB\nmembers:\n'
    for i in "$@"; do printf '  - {name: etcd%s, host: 10.77.0.1%s}\n' "$i" "$i"; done
    cat <<YAML
vars:
  ansible_user: root
  ansible_python_interpreter: /usr/bin/python3
  ansible_ssh_private_key_file: $LAB/key
  ansible_ssh_common_args: -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null
  install_repository: "deb [trusted=yes] file:/srv/packages/${version:-old} ./"
  certificates_authorities: $work/authorities
  certificates_program: ${binaries:?}/etcd-admin
YAML
}

# Runs a playbook; what it said is in $work/play.log, its summary in $summary.
play() { # name, arguments
    local name=$1 started
    shift
    started=$(date +%s)
    if lab inside ansible-playbook -i "$work/cluster.yaml" "etcd_appliance.cluster.$name" "$@" >"$work/play.log" 2>&1 </dev/null; then
        pass "$name $*: $(($(date +%s) - started)) s"
    else
        fail "$name $*: $(tail -40 "$work/play.log")"
    fi
    summary=$(sed -n '/^PLAY RECAP/,$p' "$work/play.log")
}
unchanged() { # what
    if grep -E 'changed=[1-9]' <<<"$summary"; then fail "$1: $(grep -B1 -A3 '^changed' "$work/play.log")"; else pass "$1: 0 changed"; fi
}
changed() { # what
    grep -qE 'changed=[1-9]' <<<"$summary" && pass "$1" || fail "$1: nothing changed"
}
processes() { for i in 1 2 3; do on $i "systemctl show --value --property=MainPID etcd-server" </dev/null; done | tr '\n' ' '; }

# Writes without a pause until told to stop, and tells the longest gap between two acknowledged writes.
write_load() {
    # shellcheck disable=SC2016 # for the other shell
    on 1 'cat >/root/load.py' <<'PY'
import subprocess, sys, time
longest, last, failed, written = 0.0, time.monotonic(), 0, 0
base = ["etcd-admin", "put", "load", "--command-timeout", "2s"]
def stop(*_):
    print(f"{written} writes, {failed} failed, longest gap {longest:.2f} s", flush=True)
    sys.exit()
import signal
signal.signal(signal.SIGTERM, stop)
while True:
    done = subprocess.run([*base[:3], str(written), *base[3:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    now = time.monotonic()
    if done:
        longest, last, written = max(longest, now - last), now, written + 1
    else:
        failed += 1
PY
}

make_packages
make_hosts
environment
cluster_file 1 2 3 >"$work/cluster.yaml"
chapter "check mode on empty hosts"
play site --check
is "check mode installs nothing" "" 1 "command -v etcd-server"
chapter "a cluster of three with TLS"
begun_site=$(date +%s)
play site
echo "a cluster of three with TLS from empty hosts: $(($(date +%s) - begun_site)) s"
is "all members are there" "healthy" 1 "etcd-admin status -o json | python3 -c 'import json, sys; status = json.load(sys.stdin); print(\"healthy\" if status[\"healthy\"] and status[\"voters\"] == 3 else status)'"
is "keys are root's, readable for the daemon alone" "640 root:etcd 640 root:etcd" 1 "stat -c '%a %U:%G' /etc/etcd/pki/current/*.key | tr '\n' ' ' | sed 's/ \$//'"
for i in 1 2 3; do
    [ "$(on $i "grep -rlE 'BEGIN .*PRIVATE KEY' /etc/etcd | wc -l" </dev/null)" = 2 ] && pass "etcd$i has its own two keys" || fail "etcd$i has other keys than its own two"
done
[ "$(find "$work/authorities" -name '*.key' | wc -l)" = 2 ] && pass "no member's key came to Ansible's machine" || fail "there are keys beside the authorities': $(find "$work/authorities" -name '*.key')"
says "a write with TLS" OK 2 "etcd-admin put kept 'by the cluster'"
chapter "again"
play site
unchanged "the same play again"
play site --check
unchanged "in check mode too"
play rolling_restart
unchanged "nothing has to be restarted"
chapter "rolling restart"
sed -i 's/^quota: .*/quota: 2GiB/' "$work/cluster.yaml"
before=$(processes)
play site --check --diff
changed "check mode tells that the configuration would change"
[ "$(processes)" = "$before" ] && pass "and changes nothing" || fail "check mode restarted a member"
play site
changed "the new configuration is written"
[ "$(processes)" = "$before" ] && pass "and nobody restarted" || fail "site restarted a member"
write_load
on 1 "nohup python3 /root/load.py >/root/load.out 2>&1 </dev/null & echo \$! >/root/load.pid"
play rolling_restart
on 1 "kill \$(cat /root/load.pid); sleep 1; cat /root/load.out" </dev/null
after=$(processes)
for i in 1 2 3; do [ "$(cut -d' ' -f$i <<<"$after")" != "$(cut -d' ' -f$i <<<"$before")" ] && pass "etcd$i runs anew" || fail "etcd$i was not restarted"; done
play rolling_restart
unchanged "a second time nothing is left to do"
chapter "upgrade"
version=new
cluster_file 1 2 3 | sed 's/^quota: .*/quota: 2GiB/' >"$work/cluster.yaml"
on 1 "nohup python3 /root/load.py >/root/load.out 2>&1 </dev/null & echo \$! >/root/load.pid"
play site
play upgrade
on 1 "kill \$(cat /root/load.pid); sleep 1; cat /root/load.out" </dev/null
for i in 1 2 3; do says "etcd$i has the new package" "newer\$" $i "dpkg-query --show --showformat='\${Version}' etcd-appliance"; done
says "with the data" "by the cluster" 3 "etcd-admin get kept"
chapter "new certificates"
before=$(processes)
serial=$(on 1 "openssl x509 -noout -serial -in /etc/etcd/pki/current/server.crt 2>/dev/null || sha256sum /etc/etcd/pki/current/server.crt" </dev/null)
play rotate_certificates
[ "$(on 1 "openssl x509 -noout -serial -in /etc/etcd/pki/current/server.crt 2>/dev/null || sha256sum /etc/etcd/pki/current/server.crt" </dev/null)" != "$serial" ] && pass "they are others" || fail "they are the same"
[ "$(processes)" = "$before" ] && pass "taken up without a restart" || fail "a member was restarted"
authority=$(sha256sum "$work/authorities/peer/ca.crt")
on 1 "nohup python3 /root/load.py >/root/load.out 2>&1 </dev/null & echo \$! >/root/load.pid"
play rotate_authorities
on 1 "kill \$(cat /root/load.pid); sleep 1; cat /root/load.out" </dev/null
[ "$(sha256sum "$work/authorities/peer/ca.crt")" != "$authority" ] && pass "members have another authority" || fail "the authority is the same"
[ "$(processes)" = "$before" ] && pass "without a restart" || fail "a member was restarted"
is "no write failed meanwhile" "0 failed" 1 "grep -oE '[0-9]+ failed' /root/load.out"
is "all members are there" "3 True" 1 "etcd-admin status -o json | python3 -c 'import json, sys; status = json.load(sys.stdin); print(status[\"voters\"], status[\"healthy\"])'"
play snapshot
says "a snapshot is there" "^-rw-------" 1 "ls -l /var/backups/etcd"
chapter "members go and come"
play remove_member -e etcd_old=etcd3
until_true "the removed one stops" 3 "[ \"\$(systemctl is-active etcd-server)\" = inactive ]"
on 3 "mv /var/lib/etcd/member /root/moved-aside" </dev/null
play add_member -e etcd_new=etcd3
is "it is a voter again" "3 True" 1 "etcd-admin status -o json | python3 -c 'import json, sys; status = json.load(sys.stdin); print(status[\"voters\"], status[\"healthy\"])'"
says "with the data" "by the cluster" 3 "etcd-admin get --consistency=s kept"
chapter "restore"
on 1 "cat \$(ls -t /var/backups/etcd/* | grep -v json | head -1)" </dev/null >"$work/snapshot"
on 1 "etcd-admin put after 'the snapshot'" </dev/null >/dev/null
begun_restore=$(date +%s)
play restore -e "etcd_snapshot=$work/snapshot" -e etcd_confirm=hosts
echo "a cluster of three restored: $(($(date +%s) - begun_restore)) s"
says "what was there at the snapshot is there" "by the cluster" 2 "etcd-admin get kept"
is "what came after is not" "" 2 "etcd-admin get after"
conclude
