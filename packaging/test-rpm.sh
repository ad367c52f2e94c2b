# shellcheck shell=bash
# Sourced by test.sh: what is in the rpm packages, and what their scriptlets do when they are called as rpm calls them, everything that could start or
# delete something replaced. rpm itself installs, upgrades and erases them in hosts/rpm.sh.
# shellcheck disable=SC2154

scriptlet() { # package, tag: answers a file with its text
    local file=$work/scriptlet-$2
    [ "$(rpm -qp --qf "%{$2PROG}" "$1" 2>/dev/null)" = /bin/sh ] || fail "$(basename "$1"): $2 is not for /bin/sh"
    rpm -qp --qf "%{$2}\n" "$1" 2>/dev/null >"$file"
    echo "$file"
}

rpm_scriptlets() {
    local server admin post preun postun calls
    server=$(echo "$work"/one/etcd-appliance-[0-9]*.rpm) admin=$(echo "$work"/one/etcd-admin-[0-9]*.rpm)
    [ -z "$(rpm -qp --scripts --triggers --filetriggers "$admin" 2>/dev/null)" ] && pass "the tool's rpm has no scriptlets" || fail "the tool's rpm has scriptlets"
    is_all "the server's rpm has these and no others" "postinstall postuninstall preuninstall" \
        "$(rpm -qp --scripts --triggers --filetriggers "$server" 2>/dev/null | sed -nE 's/^([a-z]+) (scriptlet|program|trigger).*/\1/p' | sort -u)"
    post=$(scriptlet "$server" POSTIN) preun=$(scriptlet "$server" PREUN) postun=$(scriptlet "$server" POSTUN)
    calls=$(script_calls "$post" 1)
    never "rpm: an install starts and enables nothing" ' (start|restart|try-restart|enable)( |$)|systemctl .*reload-or|--now' "$calls"
    grep -q '^systemd-sysusers' <<<"$calls" && grep -q '^systemd-tmpfiles --create' <<<"$calls" && pass "rpm: an install makes user and directories" || fail "rpm: an install makes no user or directories"
    grep -q 'not started' "$work/said" || fail "rpm: an install does not tell what to do next"
    calls=$(script_calls "$post" 2; cat "$work/said" >"$work/upgraded"; script_calls "$preun" 1; script_calls "$postun" 1)
    never "rpm: an upgrade stops, restarts, enables and disables nothing" ' (start|stop|restart|try-restart|enable|disable|preset)( |$)|--now' "$calls"
    grep -q 'restart members one after another' "$work/upgraded" && pass "rpm: and tells to restart" || fail "rpm: an upgrade does not tell to restart"
    calls=$(script_calls "$preun" 0; script_calls "$postun" 0)
    grep -q 'disable --now .*etcd-server.service' <<<"$calls" && pass "rpm: an erasure stops the member" || fail "rpm: an erasure leaves the member running without its program"
    never "rpm: and deletes no data and no user" '^(rm|rmdir|userdel|deluser) ' "$calls"
}
is_all() { # what, expected words, lines
    [ "$2" = "$(tr '\n' ' ' <<<"$3" | sed 's/ *$//')" ] && pass "$1" || fail "$1: expected $2, got $3"
}

rpms() {
    local rpm
    same_twice rpm.sh .rpm 5
    for rpm in "$work"/one/*.rpm; do
        never "$(basename "$rpm"): nothing of /etc or /var" '^/(etc|var)/' "$(rpm -qpl "$rpm" 2>/dev/null)"
    done
    rpm_scriptlets
    have rpmlint || { without rpmlint; return; }
    rpmlint --config "$here/rpm/rpmlint.toml" "$work"/one/*.rpm >"$work/log" 2>&1 || true
    if grep -E ': [EW]: ' "$work/log" >&2; then fail rpmlint; else pass "rpmlint"; fi
}
