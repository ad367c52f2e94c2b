#!/bin/bash
# Builds the rpm packages: rpm.sh BINARIES OUT. The same binaries and commit give the same bytes.
set -euo pipefail
[ $# = 2 ] || { echo "usage: rpm.sh DIRECTORY_WITH_BINARIES OUT" >&2; exit 2; }
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/packaging/failing.sh"
. "$top/packaging/version.sh"
for tool in rpmbuild strip python3; do
    command -v $tool >/dev/null || { echo "rpm: no $tool: install rpm-build (Debian: rpm) and binutils" >&2; exit 1; }
done
# The directory's name must not get into the packages, so it is always the same below the working directory.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$2" "$work/top"
out=$(cd "$2" && pwd)
"$top/packaging/stage.sh" "$1" "$work/stage"
# Which completions there are hangs on the tool.
echo /usr/bin/etcd-admin >"$work/admin-files"
if [ -d "$work/stage/etcd-admin/usr/share/bash-completion" ]; then
    printf '%s\n' /usr/share/bash-completion/completions/etcd-admin /usr/share/zsh/site-functions/_etcd-admin /usr/share/fish/completions/etcd-admin.fish >>"$work/admin-files"
fi
licences=$top/packaging/licences/notices.py
for package in etcd-appliance etcd-admin; do
    (cd "$work/stage/$package-debug" && rm build-id && find usr -type f | sed 's|^|/|') >"$work/$package.debug-files"
done
cp "$work"/stage/*/usr/share/*/sbom/*.cdx.json "$out/"
rpmbuild -bb --define "_topdir $work/top" --define "_rpmdir $out" --define '_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' \
    --define "package_version $version" --define "stage $work/stage" --define "license_file $top/LICENSE" --define "admin_files $work/admin-files" \
    --define "server_debug_files $work/etcd-appliance.debug-files" --define "admin_debug_files $work/etcd-admin.debug-files" \
    --define "server_licence $("$licences" expression etcd-server)" --define "admin_licence $("$licences" expression etcd-admin)" \
    --define "day $(date -d "@$SOURCE_DATE_EPOCH" '+%a %b %d %Y')" --define "maintainer $PACKAGE_MAINTAINER" \
    --define "_binary_payload w$XZ_LEVEL.xzdio" "$top/packaging/rpm/etcd-appliance.spec"
