//! A mount point of its own, given back whatever happened on it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::Signal;
use tempfile::TempDir;

use super::Process;

/// A temporary directory with a mount point and the home of whoever mounts there.
#[derive(Debug)]
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("granulefs-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        fs::create_dir(folder.path().join("mnt")).unwrap();
        Self { folder }
    }

    pub(crate) fn mountpoint(&self) -> PathBuf {
        self.folder.path().join("mnt")
    }

    pub(crate) fn home(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The types of what the kernel has mounted here.
    pub(crate) fn mounted(&self) -> Vec<String> {
        let here = self.mounts();
        here.iter()
            .map(|line| line.split(" - ").nth(1).unwrap().split(' ').next().unwrap().to_owned())
            .collect()
    }

    /// The lines of proc(5)'s mountinfo for this place.
    pub(crate) fn mounts(&self) -> Vec<String> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mountpoint = self.mountpoint();
        table
            .lines()
            .filter(|line| line.split(' ').nth(4) == mountpoint.to_str())
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mountpoint = self.mountpoint();
        for process in Process::all_for(&mountpoint) {
            process.signal(Signal::KILL);
        }
        // Until nothing is mounted: EINVAL.
        while unmount(&mountpoint, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok() {}
    }
}
