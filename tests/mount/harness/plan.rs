//! A mount to be made, and one that was.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{PATIENCE, PROGRAM, Place, Process, Ran, eventually, run};

/// A call of `granulefs mount`. It gets nothing of the test's own environment but the way to the
/// tools.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What comes before the source.
    words: Vec<OsString>,
    source: String,
    /// What comes behind the mount point.
    options: Vec<OsString>,
    environment: BTreeMap<String, OsString>,
    own_group: bool,
    place: Place,
}

impl Plan {
    pub(crate) fn new(place: Place, source: &str) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let environment =
            BTreeMap::from([("PATH".into(), path), ("HOME".into(), place.home().into())]);
        let words = vec![PROGRAM.into(), "mount".into()];
        let options = vec!["--log-file".into(), place.log().into()];
        Self { words, source: source.into(), options, environment, own_group: false, place }
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.options.extend(arguments.iter().map(OsString::from));
        self
    }

    /// As the helper that mount(8) calls: a link named `mount.granulefs`.
    pub(crate) fn called_as_helper(mut self, options: &str) -> Self {
        let helper = self.place.home().join("mount.granulefs");
        symlink(PROGRAM, &helper).unwrap();
        self.words = vec![helper.into()];
        self.with_only(options)
    }

    /// As `mount -t granulefs`.
    pub(crate) fn by_mount_8(mut self, options: &str) -> Self {
        self.words = ["mount", "-t", "granulefs"].map(OsString::from).into();
        self.with_only(options)
    }

    fn with_only(mut self, options: &str) -> Self {
        self.options =
            vec!["-o".into(), format!("{options},log_file={}", self.place.log().display()).into()];
        self
    }

    /// As another user than root, who must have the place already.
    pub(crate) fn by_user(mut self, id: &str) -> Self {
        let prefix = ["setpriv", "--reuid", id, "--regid", id, "--clear-groups"];
        self.words.splice(0..0, prefix.map(OsString::from));
        self
    }

    /// As a user who wants core files.
    pub(crate) fn with_core_files(mut self) -> Self {
        let prefix = ["bash", "-c", "ulimit -c unlimited; cd \"$HOME\"; exec \"$@\"", "-"];
        self.words.splice(0..0, prefix.map(OsString::from));
        self
    }

    pub(crate) fn without_log_file(mut self) -> Self {
        self.options.drain(..2);
        self
    }

    /// In a process group of its own, as a shell starts it.
    pub(crate) fn in_own_group(mut self) -> Self {
        self.own_group = true;
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
    pub(crate) fn mount(self) -> Mount {
        let (mount, warning) = self.mount_warned();
        assert_eq!(warning, "");
        mount
    }

    /// [`Self::mount`] that may say something on standard error.
    #[track_caller]
    pub(crate) fn mount_warned(self) -> (Mount, String) {
        let (mount, ran) = self.mounted();
        assert_eq!(ran.text(), "");
        (mount, ran.stderr)
    }

    /// [`Self::mount`] that may say something, in what it says.
    #[track_caller]
    pub(crate) fn mounted(self) -> (Mount, Ran) {
        let ran = self.run();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(self.place.mounted(), ["fuse.granulefs"]);
        let servers = Process::all_for(&self.place.mountpoint());
        let [server] = servers[..] else { panic!("{servers:?} serve one mount") };
        (Mount { server, place: self.place }, ran)
    }

    /// Starts `--foreground`, and waits until it is mounted.
    #[track_caller]
    pub(crate) fn serve(self) -> (Mount, Child) {
        let mut child = self.start("--foreground");
        eventually("it is mounted", PATIENCE, || {
            assert_eq!(child.try_wait().unwrap(), None, "it ended");
            !self.place.mounted().is_empty()
        });
        (Mount { server: Process::new(child.id()), place: self.place }, child)
    }

    /// Starts it with one more argument and waits for nothing.
    pub(crate) fn start(&self, argument: &str) -> Child {
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
    pub(crate) fn run(&self) -> Ran {
        run(&mut self.command())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .arg(&self.source)
            .arg(self.place.mountpoint())
            .args(&self.options);
        command.env_clear().envs(&self.environment);
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
    pub(crate) fn refusal(self) -> String {
        let ran = self.run();
        assert_eq!((ran.code, ran.text().as_str()), (Some(1), ""), "stderr: {}", ran.stderr);
        assert_eq!(Process::all_for(&self.place.mountpoint()), []);
        assert_eq!(self.place.mounted(), [""; 0]);
        let message =
            ran.stderr.strip_prefix("granulefs: ").and_then(|rest| rest.strip_suffix('\n'));
        let message = message.unwrap_or_else(|| panic!("not one message: {:?}", ran.stderr));
        assert!(!message.contains('\n'), "more than one line: {message:?}");
        message.to_owned()
    }

    /// [`Self::refusal`] whose message has all these parts.
    #[track_caller]
    pub(crate) fn must_say(self, parts: &[&str]) {
        let message = self.refusal();
        for part in parts {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
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

    /// Leaves the place as it is, for another mount there.
    pub(crate) fn into_place(self) -> Place {
        self.place
    }

    /// What the program has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.place.log()).unwrap_or_default()
    }
}
