#!/bin/bash
# Checks that a program runs on the oldest supported systems: symbols.sh PROGRAM... fails and names every symbol that is newer than what Enterprise
# Linux 9 has (glibc 2.34, GCC 11), and every path of the build machine.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: symbols.sh PROGRAM..." >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
. "$here/failing.sh"
declare -A newest=([GLIBC]=2.34 [GLIBCXX]=3.4.29 [CXXABI]=1.3.13 [GCC]=12.0.0)
failed=0

# Whether version $1 is newer than $2.
is_newer() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | tail -1)" = "$1" ]; }

for program in "$@"; do
    # Lines of objdump: ... (LIBRARY_VERSION) symbol
    imports=$(objdump --dynamic-syms "$program" | sed -nE 's/.*\*UND\*.*\(?\b([A-Z]+)_([0-9.]+)\)? +(.*)/\1 \2 \3/p')
    while read -r library version symbol; do
        [ -n "${newest[$library]:-}" ] || continue
        if is_newer "$version" "${newest[$library]}"; then
            echo "symbols: $(basename "$program") needs $symbol of ${library}_$version; Enterprise Linux 9 ends at ${library}_${newest[$library]}" >&2
            failed=1
        fi
    done <<<"$imports"
    for library in GLIBC GLIBCXX; do
        found=$(sed -n "s/^$library \([0-9.]*\) .*/\1/p" <<<"$imports" | sort -V | tail -1)
        echo "$(basename "$program"): newest symbol of $library: ${found:-none}"
    done
done
exit $failed
