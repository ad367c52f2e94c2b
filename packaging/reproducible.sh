#!/bin/bash
# Builds the programs twice from the committed sources, each time below another home, source and target directory, and compares them byte for byte.
# reproducible.sh [DIR] works in DIR, and needs the crates in Cargo's cache or the network. Takes two whole builds, RocksDB included.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/packaging/failing.sh"
work=${1:-$(mktemp -d)}
[ -n "${1:-}" ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work"
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
commit=$(git -C "$top" rev-parse --short=12 HEAD) day=$(git -C "$top" log -1 --format=%cs)

build() { # name of its directories
    local home=$work/$1/home source=$work/$1/source
    mkdir -p "$home/.cargo" "$source"
    git -C "$top" archive HEAD | tar -x -C "$source"
    # The same crates, at another path.
    [ -e "$home/.cargo/registry" ] || cp -r "$cargo_home/registry" "$home/.cargo/registry"
    env -u RUSTFLAGS -u CFLAGS -u CXXFLAGS -u ROCKSDB_LIB_DIR HOME="$home" CARGO_HOME="$home/.cargo" XDG_CACHE_HOME="$home/.cache" CARGO_INCREMENTAL=0 \
        CARGO_TARGET_DIR="$work/$1/target-$1" REMAP_PATHS=1 SOURCE_COMMIT="$commit" SOURCE_DATE="$day" PATH="$cargo_home/bin:$PATH" \
        make -C "$source" binaries
}
build one
build another-name
failed=0
for program in etcd-server etcd-admin; do
    for name in one another-name; do
        strip --strip-unneeded --remove-section=.comment -o "$work/$program-$name" "$work/$name/target-$name/packaged/$program"
    done
    if cmp "$work/$program-one" "$work/$program-another-name"; then
        echo "$program: the same twice: $(sha256sum <"$work/$program-one" | cut -d' ' -f1)"
    else
        echo "$program: differs from build to build: compare $work/$program-* with diffoscope" >&2
        failed=1
    fi
done
exit $failed
