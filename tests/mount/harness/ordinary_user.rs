//! An ordinary user: programs that run as one, and mounts that one makes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::{CommandOutput, MountCommand, MountDirectory, TestEnvironment, run};

/// The id of an ordinary user that every Linux system has.
pub(crate) const NOBODY: &str = "65534";
/// The system's own Python: another one may lie in a home that is closed to others.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

#[track_caller]
pub(crate) fn as_nobody(arguments: &[&str]) -> CommandOutput {
    let user = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
    run(Command::new("setpriv").args(user).args(arguments).current_dir("/"))
}

impl TestEnvironment {
    /// Returns a mount of `source` by an ordinary user, at a directory in a home of his own.
    /// Returns `None`, after printing a message, where ordinary users cannot mount.
    pub(crate) fn mount_command_of_nobody(&self, source: &str) -> Option<MountCommand> {
        if fs::metadata("/dev/fuse").unwrap().permissions().mode() & 0o006 != 0o006 {
            eprintln!("skipped: /dev/fuse is closed to ordinary users here (chmod 666 /dev/fuse)");
            return None;
        }
        let directory = MountDirectory::new();
        run(Command::new("chown").arg("-R").arg(NOBODY).arg(directory.home())).must_succeed();
        Some(self.mount_command_at(directory, source).run_as_user(NOBODY))
    }
}
