#!/bin/sh
# Compiles RocksDB's C++ once per machine and version, into DIRECTORY/librocksdb.a; does nothing when it is there.
#   prebuild-rocksdb.sh DIRECTORY
# Cargo would compile it again whenever a feature of a build tool changes. With ROCKSDB_LIB_DIR=DIRECTORY and
# ROCKSDB_STATIC=1 in the environment it links this one instead; without them it still builds, slowly.
#
# The sources are compiled as unity files of 22 sources each, because parsing the same headers 342 times takes three
# quarters of the time: 6 CPU minutes instead of 22 (g++ 12, -O2). The definitions are those of librocksdb-sys' build.rs for
# Linux; build.rs is the source of truth, so compare them when the crate changes.
set -eu
directory=${1:?usage: prebuild-rocksdb.sh DIRECTORY}
[ -f "$directory/librocksdb.a" ] && exit 0
root=$(cd "$(dirname "$0")/../../.." && pwd)
work=$directory/build
rm -rf "$work"
mkdir -p "$work"

# The directory of a package in the lock file, as cargo has unpacked it.
package_directory() {
    cargo metadata --format-version 1 --locked --manifest-path "$root/Cargo.toml" |
        grep -oE "\"manifest_path\":\"[^\"]*/$1-[0-9][^\"]*/Cargo.toml\"" | head -1 | sed 's/^"manifest_path":"//; s/\/Cargo.toml"$//'
}
rocksdb=$(package_directory librocksdb-sys)
lz4=$(package_directory lz4-sys)
if [ -z "$rocksdb" ] || [ -z "$lz4" ]; then
    echo "prebuild-rocksdb: librocksdb-sys or lz4-sys is not in Cargo.lock; set ROCKSDB_LIB_DIR= to let cargo build RocksDB" >&2
    exit 1
fi

architecture_flags=
[ "$(uname -m)" = x86_64 ] && architecture_flags=-msse2

# Debian's and Fedora's compilers name the directory of sources in the debug and assert strings: map it away.
flags="-std=c++20 -O2 -ffunction-sections -fdata-sections -fPIC -w $architecture_flags -include cstdint
    -I$rocksdb/rocksdb/include -I$rocksdb/rocksdb -I$rocksdb -I$lz4/liblz4/lib -ffile-prefix-map=$rocksdb=librocksdb-sys
    -DNDEBUG=1 -DLZ4=1 -DHAVE_ALIGNED_NEW -DHAVE_UINT128_EXTENSION -DOS_LINUX -DROCKSDB_PLATFORM_POSIX
    -DROCKSDB_LIB_IO_POSIX -DROCKSDB_SCHED_GETCPU_PRESENT -DROCKSDB_AUXV_GETAUXVAL_PRESENT
    -DROCKSDB_FALLOCATE_PRESENT -DROCKSDB_RANGESYNC_PRESENT"

# rocksdb_lib_sources.txt names util/build_version.cc, which the crate replaces with a version of its own.
grep -v '^util/build_version.cc' "$rocksdb/rocksdb_lib_sources.txt" | sed '/^[[:space:]]*$/d; s/[[:space:]]//g' |
    awk -v source="$rocksdb/rocksdb" -v work="$work" '{
        unit = sprintf("%s/unity_%02d.cc", work, int((NR - 1) / 22))
        printf "#include \"%s/%s\"\n", source, $0 > unit
    }'
printf '#include "%s/build_version.cc"\n' "$rocksdb" > "$work/unity_version.cc"

echo "compiling RocksDB once (about 6 minutes of processor time) into $directory"
# shellcheck disable=SC2016,SC2086
find "$work" -name 'unity_*.cc' | sort | CXX="${CXX:-c++}" FLAGS="$flags" xargs -P "$(nproc)" -I {} \
    sh -c '$CXX $FLAGS -c -o "$1.o" "$1"' compile {}
ar rcsD "$directory/librocksdb.a.part" "$work"/unity_*.o
mv "$directory/librocksdb.a.part" "$directory/librocksdb.a"
rm -rf "$work"
