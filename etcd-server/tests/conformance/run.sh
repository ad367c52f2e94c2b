#!/usr/bin/env bash
# Runs etcd's own end-to-end suites with this server in place of etcd, each test alone, and prints a table.
#   run.sh SERVER ETCD_SRC ETCD_BIN_DIR [PATTERN]
# SERVER is our etcd-server. ETCD_SRC is a source tree of etcd 3.7.1 with its Go modules, which the caller provides; nothing of it is
# part of this repository. ETCD_BIN_DIR holds the real etcd, etcdctl and etcdutl 3.7.1. PATTERN selects tests by name.
#   SUITES="common e2e"  the suites to run          TEST_LIMIT=300  seconds for one test
#   ADMIN=PATH           our etcd-admin also replaces etcdctl and etcdutl (make conformance CLI=ours)
# A test that fails and is not in exceptions.txt makes the run fail, and so does an exception that passes: the list stays true.
set -euo pipefail
usage="usage: run.sh SERVER ETCD_SRC ETCD_BIN_DIR [PATTERN]"
server=$(realpath "${1:?$usage}") source=$(realpath "${2:?$usage}") binaries=$(realpath "${3:?$usage}") pattern=${4:-.}
here=$(cd "$(dirname "$0")" && pwd)
limit=${TEST_LIMIT:-300}

for needed in "$server" "$binaries/etcd" "$binaries/etcdctl" "$binaries/etcdutl"; do
    [ -x "$needed" ] || { echo "conformance: $needed is missing or not executable" >&2; exit 2; }
done
[ -d "$source/tests/e2e" ] || { echo "conformance: $source has no tests/e2e: name a source tree of etcd 3.7.1" >&2; exit 2; }
command -v go >/dev/null || { echo "conformance: no go on the PATH; the suites are Go tests" >&2; exit 2; }

# Ends the servers that a test which was cut off has left behind: they hold the ports of the next one.
end_leftovers() {
    local exe pid
    for exe in /proc/[0-9]*/exe; do
        if [ "$(readlink "$exe" 2>/dev/null)" = "$work/bin/etcd" ]; then
            pid=${exe#/proc/}
            kill -9 "${pid%/exe}" 2>/dev/null || true
        fi
    done
}

work=$(mktemp -d)
trap 'end_leftovers; rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/logs"
cp "$server" "$work/bin/etcd"
cp "${ADMIN:-$binaries/etcdctl}" "$work/bin/etcdctl"
cp "${ADMIN:-$binaries/etcdutl}" "$work/bin/etcdutl"
# Only mixed-version tests use it, and they skip without it.
if [ -x "$binaries/etcd-last-release" ]; then cp "$binaries/etcd-last-release" "$work/bin/"; fi

# The reason why a test is expected to fail, or nothing.
exception() {
    awk -F ' *[|] *' -v name="$1" '$1 == name { sub(/^[^|]*[|] */, ""); print; exit }' "$here/exceptions.txt"
}

passed=0 failed=0 skipped=0 expected=0 unexpected=0
for suite in ${SUITES:-common e2e}; do
    echo "== tests/$suite"
    (cd "$source/tests" && go test -c -tags e2e -o "$work/$suite.test" "./$suite")
    for name in $(cd "$source/tests/$suite" && "$work/$suite.test" -test.list . -bin-dir "$work/bin" | grep '^Test' | grep -E "$pattern"); do
        log=$work/logs/$suite.$name
        started=$(date +%s)
        status=0
        (cd "$source/tests/$suite" && timeout "$limit" "$work/$suite.test" -test.run "^$name\$" -test.v -bin-dir "$work/bin") \
            > "$log" 2>&1 || status=$?
        if [ "$status" != 0 ]; then end_leftovers; fi
        seconds=$(($(date +%s) - started))
        reason=$(exception "$suite/$name")
        if [ "$status" != 0 ]; then
            failed=$((failed + 1))
            if [ -n "$reason" ]; then
                expected=$((expected + 1))
                result="fails as expected: $reason"
            else
                unexpected=$((unexpected + 1))
                result=FAILED
                if [ -n "${LOGS:-}" ]; then mkdir -p "$LOGS" && cp "$log" "$LOGS/$suite.$name.log"; fi
                grep -E -m 3 -- 'Error:|--- FAIL|panic:|expected' "$log" | sed 's/^/      /' > "$work/why" || true
            fi
        elif grep -q '^--- SKIP' "$log"; then
            skipped=$((skipped + 1))
            result="skipped by the suite"
        else
            passed=$((passed + 1))
            result=ok
            if [ -n "$reason" ]; then unexpected=$((unexpected + 1)); result="passes, but is in exceptions.txt"; fi
        fi
        printf '%-8s %-70s %4ss  %s\n' "$suite" "$name" "$seconds" "$result"
        if [ "$result" = FAILED ]; then cat "$work/why"; fi
    done
done
echo "$passed passed, $failed failed ($expected of them listed in exceptions.txt), $skipped skipped; $unexpected unexpected"
[ "$unexpected" = 0 ]
