# shellcheck shell=bash
# Sourced by test.sh: the rpm packages, installed, upgraded and erased by rpm itself under a booted systemd. The host is a Debian, so nobody resolves
# dependencies; rpm runs the scriptlets as it does elsewhere.
# shellcheck disable=SC2154

# Two versions of them, as make_packages does with the others.
make_rpms() {
    local version
    [ ! -d "$work/packages/rpm" ] || return 0
    for version in 0.0.1 0.0.2; do
        PACKAGE_VERSION=$version "$here/../rpm.sh" "$binaries" "$work/packages/rpm.new/$version" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    done
    mv "$work/packages/rpm.new" "$work/packages/rpm"
}
rpm_does() { # host, words for rpm: what it says is in said.log
    local host=$1
    shift
    on "$host" "rpm --force-debian --nodeps $*" >"$work/said.log" 2>&1 </dev/null || fail "rpm $*: $(cat "$work/said.log")"
}
told() { # what, pattern
    grep -q "$2" "$work/said.log" && pass "$1" || fail "$1: no '$2' in $(cat "$work/said.log")"
}

chapter_rpm() {
    local process before
    command -v rpmbuild >/dev/null || { echo "left out: no rpmbuild"; return; }
    fresh 3
    on 3 "command -v rpm" >/dev/null || { echo "left out: no rpm in $LAB_ROOTFS, which was made before hosts had one"; return; }
    make_rpms
    rpm_does 3 "--install /srv/packages/rpm/0.0.1/etcd-a*-0.0.1-1.*.rpm"
    told "an install tells what to do next" "not started"
    is "it is disabled and stopped" "disabled inactive" 3 "echo \$(systemctl is-enabled etcd-server) \$(systemctl is-active etcd-server)"
    is "no timer is on" "" 3 "systemctl list-timers --no-legend 'etcd-*'"
    is "directories have their owners and modes" "750 root:etcd 750 root:etcd 700 etcd:etcd 700 etcd:etcd" 3 \
        "echo \$(stat -c '%a %U:%G' /etc/etcd /etc/etcd/pki /var/lib/etcd /var/backups/etcd)"
    configure 3 "etcd3=http://10.77.0.13:2380" new
    on 3 "systemctl enable --now etcd-server 2>/dev/null"
    until_true "a member is started" 3 "etcd-admin put kept 'by the member'"
    process=$(on 3 "$(property MainPID)")
    rpm_does 3 "--upgrade /srv/packages/rpm/0.0.2/*.rpm"
    told "an upgrade tells to restart" "restart members one after another"
    is "the new version is installed" 0.0.2 3 "rpm -q --qf '%{VERSION}' etcd-appliance"
    is "the old one goes on running, and stays enabled" "active $process enabled" 3 "echo \$(systemctl is-active etcd-server) \$($(property MainPID)) \$(systemctl is-enabled etcd-server)"
    on 3 "systemctl restart etcd-server"
    until_true "restarted, it has its data" 3 "etcd-admin get kept | grep -q 'by the member'"
    on 3 "systemctl stop etcd-server"
    before=$(things 3)
    on 3 "systemctl start etcd-server"
    rpm_does 3 "--erase \$(rpm -qa 'etcd-a*')"
    told "an erasure tells what is left" "kept, with all that is in them"
    is "it stops the member" inactive 3 "systemctl is-active etcd-server"
    [ "$(things 3)" = "$before" ] && pass "and leaves everything else" || fail "an erasure changed something: $(on 3 'ls -lR /etc/etcd /var/lib/etcd /var/backups/etcd')"
    rpm_does 3 "--install /srv/packages/rpm/0.0.2/*.rpm"
    is "installed again, it is disabled and stopped" "disabled inactive" 3 "echo \$(systemctl is-enabled etcd-server) \$(systemctl is-active etcd-server)"
    on 3 "systemctl enable --now etcd-server 2>/dev/null"
    until_true "and finds its data" 3 "etcd-admin get kept | grep -q 'by the member'"
}
