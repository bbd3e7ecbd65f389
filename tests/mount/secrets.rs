//! Secrets appear in no log, no error message, not in the process list and in no core file.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use fake_daac::{BearerAnswer, Content, FakeDaac};
use rustix::process::Signal;

use crate::harness::{
    BUCKET, Mount, MountCommand, TIMEOUT, TestEnvironment, errno, eventually, wait_for_exit,
};

/// Returns the fake DAAC's secrets in every encoding in which they are sent.
fn secrets(fake_daac: &FakeDaac) -> Vec<String> {
    let mut secrets = fake_daac.secrets();
    let encoded: String = fake_daac.password().bytes().map(|byte| format!("%{byte:02X}")).collect();
    secrets.push(encoded);
    secrets.retain(|secret| !secret.is_empty());
    secrets
}

#[track_caller]
fn must_hold_no_secret(fake_daac: &FakeDaac, what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for secret in secrets(fake_daac) {
        assert!(!text.contains(&secret), "{what} holds {secret:?}:\n{text}");
    }
}

fn verbose(environment: &TestEnvironment) -> MountCommand {
    environment.fake_daac.put(BUCKET, "folder/data", Content::synthetic(1 << 40));
    environment.fake_daac.set(|knobs| knobs.credential_life = Duration::from_secs(2));
    environment.fake_daac.set(|knobs| knobs.bearer = BearerAnswer::Refuse);
    let mount_command =
        environment.mount_command(BUCKET).args(&["-vvv", "--timeout=2s", "--metadata-ttl=1s"]);
    mount_command
        .env("EARTHDATA_USERNAME", environment.fake_daac.user())
        .env("EARTHDATA_PASSWORD", environment.fake_daac.password())
}

/// Makes the mount log as much as it can: a refused token, a login with the password, renewals,
/// expired cookies, Earthdata down, and a refusal of S3.
fn provoke_every_log_line(environment: &TestEnvironment, mount: &Mount) {
    let mut number = 0;
    let mut read = || {
        number += 1;
        let at = number << 24;
        let mut file = fs::File::open(mount.at("folder/data"))?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(at))?;
        file.read_exact(&mut [0; 100])
    };
    eventually("the credentials are renewed", TIMEOUT, || {
        read().unwrap();
        environment.fake_daac.stats().issued >= 2
    });
    assert_eq!(xattr::get(mount.at("folder/data"), "user.nothing").unwrap(), None);
    environment.fake_daac.set(|knobs| knobs.cookie_life = Duration::ZERO);
    environment.fake_daac.set(|knobs| knobs.daac_down = true);
    eventually("Earthdata is needed and down", TIMEOUT, || errno(read()) == libc::EACCES);
    environment
        .fake_daac
        .set(|knobs| (knobs.daac_down, knobs.cookie_life) = (false, Duration::from_secs(3600)));
    eventually("Earthdata is up again", TIMEOUT, || errno(read()) == 0);
    environment.fake_daac.set(|knobs| knobs.unreadable = vec!["folder/".into()]);
    eventually("S3 refuses the read", TIMEOUT, || errno(read()) == libc::EACCES);
}

/// Neither the log file at the most verbose level nor the process list holds a secret.
#[test]
fn a_verbose_log_and_the_process_list_hold_no_secret() {
    let Some(environment) = TestEnvironment::start() else { return };
    let mount = verbose(&environment).mount();
    provoke_every_log_line(&environment, &mount);
    let log = mount.log();
    for words in [
        "new S3 credentials",
        "the token was refused",
        "no new S3 credentials",
        "AccessDenied",
        "TRACE",
    ] {
        assert!(log.contains(words), "the log does not contain {words:?}");
    }
    assert!(secrets(&environment.fake_daac).len() > 8, "there were no renewals");
    must_hold_no_secret(&environment.fake_daac, "the log", log.as_bytes());
    must_hold_no_secret(&environment.fake_daac, "the process list", &mount.server().command_line());
    let statistics = xattr::get(mount.path(), "user.granulefs.statistics").unwrap().unwrap();
    must_hold_no_secret(&environment.fake_daac, "the statistics", &statistics);
    let status = xattr::get(mount.path(), "user.granulefs.doctor").unwrap().unwrap();
    must_hold_no_secret(&environment.fake_daac, "what doctor is told", &status);
    assert_eq!(environment.fake_daac.stats().leaked_secrets, 0);
}

/// The output of a foreground mount that logs to standard error holds no secret.
#[test]
fn the_output_of_a_verbose_foreground_mount_holds_no_secret() {
    let Some(environment) = TestEnvironment::start() else { return };
    let (mount, mut child) = verbose(&environment).without_log_file().mount_in_foreground();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let collect = std::thread::spawn(move || {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).map(|_| text)
    });
    provoke_every_log_line(&environment, &mount);
    mount.server().send_signal(Signal::TERM);
    wait_for_exit(&mut child, TIMEOUT);
    let stderr = collect.join().unwrap().unwrap();
    assert!(String::from_utf8_lossy(&stderr).contains("new S3 credentials"));
    must_hold_no_secret(&environment.fake_daac, "standard error", &stderr);
    let mut text = Vec::new();
    stdout.read_to_end(&mut text).unwrap();
    assert_eq!(text, b"");
}

/// Neither the message nor the log of a failed login holds a secret.
#[test]
fn the_message_of_a_failed_login_holds_no_secret() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment
        .fake_daac
        .set(|knobs| (knobs.bearer, knobs.login_down) = (BearerAnswer::Refuse, true));
    let mount_command = environment.mount_command(BUCKET).args(&["-vvv"]);
    let log = mount_command.directory().log();
    let mount_command = mount_command
        .env("EARTHDATA_USERNAME", environment.fake_daac.user())
        .env("EARTHDATA_PASSWORD", environment.fake_daac.password());
    let output = mount_command.run();
    assert_eq!(output.code, Some(1));
    must_hold_no_secret(&environment.fake_daac, "the message", output.stderr.as_bytes());
    must_hold_no_secret(&environment.fake_daac, "the log", &fs::read(log).unwrap());
}

/// A crash leaves no core file, not even where core files are enabled and other programs leave one.
#[test]
fn a_crash_leaves_no_core_file() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let folder = tempfile::tempdir().unwrap();
    let crash = "ulimit -c unlimited; kill -ABRT $$";
    let usual =
        Command::new("bash").args(["-c", crash]).current_dir(folder.path()).status().unwrap();
    if !usual.core_dumped() {
        return eprintln!("skipped: no program leaves a core file here");
    }
    let (mount, mut child) =
        environment.mount_command(BUCKET).allowing_core_files().mount_in_foreground();
    mount.server().send_signal(Signal::ABORT);
    let status = child.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(libc::SIGABRT), false));
}
