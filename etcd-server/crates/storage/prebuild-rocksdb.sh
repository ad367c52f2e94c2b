#!/bin/sh
# Compiles RocksDB's C++ once per machine and version, into FOLDER/librocksdb.a; does nothing when it is there.
#   prebuild-rocksdb.sh FOLDER
# Cargo would compile it again whenever a feature of a build tool changes, half an hour of processor time each. With
# ROCKSDB_LIB_DIR=FOLDER and ROCKSDB_STATIC=1 in the environment it links this one instead; without them it still builds, slowly.
set -eu
folder=${1:?usage: prebuild-rocksdb.sh FOLDER}
[ -f "$folder/librocksdb.a" ] && exit 0
manifest=$(dirname "$0")/../../../Cargo.toml
dependency=$(sed -n 's/^rocksdb = \({.*}\).*/\1/p' "$manifest")
work=$folder/build
mkdir -p "$work/src"
cat > "$work/Cargo.toml" <<EOF
[workspace]
[package]
name = "rocksdb-once"
version = "0.0.0"
edition = "2024"
[dependencies]
rocksdb = $dependency
[profile.release.package.librocksdb-sys]
opt-level = 2
debug = false
EOF
echo 'fn main() {}' > "$work/src/main.rs"
echo "compiling RocksDB once (about 35 minutes of processor time) into $folder"
env -u ROCKSDB_LIB_DIR -u ROCKSDB_STATIC CARGO_TARGET_DIR="$work/target" cargo build --release --manifest-path "$work/Cargo.toml"
library=$(find "$work/target" -name librocksdb.a | head -1)
cp "$library" "$folder/librocksdb.a.part"
mv "$folder/librocksdb.a.part" "$folder/librocksdb.a"
rm -rf "$work"
