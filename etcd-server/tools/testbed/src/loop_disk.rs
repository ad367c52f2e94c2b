//! A file system of its own for a server: an ext4 in a file, mounted through a loop device, whose
//! power can be cut.
//!
//! The cut is ext4's shutdown ioctl without flushing its journal: everything unsynced is lost and
//! every later write fails. Needs root, `mkfs.ext4`, `mount`, `perl` and a loop device. Unmounted
//! when dropped, also while a test is failing.

use std::{
    fs, io,
    path::PathBuf,
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// A mounted ext4 on a sparse file.
#[derive(Debug)]
pub struct LoopDisk {
    home: TempDir,
    mounted: bool,
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

impl LoopDisk {
    /// Makes and mounts a filesystem of `bytes`. `None` where loop mounts are not available.
    ///
    /// # Errors
    /// When the directory or the image file cannot be made.
    pub fn new(bytes: u64) -> io::Result<Option<Self>> {
        let home = tempfile::Builder::new().prefix("testbed-disk-").tempdir()?;
        let image = home.path().join("image");
        fs::File::create(&image)?.set_len(bytes)?;
        fs::create_dir(home.path().join("mount"))?;
        let mut disk = Self { home, mounted: false };
        let formatted = succeeds(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&image));
        Ok((formatted && disk.mount()).then_some(disk))
    }

    /// Returns its mount point.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.home.path().join("mount")
    }

    /// Mounts it; the rest of the journal after a cut is replayed. Returns `true` on success.
    #[must_use]
    pub fn mount(&mut self) -> bool {
        self.mounted = self.mounted
            || succeeds(
                Command::new("mount").args(["-o", "loop"]).arg(self.home.path().join("image")).arg(self.path()),
            );
        self.mounted
    }

    /// Loses everything that was not synced, and fails every write from now on. Returns whether
    /// that succeeded.
    #[must_use]
    pub fn cut_power(&self) -> bool {
        let shutdown =
            "open(F, '<', $ARGV[0]) or exit 1; my $flags = pack('L', 2); ioctl(F, 0x8004587d, $flags) or exit 2;";
        succeeds(Command::new("perl").arg("-e").arg(shutdown).arg(self.path()))
    }

    /// Makes every write and sync wait, for as long as it is frozen: a disk that hangs. Returns
    /// whether that succeeded.
    #[must_use]
    pub fn freeze(&self, frozen: bool) -> bool {
        succeeds(Command::new("fsfreeze").arg(if frozen { "--freeze" } else { "--unfreeze" }).arg(self.path()))
    }

    /// Turns it read-only, as ext4 does by itself after an error. Returns whether that succeeded.
    #[must_use]
    pub fn turn_read_only(&self) -> bool {
        succeeds(Command::new("mount").args(["-o", "remount,abort"]).arg(self.path())) || self.is_read_only()
    }

    /// As the kernel says: `mount` itself may report a remount that took effect as failed.
    fn is_read_only(&self) -> bool {
        fs::File::create(self.path().join("probe")).is_err()
    }

    /// Unmounts it; no file may be open there. Returns `true` on success.
    #[must_use]
    pub fn unmount(&mut self) -> bool {
        self.mounted = self.mounted && !succeeds(Command::new("umount").arg(self.path()));
        !self.mounted
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // A file may still be open when a test fails: then the mount goes as soon as it is closed.
        if !self.unmount() {
            self.mounted = !succeeds(Command::new("umount").arg("--lazy").arg(self.path()));
        }
    }
}
