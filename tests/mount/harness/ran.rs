//! Programs that run to their end, with a limit on how long that may take.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::PATIENCE;

/// What came of a program.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The standard output of a program that must not have failed.
    #[track_caller]
    pub(crate) fn success(self) -> Vec<u8> {
        assert_eq!(self.code, Some(0), "stderr: {}", self.stderr);
        self.stdout
    }
}

/// Runs a program until it has ended and both its outputs are closed.
///
/// # Panics
/// When that does not happen in time: something that it started may hold on to its outputs.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ran {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let code = wait(&mut child, PATIENCE);
    let rest = |output: mpsc::Receiver<Vec<u8>>| output.recv_timeout(PATIENCE);
    let (Ok(stdout), Ok(stderr)) = (rest(stdout), rest(stderr)) else {
        panic!("{command:?} has ended, but something holds its outputs open");
    };
    Ran { code, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() }
}

/// Runs a tool of the system in a directory.
#[track_caller]
pub(crate) fn tool(
    folder: &Path,
    program: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Ran {
    run(Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC"))
}

/// Waits for a child's end and returns its exit code.
///
/// # Panics
/// When it does not end in time; it is killed then.
#[track_caller]
pub(crate) fn wait(child: &mut Child, patience: Duration) -> Option<i32> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("process {} does not end within {patience:?}", child.id());
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
