# shellcheck shell=bash
# Sourced: what is packaged, and the moment that all of its files carry. $top is the directory of the repository.
version=${PACKAGE_VERSION:-$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "${top:?}/Cargo.toml")}
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git -C "$top" log -1 --format=%ct 2>/dev/null) || {
        echo "packaging: no git history to take the date from: set SOURCE_DATE_EPOCH" >&2
        exit 1
    }
fi
export SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C
# shellcheck disable=SC2034 # read by those who source this
day=$(date -d "@$SOURCE_DATE_EPOCH" +%F)
# Compression: 6 for what is given away, 0 for a test in a hurry.
: "${XZ_LEVEL:=6}" "${version:?no version in Cargo.toml}"
# Who answers for the packages; whoever gives them away puts in their own name.
: "${PACKAGE_MAINTAINER:=etcd appliance <etcd-appliance@example.org>}"
export PACKAGE_MAINTAINER
