//! A second process that serves the mount after the command has returned.
//!
//! The program starts itself again with the same arguments, since a process that has threads cannot
//! be forked safely. The child says on its standard output that the mount can be used. Until then
//! its errors go to the terminal, and the terminal's interrupts reach it.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use crate::error::{Error, Problem};

/// The variable that is set for the child; its value means nothing.
const CHILD_MARK: &str = "GRANULEFS_BACKGROUND";
/// The first line that the child writes; the rest is for the user.
const READY: &[u8] = b"ready\n";

/// Whether this process is the one that serves.
pub(super) fn is_child() -> bool {
    env::var_os(CHILD_MARK).is_some()
}

/// Starts the child and waits until it is ready, or has failed and printed why.
pub(super) fn start() -> Result<ExitCode, Error> {
    let failed = |e: io::Error| {
        Error::store(Problem::new("cannot start the background process").caused_by(e))
    };
    let program = env::current_exe().map_err(failed)?;
    let mut arguments = env::args_os();
    let mut child = Command::new(program)
        // Called as mount(8)'s helper, the program reads its arguments in another way.
        .arg0(arguments.next().unwrap_or_default())
        .args(arguments)
        .env(CHILD_MARK, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut written = Vec::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_end(&mut written).map_err(failed)?;
    }
    if let Some(words) = written.strip_prefix(READY) {
        io::stdout()
            .write_all(words)
            .map_err(|e| Error::store(Problem::new("cannot write the output").caused_by(e)))?;
        return Ok(ExitCode::SUCCESS);
    }
    let status = child.wait().map_err(failed)?;
    // The child has printed why, unless it was killed.
    match status.code() {
        Some(_) => Ok(ExitCode::FAILURE),
        None => Err(Error::store(format!(
            "the background process ended before the mount was ready: {status}"
        ))),
    }
}

/// Lets the parent print `words` and return, and leaves its terminal. For the child only.
///
/// # Errors
/// [`Error::Store`] when the parent has ended: nobody waits for this mount any more.
pub(super) fn ready(words: &str) -> Result<(), Error> {
    let failed = |e: io::Error| {
        Error::store(Problem::new("the command that started this mount has ended").caused_by(e))
    };
    let null = File::options().read(true).write(true).open("/dev/null").map_err(failed)?;
    rustix::process::setsid().map_err(|e| failed(e.into()))?;
    // The mount must not keep the directory busy that it was started in.
    env::set_current_dir("/").map_err(failed)?;
    let mut output = io::stdout();
    output
        .write_all(READY)
        .and_then(|()| output.write_all(words.as_bytes()))
        .and_then(|()| output.flush())
        .map_err(failed)?;
    rustix::stdio::dup2_stderr(&null).map_err(|e| failed(e.into()))?;
    // This comes last: the parent returns when this stream ends.
    rustix::stdio::dup2_stdout(&null).map_err(|e| failed(e.into()))
}
