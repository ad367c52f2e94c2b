//! Directories are not deleted but renamed, with a note that gives the reason.

use admin_ui::error::{CliError, FAILED};
use std::path::{Path, PathBuf};

/// Returns the new path of a directory. The same mark gives the same path, so that an interrupted
/// move is recognised.
pub fn place_of(path: &Path, mark: &str) -> PathBuf {
    with_ending(path, &format!(".aside-{mark}"))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    // A slash at the end would put it below itself.
    let mut name = path.components().as_path().as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Renames a directory beside its place, the note first. Returns `true` if there was anything to
/// move.
pub fn move_aside(path: &Path, mark: &str, why: &str) -> Result<bool, CliError> {
    let aside = place_of(path, mark);
    let failed = |error: std::io::Error| {
        CliError::new(FAILED, format!("move {} to {}: {error}", path.display(), aside.display()))
    };
    if !path.exists() {
        return Ok(false);
    }
    if aside.exists() {
        return Err(CliError::refused(format!("{} and {} both exist: check both", aside.display(), path.display())));
    }
    let note = with_ending(&aside, ".note");
    certs::files::replace(&note, format!("{why}\nIt was {}.\n", path.display()).as_bytes(), 0o600)?;
    std::fs::rename(path, &aside).map_err(failed)?;
    std::fs::File::open(certs::files::dir_of(&aside)).and_then(|above| above.sync_all()).map_err(failed)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dir_is_moved_once_with_a_note() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("data");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("file"), "content").unwrap();
        assert!(move_aside(&dir.join(""), "7", "Because.").unwrap());
        assert_eq!(std::fs::read_to_string(home.path().join("data.aside-7/file")).unwrap(), "content");
        assert!(std::fs::read_to_string(home.path().join("data.aside-7.note")).unwrap().starts_with("Because.\n"));
        assert!(!move_aside(&dir, "7", "Because.").unwrap());
        std::fs::create_dir(&dir).unwrap();
        assert!(move_aside(&dir, "7", "Because.").is_err());
    }
}
