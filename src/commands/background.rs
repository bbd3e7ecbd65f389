//! A second process that goes on serving when the command has returned.
//!
//! The program starts itself again with the same arguments: nothing is forked after threads exist.
//! The child tells through its standard output that the mount can be used; until then it shares the
//! terminal, its errors and its interrupts.

use std::env;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use crate::error::Error;

/// Set for the child; its value means nothing.
const MARK: &str = "GRANULEFS_BACKGROUND";
/// The first line that the child tells; what follows is for the user.
const READY: &[u8] = b"ready\n";

/// Whether this process is the one that serves.
pub(super) fn is_child() -> bool {
    env::var_os(MARK).is_some()
}

/// Starts the child and waits until it is ready, or has failed and said why.
pub(super) fn start() -> Result<ExitCode, Error> {
    let failed =
        |e: std::io::Error| Error::store(format!("cannot start the background process: {e}"));
    let program = env::current_exe().map_err(failed)?;
    let mut arguments = env::args_os();
    let mut child = Command::new(program)
        // As mount(8)'s helper it reads its arguments by its name.
        .arg0(arguments.next().unwrap_or_default())
        .args(arguments)
        .env(MARK, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut told = Vec::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_end(&mut told).map_err(failed)?;
    }
    if let Some(words) = told.strip_prefix(READY) {
        std::io::stdout()
            .write_all(words)
            .map_err(|e| Error::store(format!("cannot write the output: {e}")))?;
        return Ok(ExitCode::SUCCESS);
    }
    let status = child.wait().map_err(failed)?;
    // It has said why, unless it was killed.
    match status.code() {
        Some(_) => Ok(ExitCode::FAILURE),
        None => Err(Error::store(format!(
            "the background process ended before the mount was ready: {status}"
        ))),
    }
}

/// In the child: lets the parent write `words` and return, and leaves its terminal.
///
/// # Errors
/// [`Error::Store`] when the parent is gone: nobody waits for this mount any more.
pub(super) fn ready(words: &str) -> Result<(), Error> {
    let failed = |e: std::io::Error| {
        Error::store(format!("the command that started this mount is gone: {e}"))
    };
    let nothing = File::options().read(true).write(true).open("/dev/null").map_err(failed)?;
    rustix::process::setsid().map_err(|e| failed(e.into()))?;
    // A mount must not keep the directory busy that it was started from.
    env::set_current_dir("/").map_err(failed)?;
    let mut output = std::io::stdout();
    output
        .write_all(READY)
        .and_then(|()| output.write_all(words.as_bytes()))
        .and_then(|()| output.flush())
        .map_err(failed)?;
    rustix::stdio::dup2_stderr(&nothing).map_err(|e| failed(e.into()))?;
    // Last, since the parent returns at the end of this stream.
    rustix::stdio::dup2_stdout(&nothing).map_err(|e| failed(e.into()))
}
