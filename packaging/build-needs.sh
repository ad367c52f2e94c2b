#!/bin/sh
# Installs what the build needs beside a Rust toolchain: a C++ compiler, make, and libclang. Does nothing when it is there.
set -eu
command -v cargo >/dev/null || { echo "build-needs: no cargo: install a Rust toolchain first (https://rustup.rs)" >&2; exit 1; }
libclang() { find /usr/lib /usr/lib64 "${LIBCLANG_PATH:-/nonexistent}" -name 'libclang*.so*' 2>/dev/null | grep -q .; }
if command -v c++ >/dev/null && command -v clang >/dev/null && libclang; then exit 0; fi
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
if command -v apt-get >/dev/null; then
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq g++ make clang libclang-dev >/dev/null
elif command -v dnf >/dev/null; then
    $as_root dnf install -y -q gcc-c++ make clang clang-devel
else
    echo "build-needs: install g++, make, clang and libclang with this system's package manager, then try again" >&2
    exit 1
fi
