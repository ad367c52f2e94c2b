//! The directory of the state.
//!
//! ```text
//! member/state            the first state of a member
//! member/state-<index>    one that came from another member, complete at that index
//! member/current-state    the name of the current one; absent while it is the first
//! ```
//! The switch from one to another is the rename of a small file, so that after a crash there is one
//! or the other.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const FIRST: &str = "state";
const POINTER: &str = "current-state";
const POINTER_NEXT: &str = "current-state.new";

/// Returns the directory of the current state.
pub(crate) fn current(member: &Path) -> io::Result<PathBuf> {
    match fs::read_to_string(member.join(POINTER)) {
        Ok(name) if is_state(name.trim()) => Ok(member.join(name.trim())),
        Ok(name) => {
            let path = member.join(POINTER);
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} names {name:?}, which is no state", path.display()),
            ))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(member.join(FIRST)),
        Err(error) => Err(error),
    }
}

/// Returns the file without which a restart would not find `state`, `None` for the first state of a
/// member.
pub(crate) fn pointer_to(member: &Path, state: &Path) -> Option<PathBuf> {
    (state != member.join(FIRST)).then(|| member.join(POINTER))
}

/// Returns `true` if a member has used this directory.
pub fn is_used(member: &Path) -> bool {
    member.join(FIRST).exists() || member.join(POINTER).exists()
}

/// Returns an empty directory for a state at `index`; previous content is removed.
pub(crate) fn fresh(member: &Path, index: u64) -> io::Result<PathBuf> {
    let current = current(member)?;
    // A state may come again at the index of the one that counts, when that was of another time.
    let name = format!("{FIRST}-{index:016x}");
    let path = if current.ends_with(&name) { member.join(format!("{name}-again")) } else { member.join(name) };
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(path),
    }
}

/// Makes `state`, a directory beside the others, the current one. Durable when it returns.
pub(crate) fn switch(member: &Path, state: &Path) -> io::Result<()> {
    let name = state.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    assert!(is_state(name), "{} becomes the current state, and its name is none", state.display());
    let next = member.join(POINTER_NEXT);
    let mut file = File::create(&next)?;
    file.write_all(name.as_bytes())?;
    file.sync_all()?;
    fs::rename(&next, member.join(POINTER))?;
    File::open(member)?.sync_all()
}

/// Removes the other states, which a crash left behind.
pub(crate) fn remove_others(member: &Path) -> io::Result<()> {
    let current = current(member)?;
    for entry in fs::read_dir(member)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_state) && entry.path() != current {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn is_state(name: &str) -> bool {
    name == FIRST || name.strip_prefix("state-").is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_state_counts_and_the_others_go() {
        let dir = tempfile::tempdir().unwrap();
        let member = dir.path();
        assert!(!is_used(member));
        assert_eq!(current(member).unwrap(), member.join("state"));
        fs::create_dir(member.join("state")).unwrap();
        fs::create_dir(member.join("log")).unwrap();
        assert!(is_used(member));
        let fresh_one = fresh(member, 255).unwrap();
        assert_eq!(fresh_one, member.join("state-00000000000000ff"));
        fs::create_dir(&fresh_one).unwrap();
        assert_eq!(current(member).unwrap(), member.join("state"), "not before the switch");
        switch(member, &fresh_one).unwrap();
        assert_eq!(current(member).unwrap(), fresh_one);
        assert_ne!(fresh(member, 255).unwrap(), fresh_one, "never the one that counts");
        remove_others(member).unwrap();
        assert!(fresh_one.exists() && member.join("log").exists() && !member.join("state").exists());
        assert!(is_used(member));
        fs::write(member.join("current-state"), "../elsewhere").unwrap();
        assert!(current(member).is_err());
    }
}
