//! A call of `granulefs mount`: its arguments and environment, and the ways to run it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{CommandOutput, Mount, MountDirectory, PROGRAM, Process, TIMEOUT, eventually, run};

/// A call of `granulefs mount`. Of the test's own environment it gets only `PATH`.
#[derive(Debug)]
pub(crate) struct MountCommand {
    /// The words before the source.
    words: Vec<OsString>,
    source: String,
    /// The words after the mount point.
    options: Vec<OsString>,
    variables: BTreeMap<String, OsString>,
    own_process_group: bool,
    directory: MountDirectory,
}

impl MountCommand {
    pub(crate) fn new(directory: MountDirectory, source: &str) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let variables =
            BTreeMap::from([("PATH".into(), path), ("HOME".into(), directory.home().into())]);
        let words = vec![PROGRAM.into(), "mount".into()];
        let options = vec!["--log-file".into(), directory.log().into()];
        Self {
            words,
            source: source.into(),
            options,
            variables,
            own_process_group: false,
            directory,
        }
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

    /// Calls the program as the helper of mount(8): through a link named `mount.granulefs`.
    pub(crate) fn called_as_mount_helper(mut self, options: &str) -> Self {
        let helper = self.directory.home().join("mount.granulefs");
        symlink(PROGRAM, &helper).unwrap();
        self.words = vec![helper.into()];
        self.with_mount_options(options)
    }

    /// Calls mount(8) with a type. For `fuse.granulefs`, mount.fuse3(8) finds the program.
    pub(crate) fn by_mount_program(mut self, filesystem_type: &str, options: &str) -> Self {
        self.words = ["mount", "-t", filesystem_type].map(OsString::from).into();
        self.with_mount_options(options)
    }

    fn with_mount_options(mut self, options: &str) -> Self {
        self.options = vec![
            "-o".into(),
            format!("{options},log_file={}", self.directory.log().display()).into(),
        ];
        self
    }

    /// Runs as another user than root, who must own the directory already.
    pub(crate) fn run_as_user(mut self, id: &str) -> Self {
        self.words[0] = self.directory.program().into();
        let prefix = ["setpriv", "--reuid", id, "--regid", id, "--clear-groups"];
        self.words.splice(0..0, prefix.map(OsString::from));
        self
    }

    /// Runs with core files enabled.
    pub(crate) fn allowing_core_files(mut self) -> Self {
        let prefix = ["bash", "-c", "ulimit -c unlimited; cd \"$HOME\"; exec \"$@\"", "-"];
        self.words.splice(0..0, prefix.map(OsString::from));
        self
    }

    /// Runs in a mount namespace with a /dev of its own, in which `/dev/log` leads to `system_log`
    /// or is missing. `then` is a shell's commands with `$MOUNTPOINT`; the mount ends after them.
    pub(crate) fn in_own_dev(mut self, system_log: Option<&Path>, then: &str) -> Self {
        let script = format!(
            "mkdir \"$HOME/dev\"; mount --rbind /dev \"$HOME/dev\"; mount -t tmpfs none /dev
            for name in fuse null random urandom; do
                touch /dev/$name; mount --bind \"$HOME/dev/$name\" /dev/$name
            done
            test -z \"$SYSTEM_LOG\" || ln -s \"$SYSTEM_LOG\" /dev/log
            \"$@\"
            {then}
            umount \"$MOUNTPOINT\""
        );
        let prefix = ["unshare", "--mount", "sh", "-ec", &script, "-"];
        self.words.splice(0..0, prefix.map(OsString::from));
        let mountpoint = self.directory.mountpoint();
        self.env("MOUNTPOINT", mountpoint).env("SYSTEM_LOG", system_log.unwrap_or("".as_ref()))
    }

    pub(crate) fn without_log_file(mut self) -> Self {
        self.options.drain(..2);
        self
    }

    /// Runs in a process group of its own, as a shell starts commands.
    pub(crate) fn in_own_process_group(mut self) -> Self {
        self.own_process_group = true;
        self
    }

    pub(crate) fn directory(&self) -> &MountDirectory {
        &self.directory
    }

    /// Mounts in the background.
    ///
    /// # Panics
    /// When the program fails, writes anything, or has not mounted.
    #[track_caller]
    pub(crate) fn mount(self) -> Mount {
        let (mount, warning) = self.mount_with_warning();
        assert_eq!(warning, "");
        mount
    }

    /// Mounts as [`Self::mount`] does, and returns what the program wrote to standard error.
    #[track_caller]
    pub(crate) fn mount_with_warning(self) -> (Mount, String) {
        let (mount, output) = self.mount_with_output();
        assert_eq!(output.stdout_text(), "");
        (mount, output.stderr)
    }

    /// Mounts as [`Self::mount`] does, and returns what the program wrote.
    #[track_caller]
    pub(crate) fn mount_with_output(self) -> (Mount, CommandOutput) {
        let output = self.run();
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        assert_eq!(self.directory.mounted_types(), ["fuse.granulefs"]);
        let servers = Process::serving(&self.directory.mountpoint());
        let [server] = servers[..] else { panic!("not one server: {servers:?}") };
        (Mount { server, directory: self.directory }, output)
    }

    /// Starts the program with `--foreground` and waits until it has mounted.
    #[track_caller]
    pub(crate) fn mount_in_foreground(self) -> (Mount, Child) {
        let mut child = self.spawn_with("--foreground");
        eventually("the program mounts", TIMEOUT, || {
            assert_eq!(child.try_wait().unwrap(), None, "the program ended");
            !self.directory.mounted_types().is_empty()
        });
        (Mount { server: Process::new(child.id()), directory: self.directory }, child)
    }

    /// Starts the program with one more argument and does not wait for it.
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

    /// Runs the program to its end.
    #[track_caller]
    pub(crate) fn run(&self) -> CommandOutput {
        run(&mut self.command())
    }

    /// Runs the program with more arguments to its end.
    #[track_caller]
    pub(crate) fn run_with(&self, arguments: &[&str]) -> CommandOutput {
        run(self.command().args(arguments))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .arg(&self.source)
            .arg(self.directory.mountpoint())
            .args(&self.options);
        command.env_clear().envs(&self.variables);
        if self.own_process_group {
            command.process_group(0);
        }
        command
    }

    /// Runs a mount that must fail, and returns its error message.
    ///
    /// # Panics
    /// When it does not fail with exit code 1 and a message of one line, or leaves a process or a
    /// mount behind.
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
        // On a busy machine the command may have said before what it waits for.
        let lines = output.stderr.split_inclusive('\n');
        let lines = lines.skip_while(|line| line.starts_with("granulefs: waiting for "));
        let error: String = lines.collect();
        let message = error.strip_prefix("granulefs: ").and_then(|rest| rest.strip_suffix('\n'));
        let message = message.unwrap_or_else(|| panic!("not one message: {:?}", output.stderr));
        assert!(!message.contains('\n'), "more than one line: {message:?}");
        message.to_owned()
    }

    /// Runs a mount that must fail with a message that contains all these parts.
    #[track_caller]
    pub(crate) fn must_fail_with(self, parts: &[&str]) {
        let message = self.must_fail();
        for part in parts {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
    }
}
