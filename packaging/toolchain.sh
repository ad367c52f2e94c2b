#!/bin/sh
# Prints the rustup toolchain to build with: one that is installed and has the version of rust-toolchain.toml, under any name; the version itself when there
# is none. Prints nothing without rustup.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
version=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$top/rust-toolchain.toml")
command -v rustup >/dev/null || exit 0
# Outside of the repository, whose file would have rustup download the version.
cd /
for name in $(rustup toolchain list 2>/dev/null | sed 's/ .*//'); do
    case $(rustup run "$name" rustc --version 2>/dev/null) in
    "rustc $version "*) echo "$name" && exit 0 ;;
    esac
done
echo "$version"
