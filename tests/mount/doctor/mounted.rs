//! `granulefs doctor MOUNTPOINT` asks the mount that is there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fake_daac::{BearerAnswer, Failure, Fault, RequestKind};
use rustix::process::Signal;

use super::lines;
use crate::harness::{
    BUCKET, CommandOutput, Mount, MountDirectory, PROGRAM, TIMEOUT, TestEnvironment, errno,
    eventually, run,
};

/// The id of an ordinary user that every Linux system has.
const NOBODY: &str = "65534";

/// Runs `doctor`, with no other variable than a path for programs, in `folder`.
fn doctor(folder: &Path, arguments: &[&str]) -> CommandOutput {
    run(Command::new(PROGRAM)
        .arg("doctor")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default()))
}

fn doctor_of(mount: &Mount) -> CommandOutput {
    doctor(Path::new("/"), &[mount.path().to_str().unwrap()])
}

/// Returns the texts of the failed checks of this name.
fn failures(environment: &TestEnvironment, output: &CommandOutput, wanted: &str) -> String {
    let lines = lines(environment, output);
    let failed = lines.iter().filter(|(state, check, _)| state == "FAILED" && check == wanted);
    failed.map(|(.., text)| text.as_str()).collect::<Vec<_>>().join("\n")
}

/// Makes the mount's login be refused, and waits until operations fail.
fn until_refused(environment: &TestEnvironment, mut is_refused: impl FnMut(&str) -> bool) {
    environment.fake_daac.set(|knobs| knobs.bearer = BearerAnswer::Refuse);
    let mut number = 0;
    eventually("the login is refused", TIMEOUT, || {
        number += 1;
        // Escaped names are asked for one by one.
        is_refused(&format!("folder/{number}.granulefs-object"))
    });
}

/// A mount that works says so, however its path is written, to a shell that has no variable of it.
#[test]
fn a_healthy_mount_answers_by_any_path() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount = environment.mount(BUCKET);
    assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
    let sent = environment.fake_daac.log().len();
    let (path, home) = (mount.path(), mount.directory().home());
    let below = mount.at("folder/no-such-name");
    for (folder, argument) in [
        (Path::new("/"), path.to_str().unwrap()),
        (Path::new("/"), below.to_str().unwrap()),
        (home, "mnt"),
        (home, "./mnt/"),
        (&path, "."),
        (&mount.at("folder"), ".."),
        (&mount.at("folder"), "../../mnt"),
    ] {
        let output = doctor(folder, &[argument]);
        let lines = lines(&environment, &output);
        assert_eq!(output.code, Some(0), "{argument}: {lines:#?}, {}", output.stderr);
        let checks: Vec<_> = lines.iter().map(|(state, check, _)| (&**state, &**check)).collect();
        let expected = ["mount", "operations", "credentials", "s3"].map(|check| ("ok", check));
        assert_eq!(checks, expected, "{argument}: {lines:#?}");
        assert!(lines[2].2.contains("/s3credentials: ") && lines[2].2.contains(" old; "));
        assert!(lines[2].2.contains("renewal is due in") && lines[2].2.contains("end in"));
    }
    let json = doctor(home, &["mnt", "--json"]).must_succeed();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&json["ok"], json["checks"].as_array().unwrap().len()), (&true.into(), 4));
    assert_eq!(environment.fake_daac.log().len(), sent, "asking a mount asks nobody else");
}

/// What is no mount is a source, or told to be none.
#[test]
fn a_path_that_is_no_mount_is_refused() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let directory = MountDirectory::new();
    let output = doctor(directory.home(), &["./mnt"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("no granulefs mount is here"), "{}", output.stderr);
    let mount = environment.mount(BUCKET);
    assert_eq!(doctor(&mount.path(), &[".."]).code, Some(2), "that is above the mount");
    let output = doctor(&mount.path(), &["podaac", "--buckets-file", "no-such-file"]);
    assert!(output.stdout_text().contains("source"), "in a mount, a word is a source");
}

/// A mount answers at once while the login and S3 stand still, and says what is waited for.
#[test]
fn a_mount_answers_while_everything_stands_still() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount = environment.mount_command(BUCKET).args(&["--timeout=20s"]).mount();
    environment.fake_daac.add_fault(Fault::new(Failure::Stall).on(RequestKind::Head));
    environment.fake_daac.add_fault(Fault::new(Failure::Stall).on(RequestKind::List));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| errno(fs::metadata(mount.at("folder/missing"))));
        let mut failed = String::new();
        eventually("the wait is told", TIMEOUT, || {
            let began = Instant::now();
            let output = doctor_of(&mount);
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
            failed = failures(&environment, &output, "operations");
            thread::sleep(Duration::from_millis(300));
            output.code == Some(1)
        });
        assert!(failed.starts_with("1 wait, the oldest for ") && failed.contains("s3://granules/"));
        environment.fake_daac.set(|knobs| knobs.faults.clear());
        waiting.join().unwrap();
    });
}

/// "Permission denied" hours after the mount was made has its reason here, for an ordinary user
/// too. Another one is not told, and root neither where the kernel lets nobody else in.
#[test]
fn a_later_refusal_is_told_to_the_user_who_mounts() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    if fs::metadata("/dev/fuse").unwrap().permissions().mode() & 0o006 != 0o006 {
        return eprintln!("skipped: /dev/fuse is closed to ordinary users here");
    }
    environment.fake_daac.set(|knobs| knobs.credential_life = Duration::from_secs(2));
    let directory = MountDirectory::new();
    run(Command::new("chown").arg("-R").arg(NOBODY).arg(directory.home())).must_succeed();
    let mount = environment.mount_command_at(directory, BUCKET).run_as_user(NOBODY).mount();
    let as_nobody = |arguments: &[&str]| {
        let user = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
        run(Command::new("setpriv").args(user).args(arguments).current_dir("/"))
    };
    until_refused(&environment, |name| {
        as_nobody(&["stat", mount.at(name).to_str().unwrap()]).stderr.contains("Permission denied")
    });
    let (program, path) = (mount.directory().program(), mount.path());
    let output = as_nobody(&[program.to_str().unwrap(), "doctor", path.to_str().unwrap()]);
    let failed = failures(&environment, &output, "credentials");
    assert_eq!(output.code, Some(1));
    for words in ["have expired", "refused the token from EARTHDATA_TOKEN", "not asked again for"] {
        assert!(failed.contains(words), "no {words:?} in {failed:?}");
    }
    let failed = failures(&environment, &doctor_of(&mount), "mount");
    assert!(failed.contains("only the user who mounted it"), "{failed}");
}

/// With `--allow-other` everybody reads, and only the user who mounts (and root) is told how the
/// mount does.
#[test]
fn other_users_are_not_told() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount = environment.mount_command(BUCKET).args(&["--allow-other"]).mount();
    let (program, path) = (mount.directory().program(), mount.path());
    let user = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
    let mut command = Command::new("setpriv");
    command.args(user).arg(program).arg("doctor").arg(path).current_dir("/");
    let failed = failures(&environment, &run(&mut command), "mount");
    assert!(failed.contains("only the user who mounted it"), "{failed}");
    assert_eq!(doctor_of(&mount).code, Some(0));
}

/// A denial by S3 is told until a request is answered, and then as the last one.
#[test]
fn a_denial_is_told_with_its_age() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount = environment.mount(BUCKET);
    environment.fake_daac.add_fault(Fault::new(Failure::Denied).on(RequestKind::Get));
    assert_eq!(errno(fs::read(mount.at("folder/one.txt"))), libc::EACCES);
    let failed = failures(&environment, &doctor_of(&mount), "s3");
    assert!(failed.contains("refused 0s ago: S3 denies access") || failed.contains("refused 1s"));
    environment.fake_daac.set(|knobs| knobs.faults.clear());
    assert_eq!(fs::read(mount.at("folder/one.txt")).unwrap(), b"one\n");
    let output = doctor_of(&mount);
    assert_eq!(output.code, Some(0));
    assert!(output.stdout_text().contains("answers; the last refusal was"));
}

/// What a killed granulefs leaves is recognized, by a program that cannot look at it.
#[test]
fn a_dead_mount_is_told_with_what_helps() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount = environment.mount(BUCKET);
    mount.server().send_signal(Signal::KILL);
    mount.server().must_end_within(TIMEOUT);
    let home = mount.directory().home();
    symlink("mnt", home.join("link")).unwrap();
    for (folder, argument) in
        [(Path::new("/"), mount.path().to_str().unwrap()), (home, "mnt"), (home, "./link")]
    {
        let output = doctor(folder, &[argument]);
        let failed = failures(&environment, &output, "mount");
        assert_eq!(output.code, Some(1), "{}", output.stderr);
        for words in ["Transport endpoint is not connected", "granulefs unmount "] {
            assert!(failed.contains(words), "no {words:?} in {failed:?}");
        }
    }
    run(Command::new(PROGRAM).arg("unmount").arg(home.join("link"))).must_succeed();
    assert!(mount.directory().mounted_types().is_empty());
}

/// Of several data centers the one that refuses is told, with the page to open, beside those that
/// work and those that nothing has needed yet.
#[test]
fn each_data_center_of_a_mount_is_told() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    let mount = environment.mount_command_with_table("earthdata").mount();
    environment.fake_daac.set(|knobs| knobs.daac("ASF").bearer = Some(BearerAnswer::Eula));
    assert_eq!(errno(fs::read(mount.at("asf-local-browse/a/x.nc"))), libc::EACCES);
    mount.must_read_file_of("nsidc-local-protected");
    let output = doctor_of(&mount);
    let lines = lines(&environment, &output);
    let of = |daac: &str| {
        let url = environment.fake_daac.credentials_url(daac);
        let line = lines.iter().find(|(.., text)| text.starts_with(&url));
        line.unwrap_or_else(|| panic!("no {url} in {lines:#?}"))
    };
    assert_eq!((of("NSIDC").0.as_str(), of("PODAAC").0.as_str()), ("ok", "skipped"));
    assert_eq!(of("ASF").0, "FAILED");
    assert!(of("ASF").2.contains("there are none yet") && of("ASF").2.contains("/approve_app"));
    assert_eq!(output.code, Some(1));
}
