//! Runs programs to their end, with a time limit, and holds their output.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::TIMEOUT;

/// The exit code and the output of a program.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    /// The exit code; `None` when a signal ended the program.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl CommandOutput {
    pub(crate) fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Returns the standard output of a program that must have succeeded.
    #[track_caller]
    pub(crate) fn must_succeed(self) -> Vec<u8> {
        assert_eq!(self.code, Some(0), "stderr: {}", self.stderr);
        self.stdout
    }
}

/// Runs a program until it has ended and both its outputs are closed.
///
/// # Panics
/// When that does not happen in time: a process that it started may keep its outputs open.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> CommandOutput {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let code = wait_for_exit(&mut child, TIMEOUT);
    let rest = |output: mpsc::Receiver<Vec<u8>>| output.recv_timeout(TIMEOUT);
    let (Ok(stdout), Ok(stderr)) = (rest(stdout), rest(stderr)) else {
        panic!("{command:?} has ended, but something holds its outputs open");
    };
    CommandOutput { code, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() }
}

/// Runs a tool of this machine in a directory.
#[track_caller]
pub(crate) fn run_tool(
    folder: &Path,
    program: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> CommandOutput {
    run(Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC"))
}

/// Waits for a child process and returns its exit code.
///
/// # Panics
/// When it does not end in time, after killing it.
#[track_caller]
pub(crate) fn wait_for_exit(child: &mut Child, timeout: Duration) -> Option<i32> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("process {} does not end within {timeout:?}", child.id());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn collect(mut output: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = output.read_to_end(&mut bytes);
        let _ = send.send(bytes);
    });
    receive
}
