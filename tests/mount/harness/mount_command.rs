//! A mount to be made, and one that was.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{CommandOutput, MountDirectory, PROGRAM, Process, TIMEOUT, eventually, run};

/// A call of `granulefs mount`. It gets nothing of the test's own environment but the way to the
/// tools.
#[derive(Debug)]
pub(crate) struct MountCommand {
    /// What comes before the source.
    words: Vec<OsString>,
    source: String,
    /// What comes behind the mount point.
    options: Vec<OsString>,
    variables: BTreeMap<String, OsString>,
    own_group: bool,
    directory: MountDirectory,
}

impl MountCommand {
    pub(crate) fn new(directory: MountDirectory, source: &str) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let variables =
            BTreeMap::from([("PATH".into(), path), ("HOME".into(), directory.home().into())]);
        let words = vec![PROGRAM.into(), "mount".into()];
        let options = vec!["--log-file".into(), directory.log().into()];
        Self { words, source: source.into(), options, variables, own_group: false, directory }
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.options.extend(arguments.iter().map(OsString::from));
        self
    }

    /// As the helper that mount(8) calls: a link named `mount.granulefs`.
    pub(crate) fn as_mount_helper(mut self, options: &str) -> Self {
        let helper = self.directory.home().join("mount.granulefs");
        symlink(PROGRAM, &helper).unwrap();
        self.words = vec![helper.into()];
        self.with_only(options)
    }

    /// As `mount -t granulefs`.
    pub(crate) fn by_mount_program(mut self, options: &str) -> Self {
        self.words = ["mount", "-t", "granulefs"].map(OsString::from).into();
        self.with_only(options)
    }

    fn with_only(mut self, options: &str) -> Self {
        self.options = vec![
            "-o".into(),
            format!("{options},log_file={}", self.directory.log().display()).into(),
        ];
        self
    }

    /// As another user than root, who must have the place already.
    pub(crate) fn as_user(mut self, id: &str) -> Self {
        let prefix = ["setpriv", "--reuid", id, "--regid", id, "--clear-groups"];
        self.words.splice(0..0, prefix.map(OsString::from));
        self
    }

    /// As a user who wants core files.
    pub(crate) fn allowing_core_files(mut self) -> Self {
        let prefix = ["bash", "-c", "ulimit -c unlimited; cd \"$HOME\"; exec \"$@\"", "-"];
        self.words.splice(0..0, prefix.map(OsString::from));
        self
    }

    pub(crate) fn without_log_file(mut self) -> Self {
        self.options.drain(..2);
        self
    }

    /// In a process group of its own, as a shell starts it.
    pub(crate) fn in_own_process_group(mut self) -> Self {
        self.own_group = true;
        self
    }

    pub(crate) fn directory(&self) -> &MountDirectory {
        &self.directory
    }

    /// Mounts in the background.
    ///
    /// # Panics
    /// When the program does not say that it did, says anything else, or has not.
    #[track_caller]
    pub(crate) fn mount(self) -> Mount {
        let (mount, warning) = self.mount_with_warning();
        assert_eq!(warning, "");
        mount
    }

    /// [`Self::mount`] that may say something on standard error.
    #[track_caller]
    pub(crate) fn mount_with_warning(self) -> (Mount, String) {
        let (mount, output) = self.mount_with_output();
        assert_eq!(output.stdout_text(), "");
        (mount, output.stderr)
    }

    /// [`Self::mount`] that may say something, in what it says.
    #[track_caller]
    pub(crate) fn mount_with_output(self) -> (Mount, CommandOutput) {
        let output = self.run();
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        assert_eq!(self.directory.mounted_types(), ["fuse.granulefs"]);
        let servers = Process::serving(&self.directory.mountpoint());
        let [server] = servers[..] else { panic!("{servers:?} serve one mount") };
        (Mount { server, directory: self.directory }, output)
    }

    /// Starts `--foreground`, and waits until it is mounted.
    #[track_caller]
    pub(crate) fn mount_in_foreground(self) -> (Mount, Child) {
        let mut child = self.spawn_with("--foreground");
        eventually("it is mounted", TIMEOUT, || {
            assert_eq!(child.try_wait().unwrap(), None, "it ended");
            !self.directory.mounted_types().is_empty()
        });
        (Mount { server: Process::new(child.id()), directory: self.directory }, child)
    }

    /// Starts it with one more argument and waits for nothing.
    pub(crate) fn spawn_with(&self, argument: &str) -> Child {
        let mut command = self.command();
        command
            .arg(argument)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs it to its end, whatever that is.
    #[track_caller]
    pub(crate) fn run(&self) -> CommandOutput {
        run(&mut self.command())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .arg(&self.source)
            .arg(self.directory.mountpoint())
            .args(&self.options);
        command.env_clear().envs(&self.variables);
        if self.own_group {
            command.process_group(0);
        }
        command
    }

    /// Runs what must fail, and returns the one message that says why.
    ///
    /// # Panics
    /// When it does not fail with exit code 1 and one line, or leaves a process or a mount behind.
    #[track_caller]
    pub(crate) fn must_fail(self) -> String {
        let output = self.run();
        assert_eq!(
            (output.code, output.stdout_text().as_str()),
            (Some(1), ""),
            "stderr: {}",
            output.stderr
        );
        assert_eq!(Process::serving(&self.directory.mountpoint()), []);
        assert_eq!(self.directory.mounted_types(), [""; 0]);
        let message =
            output.stderr.strip_prefix("granulefs: ").and_then(|rest| rest.strip_suffix('\n'));
        let message = message.unwrap_or_else(|| panic!("not one message: {:?}", output.stderr));
        assert!(!message.contains('\n'), "more than one line: {message:?}");
        message.to_owned()
    }

    /// [`Self::must_fail`] whose message has all these parts.
    #[track_caller]
    pub(crate) fn must_fail_with(self, parts: &[&str]) {
        let message = self.must_fail();
        for part in parts {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
    }
}

/// A mount that is served; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Mount {
    server: Process,
    directory: MountDirectory,
}

impl Mount {
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.mountpoint()
    }

    /// A path below the mount point.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.path().join(path)
    }

    pub(crate) fn server(&self) -> Process {
        self.server
    }

    pub(crate) fn directory(&self) -> &MountDirectory {
        &self.directory
    }

    /// Leaves the place as it is, for another mount there.
    pub(crate) fn into_directory(self) -> MountDirectory {
        self.directory
    }

    /// What the program has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.log()).unwrap_or_default()
    }
}
