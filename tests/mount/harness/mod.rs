//! What every test stands on: an archive, the program, tools, and guards that leave nothing behind.

mod place;
mod plan;
mod process;
mod ran;
mod several;
mod site;

use std::time::{Duration, Instant};

pub(crate) use place::Place;
pub(crate) use plan::{Mount, Plan};
pub(crate) use process::Process;
pub(crate) use ran::{Ran, run, tool, wait};
pub(crate) use several::{BUCKETS, names};
pub(crate) use site::{BUCKET, Site};

/// The program that is tested.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_granulefs");
/// Far more than anything healthy takes, on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not in time.
#[track_caller]
pub(crate) fn eventually(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) {
    const LOOK: Duration = Duration::from_millis(10);
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        std::thread::sleep(LOOK);
    }
}

/// The errno of a failed operation, 0 of a successful one.
pub(crate) fn errno<T>(outcome: std::io::Result<T>) -> i32 {
    match outcome {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(-1),
    }
}
