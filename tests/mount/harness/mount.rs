//! A mount that is being served.

use std::fs;
use std::path::{Path, PathBuf};

use super::{MountDirectory, Process};

/// A mount, which is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Mount {
    pub(super) server: Process,
    pub(super) directory: MountDirectory,
}

impl Mount {
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.mountpoint()
    }

    /// Returns a path below the mount point.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.path().join(path)
    }

    pub(crate) fn server(&self) -> Process {
        self.server
    }

    pub(crate) fn directory(&self) -> &MountDirectory {
        &self.directory
    }

    /// Returns the directory without ending the mount, for another mount there.
    pub(crate) fn into_directory(self) -> MountDirectory {
        self.directory
    }

    /// Returns what the program has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.log()).unwrap_or_default()
    }
}
