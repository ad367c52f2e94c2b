#!/bin/bash
# Builds the Debian packages: deb.sh BINARIES OUT. The same binaries and commit give the same bytes.
set -euo pipefail
[ $# = 2 ] || { echo "usage: deb.sh DIRECTORY_WITH_BINARIES OUT" >&2; exit 2; }
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/packaging/failing.sh"
. "$top/packaging/version.sh"
for tool in dpkg-deb dpkg-shlibdeps strip python3; do
    command -v $tool >/dev/null || { echo "deb: no $tool: apt-get install dpkg-dev binutils python3" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$2"
out=$(cd "$2" && pwd)
"$top/packaging/stage.sh" "$1" "$work/stage"
architecture=$(dpkg --print-architecture)

# Which libraries, from which version on: as the binary's symbols tell.
libraries() {
    mkdir -p "$work/shlibs/debian"
    printf 'Source: etcd-appliance\n\nPackage: etcd-appliance\nArchitecture: any\n' >"$work/shlibs/debian/control"
    (cd "$work/shlibs" && dpkg-shlibdeps -O --ignore-missing-info "$1" 2>/dev/null) | sed -n 's/^shlibs:Depends=//p'
}

# Bytes of a package, each file rounded up, as dpkg counts them.
kib() { find "$1" -type f ! -path '*/DEBIAN/*' ! -name build-id -printf '%s\n' | awk '{ kib += int(($1 + 1023) / 1024) } END { print kib + 0 }'; }

build() { # package, architecture, program that it contains
    local tree=$work/stage/$1 from=$top/packaging/deb/$1 doc=$work/stage/$1/usr/share/doc/$1
    umask 022
    mkdir -p "$tree/DEBIAN" "$doc"
    if [ -n "${3:-}" ]; then "$top/packaging/licences/notices.py" copyright "$3" >"$doc/copyright"; else cp "$top/packaging/deb/copyright" "$doc/copyright"; fi
    sed "s/^etcd-appliance (VERSION)/etcd-appliance ($version)/; s/MAINTAINER/$PACKAGE_MAINTAINER/; s/DATE\$/$(date -R -d "@$SOURCE_DATE_EPOCH")/" "$top/packaging/deb/changelog" | gzip -9n >"$doc/changelog.gz"
    if [ -f "$from/lintian-overrides" ]; then install -D -m 0644 "$from/lintian-overrides" "$tree/usr/share/lintian/overrides/$1"; fi
    for script in postinst prerm postrm; do
        if [ -f "$from/$script" ]; then install -m 0755 "$from/$script" "$tree/DEBIAN/$script"; fi
    done
    (cd "$tree" && find etc -type f 2>/dev/null | LC_ALL=C sort | sed 's|^|/|') >"$tree/DEBIAN/conffiles" || true
    [ -s "$tree/DEBIAN/conffiles" ] || rm "$tree/DEBIAN/conffiles"
    (cd "$tree" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
    local size
    size=$(kib "$tree")
    sed "s/@VERSION@/$version/; s/@ARCHITECTURE@/$2/; s/@SIZE@/$size/; s/@MAINTAINER@/$PACKAGE_MAINTAINER/; s/@LIBRARIES@/${3:+$(libraries "$tree/usr/bin/$3")}/" "$from/control" >"$tree/DEBIAN/control"
    find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz -z"$XZ_LEVEL" --threads-max=1 --build "$tree" "$out/$1_${version}_$2.deb"
}

# The debug symbols of a package, as debhelper packs them.
build_symbols() { # package
    local tree=$work/stage/$1-debug doc=$work/stage/$1-debug/usr/share/doc size
    mkdir -p "$tree/DEBIAN" "$doc"
    ln -s "$1" "$doc/$1-dbgsym"
    size=$(kib "$tree")
    printf '%s\n' "Package: $1-dbgsym" "Source: etcd-appliance" "Version: $version" "Auto-Built-Package: debug-symbols" "Architecture: $architecture" \
        "Maintainer: $PACKAGE_MAINTAINER" "Installed-Size: $size" "Depends: $1 (= $version)" "Section: debug" "Priority: optional" \
        "Homepage: https://etcd.io" "Description: debug symbols for $1" "Build-Ids: $(cat "$tree/build-id")" >"$tree/DEBIAN/control"
    rm "$tree/build-id"
    (cd "$tree" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
    find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz -z"$XZ_LEVEL" --threads-max=1 --build "$tree" "$out/$1-dbgsym_${version}_$architecture.deb"
}
# The bills of materials beside the packages, for scanners that look there.
cp "$work"/stage/*/usr/share/*/sbom/*.cdx.json "$out/"

install -D -m 0644 "$top/packaging/files/needrestart.conf" "$work/stage/etcd-appliance/etc/needrestart/conf.d/etcd-server.conf"
# Presets are how rpm distributions say it; here the scripts leave the unit disabled.
rm -r "$work/stage/etcd-appliance/usr/lib/systemd/system-preset"
build etcd-appliance "$architecture" etcd-server
build etcd-admin "$architecture" etcd-admin
build etcd-appliance-client all
build_symbols etcd-appliance
build_symbols etcd-admin
