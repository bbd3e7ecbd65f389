//! The test environment: a fake DAAC, the program, tools, and guards that clean up.

mod command_output;
mod mount;
mod mount_command;
mod mount_directory;
mod ordinary_user;
mod process;
mod proxy;
mod test_environment;
mod three_daacs;

use std::time::{Duration, Instant};

pub(crate) use command_output::{CommandOutput, run, run_tool, wait_for_exit};
pub(crate) use mount::Mount;
pub(crate) use mount_command::MountCommand;
pub(crate) use mount_directory::MountDirectory;
pub(crate) use ordinary_user::{NOBODY, PYTHON, as_nobody};
pub(crate) use process::Process;
pub(crate) use proxy::{AUTHORITY, Proxy};
pub(crate) use test_environment::{BUCKET, TestEnvironment};
pub(crate) use three_daacs::{BUCKETS, names_in};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_granulefs");
/// The time after which a test fails: far more than any step needs on a busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not hold in time.
#[track_caller]
pub(crate) fn eventually(what: &str, timeout: Duration, mut condition: impl FnMut() -> bool) {
    const INTERVAL: Duration = Duration::from_millis(10);
    let deadline = Instant::now() + timeout;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {timeout:?}: {what}");
        std::thread::sleep(INTERVAL);
    }
}

/// Returns the errno of a failed operation, 0 for a successful one.
pub(crate) fn errno<T>(outcome: std::io::Result<T>) -> i32 {
    match outcome {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(-1),
    }
}
