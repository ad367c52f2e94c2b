//! Open outputs of the writer thread.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use config::{LogOutput, LogOutputs, LogSettings};
use thiserror::Error;

use crate::log::journal::{Journal, SOCKET};
use crate::log::rotation::{RotatingFile, open_append};

/// An output that cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error("open sink {:?}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("can't find journal ({0})")]
    Journal(io::Error),
}

/// The outputs, open. The journal takes entries, all others take lines.
#[derive(Debug)]
pub(crate) enum Destination {
    Journal(Journal),
    Lines(Vec<LineOutput>),
}

#[derive(Debug)]
pub(crate) enum LineOutput {
    Stderr,
    Stdout,
    File(File),
    Rotating(RotatingFile),
}

impl Destination {
    /// Opens the outputs of the settings. `journal_stream` is the variable JOURNAL_STREAM, which
    /// systemd sets. `member` is the name that entries of the journal carry.
    pub(crate) fn open(settings: &LogSettings, member: &str, journal_stream: Option<&str>) -> Result<Self, OpenError> {
        let listed = match &settings.outputs {
            LogOutputs::Listed(listed) => listed,
            LogOutputs::Default if stderr_is_journal(journal_stream) => {
                // Should the journal have gone meanwhile, its stream may still be there.
                return Ok(Journal::open(Path::new(SOCKET), member)
                    .map_or_else(|_| Self::Lines(vec![LineOutput::Stderr]), Self::Journal));
            }
            LogOutputs::Default => return Ok(Self::Lines(vec![LineOutput::Stderr])),
        };
        if listed.contains(&LogOutput::Journal) {
            return Journal::open(Path::new(SOCKET), member).map(Self::Journal).map_err(OpenError::Journal);
        }
        let open = |output: &LogOutput| match output {
            LogOutput::Stderr | LogOutput::Journal => Ok(LineOutput::Stderr),
            LogOutput::Stdout => Ok(LineOutput::Stdout),
            LogOutput::File(path) => {
                open_file(path, settings).map_err(|source| OpenError::File { path: path.clone(), source })
            }
        };
        listed.iter().map(open).collect::<Result<_, _>>().map(Self::Lines)
    }
}

fn open_file(path: &Path, settings: &LogSettings) -> io::Result<LineOutput> {
    match settings.rotation {
        Some(rule) => RotatingFile::open(path, rule).map(LineOutput::Rotating),
        None => open_append(path).map(LineOutput::File),
    }
}

impl LineOutput {
    pub(crate) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().lock().write_all(line),
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(line)?;
                stdout.flush()
            }
            Self::File(file) => file.write_all(line),
            Self::Rotating(file) => file.write(line, SystemTime::now()),
        }
    }
}

/// systemd names the device and inode of the stream it gave us, so that a redirected stderr is not
/// taken for it.
fn stderr_is_journal(journal_stream: Option<&str>) -> bool {
    let Some((device, inode)) = journal_stream.and_then(|stream| stream.split_once(':')) else { return false };
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(File::from).and_then(|file| file.metadata());
    stderr.is_ok_and(|stderr| device.parse() == Ok(stderr.dev()) && inode.parse() == Ok(stderr.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_stderr_counts_as_the_journals_stream() {
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned().unwrap()).metadata().unwrap();
        assert!(stderr_is_journal(Some(&format!("{}:{}", stderr.dev(), stderr.ino()))));
        for other in [None, Some(""), Some("1"), Some("x:y"), Some("1:18446744073709551615")] {
            assert!(!stderr_is_journal(other), "{other:?}");
        }
    }
}
