#!/bin/bash
# Builds the packages twice and looks at what is in them: test.sh BINARIES. Needs dpkg-deb, systemd-analyze, unshare; uses lintian, rpmbuild,
# rpmlint, promtool, shellcheck and man where they are, and says what it left out.
set -euo pipefail
[ $# = 1 ] || { echo "usage: test.sh DIRECTORY_WITH_BINARIES" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
. "$here/failing.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XZ_LEVEL=0
failures=0
fail() { echo "FAILED: $*" >&2; failures=$((failures + 1)); }
pass() { echo "ok: $*"; }
without() { echo "left out: $* (not on this machine)"; }
have() { command -v "$1" >/dev/null; }

same_twice() { # script, ending, number of packages
    "$here/$1" "$binaries" "$work/one" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "$1"; return; }
    "$here/$1" "$binaries" "$work/two" >/dev/null 2>&1
    for file in "$work"/one/*"$2"; do
        cmp "$file" "$work/two/$(basename "$file")" && pass "$(basename "$file") is the same twice" || fail "$(basename "$file") differs from build to build"
    done
    [ "$(find "$work/one" -name "*$2" | wc -l)" = "$3" ] || fail "$1 did not make $3 packages"
}

# Runs a maintainer script with every tool that could start something replaced by one that notes how it was called.
script_calls() { # script, arguments: prints the calls
    local script=$1
    shift
    rm -f "$work/calls"
    # In a namespace of its own, where systemd seems to run.
    # shellcheck disable=SC2016
    unshare --mount --map-root-user sh -c 'mount -t tmpfs none /run && mkdir -p /run/systemd/system && PATH="$1:$PATH" && export PATH && shift && exec sh "$@"' \
        sh "$work/stubs" "$script" "$@" >"$work/said" 2>&1 || fail "$(basename "$script") $*: $(cat "$work/said")"
    cat "$work/calls" 2>/dev/null || true
}
stubs() {
    mkdir "$work/stubs"
    local tool
    for tool in systemd-sysusers systemd-tmpfiles deb-systemd-helper deb-systemd-invoke systemctl rm rmdir userdel deluser journalctl; do
        # "was-enabled" is answered with no, everything else with yes.
        printf '#!/bin/sh\necho "%s $*" >>"%s"\ncase "$*" in *was-enabled*) exit 1;; esac\n' $tool "$work/calls" >"$work/stubs/$tool"
        chmod +x "$work/stubs/$tool"
    done
}
never() { # what, pattern, calls
    if grep -E "$2" <<<"$3" >&2; then fail "$1"; else pass "$1"; fi
}

maintainer_scripts() {
    stubs
    local control=$work/control calls
    dpkg-deb -e "$work"/one/etcd-appliance_*.deb "$control"
    local deletes='^(rm|rmdir|userdel|deluser) '
    calls=$(script_calls "$control/postinst" configure "")
    never "an install starts and enables nothing" ' (start|restart|try-restart|enable)( |$)|systemctl .*reload-or' "$calls"
    grep -q '^systemd-sysusers' <<<"$calls" && grep -q '^systemd-tmpfiles --create' <<<"$calls" && pass "an install makes user and directories" || fail "an install makes no user or directories"
    grep -q 'not started' "$work/said" || [ -e /etc/etcd/etcd.yaml ] || fail "an install does not tell what to do next"
    calls=$(script_calls "$control/prerm" upgrade 9.9; script_calls "$control/postrm" upgrade 9.9; script_calls "$control/postinst" configure 0.0.1)
    never "an upgrade stops and restarts nothing" ' (start|stop|restart|try-restart|enable)( |$)' "$calls"
    calls=$(script_calls "$control/prerm" remove)
    grep -q 'stop etcd-server.service' <<<"$calls" && pass "a removal stops the member" || fail "a removal leaves the member running without its program"
    calls=$(script_calls "$control/postrm" remove; script_calls "$control/postrm" purge)
    never "a removal and a purge delete no data and no user" "$deletes" "$calls"
}

contents() {
    local tree=$work/tree listing
    dpkg-deb -x "$work"/one/etcd-appliance_*.deb "$tree"
    dpkg-deb -x "$work"/one/etcd-admin_*.deb "$tree"
    dpkg-deb -x "$work"/one/etcd-appliance-client_*.deb "$tree"
    listing=$(for deb in "$work"/one/*.deb; do dpkg-deb -c "$deb"; done)
    # A link has no mode of its own.
    never "everything belongs to root, writable by nobody else" '^[^l](....w|.......w)|^[^ ]+ +(([^r]|r[^o])[^ ]*)/' "$listing"
    never "no configuration, data or key is shipped" ' \./(etc/etcd|etc/default|var)(/|$)' "$listing"
    [ "$(dpkg-deb --info "$work"/one/etcd-appliance_*.deb conffiles)" = /etc/needrestart/conf.d/etcd-server.conf ] && pass "conffiles" || fail "conffiles"
    local name
    for name in etcd-server etcd-admin; do
        "$tree/usr/bin/$name" --version >/dev/null && pass "$name runs" || fail "$name does not run"
        if have man; then
            [ -z "$(man --warnings -E UTF-8 -l -Tutf8 -Z "$tree/usr/share/man/man8/$name.8.gz" 2>&1 >/dev/null)" ] && pass "$name(8)" || fail "$name(8) has mistakes"
        else without "man"; fi
    done
    zcat "$tree/usr/share/man/man8/etcd-server.8.gz" | sed 's/[\]//g' >"$work/manual"
    "$tree/usr/bin/etcd-server" --help | grep -oE '^  --[a-z0-9-]+' | sort -u | while read -r flag; do
        grep -qF -- ".BR $flag " "$work/manual" || echo "$flag"
    done >"$work/unsaid"
    [ ! -s "$work/unsaid" ] && pass "the manual has every flag" || fail "flags that the manual lacks: $(tr '\n' ' ' <"$work/unsaid")"
    units "$tree"
    explanations "$tree"
}

explanations() { # tree
    local catalog=$1/usr/lib/systemd/catalog/etcd-server.catalog monitoring=$1/usr/share/etcd-appliance/monitoring id
    if have journalctl; then
        mkdir -p "$work/catalog/usr/lib/systemd/catalog" "$work/catalog/var/lib/systemd/catalog"
        cp "$catalog" "$work/catalog/usr/lib/systemd/catalog/"
        journalctl --root="$work/catalog" --update-catalog >"$work/log" 2>&1 || true
        [ -s "$work/log" ] && fail "journalctl --update-catalog: $(cat "$work/log")"
        [ "$(journalctl --root="$work/catalog" --list-catalog 2>/dev/null | wc -l)" = "$(grep -c '^-- ' "$catalog")" ] && pass "journalctl reads the catalog" || fail "journalctl does not read the whole catalog"
    else without journalctl; fi
    while read -r id; do
        grep -q "^-- $id" "$catalog" || fail "an alert names message $id, which the catalog does not explain"
    done < <(sed -n 's/.*message_id: //p' "$monitoring/etcd-alerts.yml")
    if have python3; then python3 -m json.tool "$monitoring/etcd-dashboard.json" >/dev/null && pass "the dashboard is JSON" || fail "the dashboard is no JSON"; fi
    if have promtool; then
        promtool check rules "$monitoring/etcd-alerts.yml" >"$work/log" 2>&1 && promtool test rules "$here/alerts-test.yml" >"$work/log" 2>&1 &&
            pass "promtool" || fail "promtool: $(cat "$work/log")"
    else without promtool; fi
}

units() { # tree
    have systemd-analyze || { without systemd-analyze; return; }
    local dir=$1/usr/lib/systemd/system unit
    # Paths of programs are looked up below the root of this machine, where ours are not.
    mkdir "$work/units"
    for unit in "$dir"/*; do sed "s|/usr/bin/etcd-|$1/usr/bin/etcd-|" "$unit" >"$work/units/$(basename "$unit")"; done
    systemd-analyze verify --man=no "$work"/units/*.{service,timer} >"$work/log" 2>&1 || true
    # The program that renews is the site's own.
    if grep -v /etc/etcd/renew-certificate "$work/log" | grep -E 'etcd-' >&2; then fail "systemd-analyze verify"; else pass "systemd-analyze verify"; fi
    local exposure
    exposure=$(systemd-analyze security --offline=true "$dir/etcd-server.service" --no-pager | tail -1)
    systemd-analyze security --offline=true --threshold=11 "$dir/etcd-server.service" >/dev/null && pass "${exposure#→ }" || fail "more than 1.1: ${exposure#→ } ($(systemd-analyze --version | head -1))"
}

# shellcheck source=packaging/test-rpm.sh
. "$here/test-rpm.sh"
# shellcheck source=packaging/test-dnf.sh
. "$here/test-dnf.sh"
# shellcheck source=packaging/test-parts.sh
. "$here/test-parts.sh"

[ -x "$1/etcd-server" ] || { echo "test: no etcd-server in $1: run make build first" >&2; exit 1; }
binaries=$(cd "$1" && pwd)
same_twice deb.sh .deb 5
contents
parts
maintainer_scripts
if have lintian; then
    lintian --allow-root --fail-on error,warning "$work"/one/*.deb && pass lintian || fail lintian
else without lintian; fi
if have rpmbuild; then rpms && dnf_resolves; else without rpmbuild; fi
if have shellcheck; then
    shellcheck -x -P "$here" -e SC1091,SC2015 "$here"/*.sh "$here"/hosts/*.sh "$here"/deb/*/p* && pass shellcheck || fail shellcheck
else without shellcheck; fi
[ "$failures" = 0 ] || { echo "$failures failed" >&2; exit 1; }
echo "all of it holds"
