//! The program: runs the verb, prints its error if it fails, and ends with an exit code.

use std::io::Write;
use std::process::ExitCode;

use granulefs::cli::{Cli, Verb};
use granulefs::commands;

/// The cache allocates and frees hundreds of blocks a second. glibc's allocator returns the pages
/// of each to the kernel, and every new block costs their page faults again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match Cli::read().verb {
        Verb::Mount(args) => commands::mount::run(&args),
        Verb::Buckets(args) => commands::buckets::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Path(args) => commands::path::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Credentials(args) => commands::credentials::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Doctor(args) => commands::doctor::run(&args),
        Verb::Refresh { mountpoint, path } => {
            commands::refresh::run(&mountpoint, path.as_deref()).map(|()| ExitCode::SUCCESS)
        }
        Verb::Unmount { mountpoint } => {
            commands::unmount::run(&mountpoint).map(|()| ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|error| {
        // That nobody reads it must not change the exit code.
        let _ = writeln!(std::io::stderr(), "granulefs: {error}");
        ExitCode::FAILURE
    })
}
