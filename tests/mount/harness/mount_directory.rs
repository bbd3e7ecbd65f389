//! A directory for one mount, which is cleaned up even after a failed test.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{PROGRAM, Process, run};

/// A temporary directory with a mount point, which is also the home of the mounting user.
#[derive(Debug)]
pub(crate) struct MountDirectory {
    folder: TempDir,
}

impl MountDirectory {
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

    /// Returns a copy of the program that every user can reach: the clone may lie in a home that is
    /// closed to others.
    pub(crate) fn program(&self) -> PathBuf {
        let program = self.folder.path().join("granulefs");
        // Another process writes it. While this one had it open for writing, a child of another
        // test would inherit it for a moment, and nobody could run it (ETXTBSY).
        run(Command::new("install").args(["-m", "755", PROGRAM]).arg(&program)).must_succeed();
        program
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Returns the types of the filesystems that are mounted at the mount point.
    pub(crate) fn mounted_types(&self) -> Vec<String> {
        let here = self.mountinfo_lines();
        here.iter()
            .map(|line| line.split(" - ").nth(1).unwrap().split(' ').next().unwrap().to_owned())
            .collect()
    }

    /// Returns the sources that mount(8) shows at the mount point, with the kernel's escapes.
    pub(crate) fn mounted_sources(&self) -> Vec<String> {
        let here = self.mountinfo_lines();
        here.iter()
            .map(|line| line.split(" - ").nth(1).unwrap().split(' ').nth(1).unwrap().to_owned())
            .collect()
    }

    /// Returns the lines of proc(5)'s mountinfo for the mount point.
    pub(crate) fn mountinfo_lines(&self) -> Vec<String> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mountpoint = self.mountpoint();
        table
            .lines()
            .filter(|line| line.split(' ').nth(4) == mountpoint.to_str())
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for MountDirectory {
    fn drop(&mut self) {
        let mountpoint = self.mountpoint();
        for process in Process::serving(&mountpoint) {
            process.send_signal(Signal::KILL);
        }
        // With nothing mounted, unmounting fails with EINVAL.
        while unmount(&mountpoint, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok() {}
    }
}
