//! Settings of the whole process.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use crate::error::{Error, Problem};

/// Forbids core files of this process, and the reading of its memory and environment by other
/// processes of the same user: secrets are in both, also in a process that only waits for the one
/// that serves.
pub(super) fn hide_memory() {
    if let Err(error) = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::debug!(%error, "cannot forbid core files");
    }
}

/// Lets this process have as many files open, and so connections, as the system allows it: the
/// default of 1,024 is for programs that use select(2).
pub(super) fn raise_file_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "cannot raise the limit of open files");
    }
}

/// The threads that a verb's asynchronous work runs on.
pub(super) fn runtime() -> Result<Runtime, Error> {
    Runtime::new().map_err(|e| Error::store(Problem::new("cannot start threads").caused_by(e)))
}
