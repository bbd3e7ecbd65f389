//! Processes that are not children of the test, which are found through /proc.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::eventually;

/// A process of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pid: i32,
}

impl Process {
    /// Returns the processes of the program that have `mountpoint` on their command line.
    pub(crate) fn serving(mountpoint: &Path) -> Vec<Self> {
        let pids = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_wanted = |process: &Self| {
            let command_line = process.command_line();
            let mut words = command_line.split(|byte| *byte == 0);
            words.next().is_some_and(|program| program.ends_with(b"granulefs"))
                && words.any(|word| word == mountpoint.as_os_str().as_bytes())
        };
        pids.map(|pid| Self { pid }).filter(is_wanted).filter(Self::is_alive).collect()
    }

    pub(crate) fn new(pid: u32) -> Self {
        Self { pid: pid.try_into().unwrap() }
    }

    /// Returns whether the process runs. A zombie does not.
    pub(crate) fn is_alive(&self) -> bool {
        self.stat().is_some_and(|fields| !matches!(fields[0].as_str(), "Z" | "X"))
    }

    pub(crate) fn session(&self) -> i32 {
        self.stat().unwrap()[3].parse().unwrap()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Returns a path below /proc/PID.
    pub(crate) fn proc_path(&self, name: &str) -> std::path::PathBuf {
        Path::new("/proc").join(self.pid.to_string()).join(name)
    }

    /// Returns the words of the command line, each followed by a NUL; empty when the process has
    /// ended.
    pub(crate) fn command_line(&self) -> Vec<u8> {
        fs::read(self.proc_path("cmdline")).unwrap_or_default()
    }

    /// Sends a signal; it is no error when the process has ended.
    pub(crate) fn send_signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_raw(self.pid).unwrap(), signal);
    }

    #[track_caller]
    pub(crate) fn must_end_within(&self, timeout: Duration) {
        eventually(&format!("process {} ends", self.pid), timeout, || !self.is_alive());
    }

    /// Returns the fields of proc(5)'s stat from the state on. The process name before them may
    /// contain any character.
    fn stat(&self) -> Option<Vec<String>> {
        let stat = fs::read_to_string(self.proc_path("stat")).ok()?;
        let (_, fields) = stat.rsplit_once(") ")?;
        Some(fields.split(' ').map(str::to_owned).collect())
    }
}
