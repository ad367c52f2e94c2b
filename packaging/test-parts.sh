# shellcheck shell=bash
# Sourced by test.sh: licences and bills of materials in the packages, what scanners find in the programs, symbols, and debug information.
# shellcheck disable=SC2154

parts() {
    local tree=$work/tree program package
    python3 "$here/licences/test_notices.py" --quiet >"$work/log" 2>&1 && pass "notices, licences and bills of materials" || fail "licences: $(cat "$work/log")"
    for program in etcd-server etcd-admin; do
        package=etcd-appliance
        [ $program = etcd-server ] || package=etcd-admin
        "$here/symbols.sh" "$tree/usr/bin/$program" >"$work/log" 2>&1 && pass "$(tr '\n' ';' <"$work/log")" || fail "$(cat "$work/log")"
        has_no_shared_cxx "$tree/usr/bin/$program"
        has_notices "$tree/usr/share/doc/$package" $program
        has_crates "$tree/usr/bin/$program" $program
        has_symbols $package "$tree/usr/bin/$program"
        [ -z "${REMAP_PATHS:-}" ] || has_no_paths "$tree/usr/bin/$program"
    done
    for program in etcdctl etcdutl; do
        "$tree/usr/bin/$program" version | grep -q "^$program version: " && pass "$program runs" || fail "$program does not run"
    done
}

has_no_shared_cxx() { # program
    if objdump -p "$1" | grep -E 'NEEDED.*libstdc' >&2; then fail "$(basename "$1") needs a shared C++ library"; else pass "$(basename "$1") has its C++ library in it"; fi
}

has_notices() { # directory, program
    local name
    zcat "$1/THIRD-PARTY-NOTICES.gz" >"$work/notices"
    for name in "Apache License" "Permission is hereby granted" "Redistribution and use" "Mozilla Public License" "UNICODE LICENSE" "Boost Software License" "GCC RUNTIME LIBRARY EXCEPTION"; do
        grep -qi "$name" "$work/notices" || fail "$2's notices lack the text with '$name'"
    done
    for name in rocksdb lz4 aws-lc "rust standard library" tokio tonic; do grep -q "^$name [0-9]" "$work/notices" || fail "$2's notices do not name $name"; done
    pass "$2 has its notices: $(wc -c <"$work/notices") bytes, $(du -b "$1/THIRD-PARTY-NOTICES.gz" | cut -f1) compressed"
    head -1 "$1/copyright" | grep -q 'copyright-format/1.0' && grep -q '^Files: vendor/' "$1/copyright" && pass "$2 has a DEP-5 copyright file" || fail "$2's copyright file is not DEP-5"
}

# As scanners read it: https://github.com/rust-secure-code/cargo-auditable describes the form.
has_crates() { # program, name
    objcopy --dump-section .dep-v0="$work/crates" "$1" "$work/ignored" 2>"$work/log" || { fail "$2 has no list of crates: $(cat "$work/log")"; return; }
    python3 - "$work/crates" "$2" <<'PY' && pass "$2 has the list of its crates, and none of ours under a name of the registry" || fail "$2's list of crates"
import json, sys, zlib
packages = json.loads(zlib.decompress(open(sys.argv[1], "rb").read()))["packages"]
roots = [package["name"] for package in packages if package.get("root")]
assert roots == [sys.argv[2]], roots
assert all(package["source"] == "crates.io" for package in packages if not package.get("root"))
assert all(0 <= index < len(packages) for package in packages for index in package.get("dependencies", []))
names = {package["name"] for package in packages}
assert {"tokio", "rustls"} <= names and not {"telemetry", "storage", "certs"} & names, names
PY
}

# gdb finds the lines of the stripped program by the build id.
has_symbols() { # package, program
    local id file
    id=$(readelf --notes "$2" | sed -n 's/^ *Build ID: //p')
    dpkg-deb -x "$work/one/$1"-dbgsym_*.deb "$work/debug"
    file=$work/debug/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug
    [ -n "$id" ] && readelf --sections "$file" 2>/dev/null | grep -q debug_line && pass "$1-dbgsym has the lines of $(basename "$2")" || fail "$1-dbgsym has no debug information for build id $id"
}

has_no_paths() { # program
    local found
    found=$(strings -a "$1" | grep -E -o "(${HOME:-/root}|/home|/root|/tmp)/[^ ]{0,60}" | grep -vE '^/(root|home|tmp)/?$' | sort | uniq -c | head -5)
    [ -z "$found" ] && pass "$(basename "$1") holds no path of the build machine" || fail "$(basename "$1") holds paths of the build machine: $found"
}
