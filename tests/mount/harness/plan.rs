//! A mount to be made, and one that was.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{PATIENCE, Place, Process, Ran, eventually, run};

/// A call of `granulefs mount`. It gets nothing of the test's own environment but the way to the tools.
#[derive(Debug)]
pub(crate) struct Plan {
    command: Command,
    place: Place,
}

impl Plan {
    pub(crate) fn new(source: &str) -> Self {
        let place = Place::new();
        Self { command: Command::new(env!("CARGO_BIN_EXE_granulefs")), place }.at_place(source)
    }

    fn at_place(mut self, source: &str) -> Self {
        self.command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path))).env("HOME", self.place.home());
        self.command.arg("mount").arg(source).arg(self.place.mountpoint()).arg("--log-file").arg(self.place.log());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Mounts in the background.
    ///
    /// # Panics
    /// When the program does not say that it did, says anything else, or has not.
    #[track_caller]
    pub(crate) fn mount(mut self) -> Mount {
        let ran = run(&mut self.command);
        assert_eq!((ran.code, ran.text().as_str(), ran.stderr.as_str()), (Some(0), "", ""));
        assert_eq!(self.place.mounted(), ["fuse.granulefs"]);
        let servers = Process::all_for(&self.place.mountpoint());
        let [server] = servers[..] else { panic!("{servers:?} serve one mount") };
        Mount { server, place: self.place }
    }

    /// Starts `--foreground`, and waits until it is mounted.
    #[track_caller]
    pub(crate) fn serve(mut self) -> (Mount, Child) {
        let mut child = self.start("--foreground");
        eventually("it is mounted", PATIENCE, || {
            assert_eq!(child.try_wait().unwrap(), None, "it ended");
            !self.place.mounted().is_empty()
        });
        (Mount { server: Process::new(child.id()), place: self.place }, child)
    }

    /// Starts it with one more argument and waits for nothing.
    pub(crate) fn start(&mut self, argument: &str) -> Child {
        self.command.arg(argument).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs it to its end, whatever that is.
    #[track_caller]
    pub(crate) fn run(&mut self) -> Ran {
        run(&mut self.command)
    }

    /// Runs what must fail, and returns the one message that says why.
    ///
    /// # Panics
    /// When it does not fail with exit code 1 and one line, or leaves a process or a mount behind.
    #[track_caller]
    pub(crate) fn refusal(mut self) -> String {
        let ran = self.run();
        assert_eq!((ran.code, ran.text().as_str()), (Some(1), ""), "stderr: {}", ran.stderr);
        assert_eq!(Process::all_for(&self.place.mountpoint()), []);
        assert_eq!(self.place.mounted(), [""; 0]);
        let message = ran.stderr.strip_prefix("granulefs: ").and_then(|rest| rest.strip_suffix('\n'));
        let message = message.unwrap_or_else(|| panic!("not one message: {:?}", ran.stderr));
        assert!(!message.contains('\n'), "more than one line: {message:?}");
        message.to_owned()
    }
}

/// A mount that is served; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Mount {
    server: Process,
    place: Place,
}

impl Mount {
    pub(crate) fn path(&self) -> PathBuf {
        self.place.mountpoint()
    }

    /// A path below the mount point.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.path().join(path)
    }

    pub(crate) fn server(&self) -> Process {
        self.server
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// What the program has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.place.log()).unwrap_or_default()
    }
}
