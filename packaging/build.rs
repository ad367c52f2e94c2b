//! The build script of both programs: how they are linked, and from which commit they are built.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=../packaging/build.rs");
    link_cxx_statically()?;
    // Set by the Makefile. A build without it says so instead of naming a commit that it may not
    // have been built from.
    let mut source = Vec::new();
    for variable in ["SOURCE_COMMIT", "SOURCE_DATE"] {
        println!("cargo:rerun-if-env-changed={variable}");
        let value = std::env::var(variable).unwrap_or_default();
        println!("cargo:rustc-env={variable}={value}");
        source.extend((!value.is_empty()).then_some(value));
    }
    let version = std::env::var("CARGO_PKG_VERSION")?;
    let source = if source.is_empty() { String::new() } else { format!(" ({})", source.join(", ")) };
    println!("cargo:rustc-env=VERSION_WITH_SOURCE={version}{source}");
    Ok(())
}

/// Links libstdc++ into the program: a distribution's may be older than the compiler that RocksDB
/// is built with. libgcc_s stays shared, so that Rust and C++ unwind with the same library; its
/// symbols are old.
///
/// RocksDB's crate asks for `-lstdc++`, which the linker finds as a shared library first; here it
/// finds a directory before that which has the static one alone.
fn link_cxx_statically() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=CXX");
    let Some(library) = static_library() else {
        println!(
            "cargo:warning=no libstdc++.a: the program needs this machine's libstdc++.so (Fedora: dnf install libstdc++-static)"
        );
        return Ok(());
    };
    let directory = PathBuf::from(std::env::var("OUT_DIR")?).join("cxx");
    std::fs::create_dir_all(&directory)?;
    let link = directory.join("libstdc++.a");
    if link.is_symlink() {
        std::fs::remove_file(&link)?;
    }
    std::os::unix::fs::symlink(library, &link)?;
    println!("cargo:rustc-link-arg-bins=-L{}", directory.display());
    define_arc4random(&directory)
}

/// Compiles the function that a static libstdc++ takes from a newer C library.
fn define_arc4random(directory: &Path) -> Result<(), Box<dyn Error>> {
    const SOURCE: &str = "../packaging/arc4random.c";
    println!("cargo:rerun-if-changed={SOURCE}");
    let object = directory.join("arc4random.o");
    let status =
        Command::new(compiler()).args(["-x", "c", "-O2", "-fPIC", "-c", SOURCE, "-o"]).arg(&object).status()?;
    if !status.success() {
        return Err(format!("cannot compile {SOURCE}: {status}").into());
    }
    println!("cargo:rustc-link-arg-bins={}", object.display());
    Ok(())
}

fn compiler() -> String {
    std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned())
}

/// Returns the compiler's static libstdc++.
fn static_library() -> Option<PathBuf> {
    let output = Command::new(compiler()).arg("-print-file-name=libstdc++.a").output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    // Without one the compiler prints the bare name.
    Some(Path::new(path.trim()).to_owned()).filter(|path| path.is_absolute() && path.is_file())
}
