//! The log of a mount: where it goes, with and without `--log-file`.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use fake_daac::{BearerAnswer, Failure, Fault, RequestKind};
use rustix::process::Signal;

use crate::harness::{
    BUCKET, MountDirectory, TIMEOUT, TestEnvironment, errno, eventually, run, wait_for_exit,
};

/// Whether this user may make mount namespaces; if not, says so.
fn has_namespaces() -> bool {
    let has = run(Command::new("unshare").args(["--mount", "true"])).code == Some(0);
    if !has {
        eprintln!("skipped: this user cannot make mount namespaces");
    }
    has
}

/// Makes reads of files be denied, while listings are allowed.
fn deny_reads(environment: &TestEnvironment) {
    environment.fake_daac.add_fault(Fault::new(Failure::Denied).on(RequestKind::Get));
}

/// A refusal hours after the mount was made is told where the mount is served from, without any
/// option, and without colours where there is no terminal; to root and to an ordinary user.
#[test]
fn a_later_refusal_is_told_on_standard_error_in_the_foreground() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment.fake_daac.set(|knobs| knobs.credential_life = Duration::from_secs(2));
    let is_open = fs::metadata("/dev/fuse").unwrap().permissions().mode() & 0o006 == 0o006;
    for user in ["0", "65534"].into_iter().filter(|user| *user == "0" || is_open) {
        environment.fake_daac.set(|knobs| knobs.bearer = BearerAnswer::Accept);
        let directory = MountDirectory::new();
        run(Command::new("chown").args(["-R", user]).arg(directory.home())).must_succeed();
        let mount_command = environment.mount_command_at(directory, BUCKET);
        let (mount, mut child) =
            mount_command.without_log_file().run_as_user(user).mount_in_foreground();
        environment.fake_daac.set(|knobs| knobs.bearer = BearerAnswer::Refuse);
        let mut number = 0;
        eventually("the login is refused", TIMEOUT, || {
            number += 1;
            // Escaped names are asked for one by one.
            let mut stat = Command::new("setpriv");
            stat.args(["--reuid", user, "--regid", user, "--clear-groups", "stat"]);
            let output = run(stat.arg(mount.at(format!("folder/{number}.granulefs-object"))));
            output.stderr.contains("Permission denied")
        });
        mount.server().send_signal(Signal::TERM);
        wait_for_exit(&mut child, TIMEOUT);
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let place = format!(" on {}", mount.path().display());
        assert!(
            lines[0].starts_with("granulefs: mounted ") && lines[0].ends_with(&place),
            "{text}"
        );
        assert!(
            lines.iter().any(|line| line.contains("WARN") && line.contains("refused the token")),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

/// A foreground mount whose standard error nobody reads any more goes on.
#[test]
fn a_closed_standard_error_ends_no_mount() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let (mount, mut child) =
        environment.mount_command(BUCKET).without_log_file().mount_in_foreground();
    drop(child.stderr.take());
    deny_reads(&environment);
    assert_eq!(errno(fs::read(mount.at("folder/one.txt"))), libc::EACCES);
    assert_eq!(fs::read_dir(mount.at("folder")).unwrap().count(), 1);
    mount.server().send_signal(Signal::TERM);
    assert_eq!(wait_for_exit(&mut child, TIMEOUT), Some(0));
}

/// A log tells what its user reads: a new file is the user's alone. One that is there stays as it
/// is.
#[test]
fn a_new_log_file_is_private() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mode = |mount: &crate::harness::Mount| {
        fs::metadata(mount.directory().log()).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode(&environment.mount(BUCKET)), 0o600);
    let mount_command = environment.mount_command(BUCKET);
    let log = mount_command.directory().log();
    fs::write(&log, "before\n").unwrap();
    fs::set_permissions(&log, Permissions::from_mode(0o644)).unwrap();
    let mount = mount_command.args(&["-v"]).mount();
    assert_eq!(mode(&mount), 0o644);
    assert!(mount.log().starts_with("before\n") && mount.log().contains("mounted"));
}

/// In the background, warnings go to the system's log, with the mount point and the whole cause in
/// the message; with `-v` more does.
#[test]
fn the_system_log_gets_what_a_background_mount_has_to_say() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    if !has_namespaces() {
        return;
    }
    deny_reads(&environment);
    for (verbosity, is_mount_logged) in [(&[][..], false), (&["-v"], true)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        let then = "! cat \"$MOUNTPOINT/folder/one.txt\" 2> /dev/null";
        let mount_command = environment.mount_command(BUCKET).without_log_file().args(verbosity);
        let mount_command = mount_command.in_own_dev(Some(&path), then);
        let output = mount_command.run();
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
        let mut lines = Vec::new();
        let mut buffer = [0; 8192];
        socket.set_nonblocking(true).unwrap();
        while let Ok(length) = socket.recv(&mut buffer) {
            lines.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        let mountpoint = mount_command.directory().mountpoint();
        let place = format!(": mountpoint={} ", mountpoint.display());
        assert!(
            lines.iter().all(|line| line.contains(" granulefs[") && line.contains(&place)),
            "{lines:#?}"
        );
        // Facility "user", severity "warning".
        let denied = |line: &&String| {
            line.starts_with("<12>") && line.contains(" failed error=S3 denies access")
        };
        assert_eq!(lines.iter().filter(denied).count(), 1, "{lines:#?}");
        let is_logged = lines.iter().any(|line| line.contains("new S3 credentials"));
        assert_eq!(is_logged, is_mount_logged, "{lines:#?}");
    }
}

/// Where nothing listens at /dev/log, the terminal is told once, and the mount works.
#[test]
fn a_mount_that_cannot_log_says_so() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    if !has_namespaces() {
        return;
    }
    let then = "cat \"$MOUNTPOINT/folder/one.txt\"";
    let output = environment.mount_command(BUCKET).without_log_file().in_own_dev(None, then).run();
    assert_eq!((output.code, output.stdout_text().as_str()), (Some(0), "one\n"));
    assert!(
        output.stderr.starts_with("granulefs: note: ") && output.stderr.contains("--log-file"),
        "{}",
        output.stderr
    );
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    let output = environment.mount_command(BUCKET).in_own_dev(None, then).run();
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
}
