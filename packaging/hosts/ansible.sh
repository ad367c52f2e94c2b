#!/bin/bash
# Tests the Ansible collection on four hosts with a booted systemd: ansible.sh BINARIES [CHAPTER...]
#
# Boots the hosts, runs the playbooks over SSH and removes the hosts. Chapters depend on the earlier
# ones. With KEEP=DIRECTORY the hosts stay up, so that single chapters can be run again; the chapter
# "down" removes them. Has the requirements of test.sh, and needs ansible-core: VENV=DIRECTORY names
# an existing Python environment; without it, pip installs one for this run.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: ansible.sh BINARIES [CHAPTER...]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=packaging/hosts/common.sh
. "$here/common.sh" "$1"
shift

environment() {
    local venv=${VENV:-$work/venv}
    if [ ! -x "$venv/bin/ansible-playbook" ]; then
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet ansible-core
    fi
    export PATH=$venv/bin:$PATH ANSIBLE_COLLECTIONS_PATH=$work/collections ANSIBLE_HOME=$work/ansible ANSIBLE_NOCOLOR=1
    mkdir -p "$work/collections/ansible_collections/etcd_appliance"
    ln -sfn "$here/../../ansible" "$work/collections/ansible_collections/etcd_appliance/cluster"
    printf '[inventory]\nenable_plugins = etcd_appliance.cluster.cluster\n[ssh_connection]\npipelining = true\n' >"$work/ansible.cfg"
    export ANSIBLE_CONFIG=$work/ansible.cfg
}

# Settings of the current cluster.yaml, saved beside it for chapters that run alone.
members="1 2 3" version=old quota=1GiB
cluster_file() { # assignments to these settings
    local i
    for i in "$@"; do declare -g "${i?}"; done
    printf 'members="%s" version=%s quota=%s\n' "$members" "$version" "$quota" >"$work/state"
    {
        printf 'schema: 1\nname: hosts\ntoken: hosts-0001\nquota: %s\nmembers:\n' "$quota"
        for i in $members; do printf '  - {name: etcd%s, host: 10.77.0.1%s}\n' "$i" "$i"; done
        cat <<YAML
backup: {keep: {last: 3}}
vars:
  ansible_user: root
  ansible_python_interpreter: /usr/bin/python3
  ansible_ssh_private_key_file: $LAB/key
  ansible_ssh_common_args: -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5
  install_repository: "deb [trusted=yes] file:/srv/packages/$version ./"
  certificates_ca_dir: $work/ca
  certificates_program: ${binaries:?}/etcd-admin
YAML
    } >"$work/cluster.yaml"
}

# Runs a playbook. Writes its output with times to $work/play.log and its recap to $summary.
run_playbook() { # name, arguments
    local name=$1
    shift
    set +e
    lab inside ansible-playbook -i "$work/cluster.yaml" "etcd_appliance.cluster.$name" "$@" 2>&1 </dev/null |
        while IFS= read -r line; do printf '%(%T)T %s\n' -1 "$line"; done >"$work/play.log"
    local code=${PIPESTATUS[0]}
    set -e
    summary=$(sed -n '/ PLAY RECAP/,$p' "$work/play.log")
    return "$code"
}
play() { # name, arguments
    local started
    started=$(date +%s)
    if run_playbook "$@"; then pass "$*: $(($(date +%s) - started)) s"; else fail "$*: $(tail -40 "$work/play.log")"; fi
}
stops() { # pattern, name, arguments
    local pattern=$1
    shift
    if run_playbook "$@"; then fail "$* does not stop"; return; fi
    grep -q "$pattern" "$work/play.log" && pass "$* stops: $pattern" || fail "$*: no '$pattern' in $(tail -40 "$work/play.log")"
}
refused() { # pattern, name, arguments
    stops "$@"
    unchanged "the refused play"
}
unchanged() { # what
    if grep -E 'changed=[1-9]' <<<"$summary"; then fail "$1: $(grep -B3 -A3 '^[0-9:]* changed' "$work/play.log")"; else pass "$1: 0 changed"; fi
}
changed() { # what
    grep -qE 'changed=[1-9]' <<<"$summary" && pass "$1" || fail "$1: nothing changed"
}
recapped() { # what, member, count
    grep -E "^[0-9:]* $2 .*\b$3\b" <<<"$summary" >/dev/null && pass "$1" || fail "$1: no $2 with $3 in $summary"
}
processes() { for i in $members; do on "$i" "systemctl show --value --property=MainPID etcd-server" </dev/null; done | tr '\n' ' '; }
# Compares the number of voters, and checks that the cluster is healthy, on one host.
voters() { # what, host, number of voters
    is "$1" "$3 True" "$2" "etcd-admin status -o json | python3 -c 'import json, sys; status = json.load(sys.stdin); print(status[\"voters\"], status[\"healthy\"])'"
}

# Issues a certificate for a client.
new_client() { # name
    rm -rf "$work/issued" && mkdir "$work/issued"
    "$binaries/etcd-admin" --ca-dir "$work/ca" cert issue client --cn "$1" --out "$work/issued" >/dev/null
    flock "$work/load.out.lock" mv -f "$work"/issued/* "$work"
}
endpoints() { for i in $members; do printf 'https://10.77.0.1%s:2379 ' "$i"; done | sed 's/ $//' | tr ' ' ','; }
as_client() { # name, arguments
    local name=$1
    shift
    lab inside "$binaries/etcd-admin" "$@" --endpoints "$(endpoints)" --cacert "$work/client-ca.crt" --cert "$work/client-$name.crt" --key "$work/client-$name.key" </dev/null
}
begin_load() {
    new_client load
    writes_begin --endpoints "$(endpoints)" --cacert "$work/client-ca.crt" --cert "$work/client-load.crt" --key "$work/client-load.key"
}
end_load() {
    writes_end
    grep -q ' 0 failed' "$work/load.out" && pass "no write failed" || fail "writes failed"
}

# shellcheck source=packaging/hosts/ansible-chapters.sh
. "$here/ansible-chapters.sh"

down_if_requested "${1:-}"
make_packages
make_hosts 4
environment
# shellcheck source=/dev/null
[ ! -f "$work/state" ] || . "$work/state"
cluster_file
[ $# -gt 0 ] || set -- empty installed again rolling_restart upgrade certificates revoked ca_rotation snapshots grow replaced emptied restored recovered
run_chapters "$@"
conclude
