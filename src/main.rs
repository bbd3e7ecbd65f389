//! The program: runs the verb, prints its error if it fails, and ends with an exit code.

use std::fs::File;
use std::process::ExitCode;

use granulefs::cli::{Cli, MountArgs, Verb};
use granulefs::commands;
use granulefs::error::{Error, Problem};
use tracing_subscriber::EnvFilter;

/// The cache allocates and frees hundreds of blocks a second. glibc's allocator returns the pages
/// of each to the kernel, and every new block costs their page faults again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match Cli::read().verb {
        Verb::Mount(args) => log_to(&args).and_then(|()| commands::mount::run(&args)),
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
        eprintln!("granulefs: {error}");
        ExitCode::FAILURE
    })
}

fn log_to(args: &MountArgs) -> Result<(), Error> {
    let level = match args.verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    // Only granulefs itself logs: other crates would log request headers, which hold secrets.
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("off,granulefs={level}")))
        .with_target(false);
    match &args.log_file {
        Some(path) => {
            let file = File::options().create(true).append(true).open(path);
            let file = file.map_err(|e| {
                let problem = Problem::new("cannot write the log file");
                Error::usage(problem.about(path.display()).caused_by(e))
            })?;
            log.with_ansi(false).with_writer(file).init();
        }
        None if args.foreground => log.with_writer(std::io::stderr).init(),
        // The terminal gets one error message, and no log.
        None => {}
    }
    Ok(())
}
