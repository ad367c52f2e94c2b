//! A log file that is put aside when it is full: `etcd.log` becomes
//! `etcd-2026-01-02T03-04-05.123.log`.
//!
//! Names and rules are those of the rotation library that etcd uses, so files of both live side by
//! side: rotated when the next line would not fit, old ones deleted by number and by age (by the
//! time in their name).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use config::Rotation;

use crate::log::time::Calendar;

/// The suffix of a compressed file's name.
const COMPRESSED: &str = ".gz";

/// An open log file with its rule.
#[derive(Debug)]
pub(crate) struct RotatingFile {
    path: PathBuf,
    rule: Rotation,
    file: File,
    bytes: u64,
}

/// Opens a log file to append to. Only we and our group may read it: lines name keys and users.
pub(crate) fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

impl RotatingFile {
    pub(crate) fn open(path: &Path, rule: Rotation) -> io::Result<Self> {
        let file = open_append(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), rule, file, bytes })
    }

    /// Writes one line; `now` names the file that it may put aside.
    pub(crate) fn write(&mut self, line: &[u8], now: SystemTime) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.rule.bytes_max {
            self.rotate(now)?;
        }
        self.file.write_all(line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    fn rotate(&mut self, now: SystemTime) -> io::Result<()> {
        let aside = self.free_name(now);
        std::fs::rename(&self.path, &aside)?;
        self.file = open_append(&self.path)?;
        self.bytes = 0;
        if self.rule.compress {
            // It takes a second or so, in which lines are to be written. Without a thread the file
            // stays as it is.
            drop(std::thread::Builder::new().name("log-compress".to_owned()).spawn(move || drop(compress(&aside))));
        }
        for path in self.expired(now).unwrap_or_default() {
            // Files that cannot be deleted now are tried again at the next rotation; the line must
            // not be lost for it.
            drop(std::fs::remove_file(path));
        }
        Ok(())
    }

    fn free_name(&self, now: SystemTime) -> PathBuf {
        let (stem, extension) = name_parts(&self.path);
        let stamp = Calendar::of(now).file_stamp();
        let mut name = self.path.with_file_name(format!("{stem}-{stamp}{extension}"));
        let mut count = 1;
        while name.exists() || compressed(&name).exists() {
            name = self.path.with_file_name(format!("{stem}-{stamp}.{count}{extension}"));
            count += 1;
        }
        name
    }

    /// Files put aside earlier that the rule no longer keeps.
    fn expired(&self, now: SystemTime) -> io::Result<Vec<PathBuf>> {
        let (stem, extension) = name_parts(&self.path);
        let prefix = format!("{stem}-");
        let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let mut stamps = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let rest = name.strip_prefix(&prefix).map(|rest| rest.strip_suffix(COMPRESSED).unwrap_or(rest));
            let stamp = rest.and_then(|rest| rest.strip_suffix(&extension));
            if let Some(stamp) = stamp.filter(|stamp| is_stamp(stamp)) {
                stamps.push((stamp.to_owned(), dir.join(&name)));
            }
        }
        // Stamps sort as times do.
        stamps.sort_by(|left, right| right.cmp(left));
        let kept = self.rule.backups_max.unwrap_or(usize::MAX);
        let oldest = self.rule.age_max.and_then(|age| now.checked_sub(age)).map(|time| Calendar::of(time).file_stamp());
        let too_old = |stamp: &String| oldest.as_ref().is_some_and(|oldest| stamp < oldest);
        Ok(stamps
            .into_iter()
            .enumerate()
            .filter(|(place, (stamp, _))| *place >= kept || too_old(stamp))
            .map(|(_, (_, path))| path)
            .collect())
    }
}

/// Replaces a file that was put aside by a compressed one. A crash on the way leaves both.
fn compress(path: &Path) -> io::Result<()> {
    let target = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(compressed(path))?;
    let mut encoder = flate2::write::GzEncoder::new(target, flate2::Compression::default());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    std::fs::remove_file(path)
}

fn compressed(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(COMPRESSED);
    name.into()
}

/// `etcd` and `.log` of `etcd.log`.
fn name_parts(path: &Path) -> (String, String) {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let extension = path.extension().map_or_else(String::new, |extension| format!(".{}", extension.to_string_lossy()));
    (stem, extension)
}

/// True for `2026-01-02T03-04-05.123`, with a count behind it or without.
fn is_stamp(text: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00-00-00.000";
    let bytes = text.as_bytes();
    bytes.len() >= SHAPE.len()
        && bytes
            .iter()
            .zip(SHAPE)
            .all(|(byte, shape)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape })
        && (bytes.len() == SHAPE.len() || bytes[SHAPE.len()] == b'.')
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_767_323_045 + seconds)
    }

    #[test]
    fn compresses_what_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etcd.log");
        let mut file = RotatingFile::open(&path, Rotation { compress: true, ..rule(Some(1), None) }).unwrap();
        for (seconds, line) in [(0, b"first one\n"), (1, b"secondone\n"), (2, b"third one\n")] {
            file.write(line, at(seconds)).unwrap();
            let begun = std::time::Instant::now();
            let wanted = usize::from(seconds > 0);
            while names(dir.path()).iter().filter(|name| name.ends_with(".log.gz")).count() != wanted
                || names(dir.path()).len() != wanted + 1
            {
                assert!(
                    begun.elapsed() < Duration::from_secs(30),
                    "waited for the compressed file alone: {:?}",
                    names(dir.path())
                );
                std::thread::yield_now();
            }
        }
        let name = names(dir.path()).into_iter().find(|name| name.ends_with(".gz")).unwrap();
        let mut text = String::new();
        let packed = File::open(dir.path().join(name)).unwrap();
        io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed), &mut text).unwrap();
        assert_eq!(text, "secondone\n");
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn rule(backups_max: Option<usize>, age_max: Option<Duration>) -> Rotation {
        Rotation { bytes_max: 10, age_max, backups_max, compress: false }
    }

    #[test]
    fn a_full_file_is_put_aside_and_only_so_many_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etcd.log");
        std::fs::write(dir.path().join("etcd-other.log"), "not ours").unwrap();
        let mut file = RotatingFile::open(&path, rule(Some(2), None)).unwrap();
        for second in 0..5 {
            file.write(b"12345678\n", at(second)).unwrap();
        }
        assert_eq!(
            names(dir.path()),
            ["etcd-2026-01-02T03-04-08.000.log", "etcd-2026-01-02T03-04-09.000.log", "etcd-other.log", "etcd.log"]
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"12345678\n");
    }

    #[test]
    fn a_line_is_never_split_and_a_long_one_still_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut file = RotatingFile::open(&path, rule(None, None)).unwrap();
        file.write(b"a line longer than the limit\n", at(0)).unwrap();
        file.write(b"next\n", at(0)).unwrap();
        file.write(b"xxxxxxxxx\n", at(0)).unwrap();
        assert_eq!(names(dir.path()), ["log", "log-2026-01-02T03-04-05.000", "log-2026-01-02T03-04-05.000.1"]);
    }

    #[test]
    fn old_files_go_by_the_time_in_their_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etcd.log");
        let mut file = RotatingFile::open(&path, rule(None, Some(Duration::from_secs(86_400)))).unwrap();
        for second in [0, 1, 100_000] {
            file.write(b"12345678\n", at(second)).unwrap();
        }
        assert_eq!(names(dir.path()), ["etcd-2026-01-03T06-50-45.000.log", "etcd.log"]);
    }

    #[test]
    fn a_file_found_at_start_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etcd.log");
        std::fs::write(&path, "12345678\n").unwrap();
        RotatingFile::open(&path, rule(None, None)).unwrap().write(b"next\n", at(0)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"next\n");
    }
}
