#!/bin/bash
# Lays out what the packages hold: stage.sh BINARIES OUT makes OUT/etcd-appliance and OUT/etcd-admin. The same input gives the same bytes.
set -euo pipefail
[ $# = 2 ] || { echo "usage: stage.sh FOLDER_WITH_BINARIES OUT" >&2; exit 2; }
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/packaging/failing.sh"
binaries=$1 out=$2
. "$top/packaging/version.sh"
for name in etcd-server etcd-admin; do
    [ -x "$binaries/$name" ] || { echo "stage: no $name in $binaries: run make build first" >&2; exit 1; }
done
rm -rf "$out"
server=$out/etcd-appliance admin=$out/etcd-admin
umask 022
mkdir -p "$server" "$admin"

binary() { # package, name
    mkdir -p "$1/usr/bin"
    strip --strip-unneeded --remove-section=.comment --remove-section=.note -o "$1/usr/bin/$2" "$binaries/$2"
    chmod 0755 "$1/usr/bin/$2"
}
binary "$server" etcd-server
binary "$admin" etcd-admin
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

if has_verb completion; then
    mkdir -p "$admin"/usr/share/{bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d}
    "$binaries/etcd-admin" completion bash >"$admin/usr/share/bash-completion/completions/etcd-admin"
    "$binaries/etcd-admin" completion zsh >"$admin/usr/share/zsh/vendor-completions/_etcd-admin"
    "$binaries/etcd-admin" completion fish >"$admin/usr/share/fish/vendor_completions.d/etcd-admin.fish"
fi
find "$out" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
