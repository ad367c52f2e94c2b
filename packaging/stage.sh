#!/bin/bash
# Lays out what the packages hold: stage.sh BINARIES OUT makes OUT/etcd-appliance, OUT/etcd-admin, OUT/etcd-appliance-client, and the debug
# symbols of the first two in OUT/PACKAGE-debug. The same input gives the same bytes.
set -euo pipefail
[ $# = 2 ] || { echo "usage: stage.sh DIRECTORY_WITH_BINARIES OUT" >&2; exit 2; }
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/packaging/failing.sh"
binaries=$1 out=$2
. "$top/packaging/version.sh"
for name in etcd-server etcd-admin; do
    [ -x "$binaries/$name" ] || { echo "stage: no $name in $binaries: run make build first" >&2; exit 1; }
done
rm -rf "$out"
server=$out/etcd-appliance admin=$out/etcd-admin client=$out/etcd-appliance-client
umask 022
mkdir -p "$server" "$admin" "$client"
licences=$top/packaging/licences/notices.py

# The program without debug information, which gets a file of its own below the build id; and with the list of its crates, in the section
# that `cargo audit bin`, syft, trivy and others read.
binary() { # package, name
    local program=$1/usr/bin/$2 id debug
    mkdir -p "$1/usr/bin"
    id=$(readelf --notes "$binaries/$2" 2>/dev/null | sed -n 's/^ *Build ID: //p')
    [ -n "$id" ] || { echo "stage: $2 has no build id: link it with -Wl,--build-id" >&2; exit 1; }
    debug=$1-debug/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug
    mkdir -p "$(dirname "$debug")"
    objcopy --only-keep-debug --compress-debug-sections "$binaries/$2" "$debug"
    chmod 0644 "$debug"
    echo "$id" >"$1-debug/build-id"
    strip --strip-unneeded --remove-section=.comment --remove-section=.note -o "$program" "$binaries/$2"
    "$licences" audit "$2" "$out/crates"
    objcopy --add-section .dep-v0="$out/crates" --set-section-flags .dep-v0=noload,readonly "$program"
    rm "$out/crates"
    chmod 0755 "$program"
}
# What is in the program, and under which terms.
parts() { # package, program
    mkdir -p "$1/usr/share/doc/$(basename "$1")" "$1/usr/share/$(basename "$1")/sbom"
    "$licences" notices "$2" | gzip -9n >"$1/usr/share/doc/$(basename "$1")/THIRD-PARTY-NOTICES.gz"
    "$licences" sbom "$2" >"$1/usr/share/$(basename "$1")/sbom/$2.cdx.json"
}
"$licences" check
binary "$server" etcd-server
binary "$admin" etcd-admin
parts "$server" etcd-server
parts "$admin" etcd-admin
# The tool is etcdctl and etcdutl under their names. A package of its own, because etcd's has files at the same paths.
mkdir -p "$client/usr/bin" "$client/usr/share/doc"
for name in etcdctl etcdutl; do ln -s etcd-admin "$client/usr/bin/$name"; done
has_verb() { "$binaries/etcd-admin" "$@" --help >/dev/null 2>&1; }

cp -r "$top/systemd/usr" "$server/"
# A timer for a verb that this etcd-admin does not have would fail twice a day.
has_verb snapshot save || rm "$server"/usr/lib/systemd/system/etcd-snapshot.{service,timer}
install -D -m 0644 "$top/packaging/files/etcd.yaml" "$server/usr/share/doc/etcd-appliance/examples/etcd.yaml"
install -D -m 0644 -t "$server/usr/share/etcd-appliance/monitoring" "$top"/packaging/files/monitoring/*
install -m 0644 "$top/packaging/RUNBOOKS.md" "$server/usr/share/doc/etcd-appliance/RUNBOOKS.md"
install -m 0644 "$top"/systemd/examples/* "$server/usr/share/doc/etcd-appliance/examples/"

mkdir -p "$server/usr/share/man/man8" "$admin/usr/share/man/man8"
"$binaries/etcd-server" --help | "$top/packaging/server-manual.awk" -v version="$version" -v date="$day" >"$server/usr/share/man/man8/etcd-server.8"
if has_verb man; then
    pages=$(mktemp -d)
    "$binaries/etcd-admin" man --dir "$pages" >/dev/null
    # The tool writes section 1; an administrator's commands belong to section 8.
    for page in "$pages"/*.1; do
        sed -e 's/^\(\.TH [^ ]*\) 1/\1 8/' -e 's/(1)/(8)/g' "$page" >"$admin/usr/share/man/man8/$(basename "$page" .1).8"
    done
    rm -r "$pages"
else
    "$binaries/etcd-admin" --help | "$top/packaging/admin-manual.awk" -v version="$version" -v date="$day" >"$admin/usr/share/man/man8/etcd-admin.8"
fi
gzip -9n "$server"/usr/share/man/man8/* "$admin"/usr/share/man/man8/*
mkdir -p "$client/usr/share/man/man8"
for name in etcdctl etcdutl; do ln -s etcd-admin.8.gz "$client/usr/share/man/man8/$name.8.gz"; done

if has_verb completion; then
    mkdir -p "$admin"/usr/share/{bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d}
    "$binaries/etcd-admin" completion bash >"$admin/usr/share/bash-completion/completions/etcd-admin"
    "$binaries/etcd-admin" completion zsh >"$admin/usr/share/zsh/vendor-completions/_etcd-admin"
    "$binaries/etcd-admin" completion fish >"$admin/usr/share/fish/vendor_completions.d/etcd-admin.fish"
fi
find "$out" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
