#!/bin/sh
# Installs what the build needs beside a Rust toolchain: a C++ compiler, make, libclang, and protoc, which the client library that tests
# drive us with compiles its messages with. Does nothing when all of it is there.
set -eu
command -v cargo >/dev/null || { echo "build-needs: no cargo: install a Rust toolchain first (https://rustup.rs)" >&2; exit 1; }
libclang() { find /usr/lib /usr/lib64 "${LIBCLANG_PATH:-/nonexistent}" -name 'libclang*.so*' 2>/dev/null | grep -q .; }
if command -v c++ >/dev/null && command -v clang >/dev/null && command -v protoc >/dev/null && libclang; then exit 0; fi
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
if command -v apt-get >/dev/null; then
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq g++ make clang libclang-dev protobuf-compiler >/dev/null
elif command -v dnf >/dev/null; then
    $as_root dnf install -y -q gcc-c++ make clang clang-devel protobuf-compiler
else
    echo "build-needs: install g++, make, clang, libclang and protoc with this system's package manager, then try again" >&2
    exit 1
fi
