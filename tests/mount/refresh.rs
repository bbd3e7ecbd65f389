//! SIGHUP and `granulefs refresh MOUNTPOINT [PATH]` drop cached names, in granulefs and in the
//! kernel.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use crate::harness::{
    BUCKET, CommandOutput, Mount, PROGRAM, TIMEOUT, TestEnvironment, errno, eventually, run,
};

fn refresh(mount: &Mount, path: &[&str]) -> CommandOutput {
    run(Command::new(PROGRAM).arg("refresh").arg(mount.path()).args(path))
}

/// Returns what a reader sees of a replaced, a removed, a new and a newly shadowed object, in the
/// root and in a directory.
fn seen(mount: &Mount) -> Vec<String> {
    let mut seen = Vec::new();
    for folder in ["", "folder/"] {
        for name in ["replaced", "removed", "new", "file", "file/x"] {
            let path = mount.at(format!("{folder}{name}"));
            let what = fs::read_to_string(path).unwrap_or_else(|error| error.kind().to_string());
            seen.push(format!("{folder}{name}: {what}"));
        }
        let listed = fs::read_dir(mount.at(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        seen.push(listed.collect::<Vec<_>>().join(" "));
    }
    seen
}

fn change(environment: &TestEnvironment, time: &'static str) {
    for folder in ["", "folder/"] {
        let key = |name: &str| format!("{folder}{name}");
        environment.fake_daac.put(BUCKET, &key("replaced"), time);
        if time == "old" {
            environment.fake_daac.put(BUCKET, &key("removed"), time);
            environment.fake_daac.put(BUCKET, &key("file"), time);
        } else {
            environment.fake_daac.delete(BUCKET, &key("removed"));
            environment.fake_daac.delete(BUCKET, &key("file"));
            environment.fake_daac.put(BUCKET, &key("file/x"), time);
            environment.fake_daac.put(BUCKET, &key("new"), time);
        }
    }
}

fn changed(folder: &str) -> Vec<String> {
    let lines = [
        format!("{folder}replaced: new"),
        format!("{folder}removed: entity not found"),
        format!("{folder}new: new"),
        format!("{folder}file: is a directory"),
        format!("{folder}file/x: new"),
        if folder.is_empty() {
            "file folder new replaced".into()
        } else {
            "file new replaced".into()
        },
    ];
    lines.into()
}

/// A refresh drops listed names, looked-up names and absent names.
#[test]
fn a_refresh_shows_the_current_state_of_the_bucket() {
    let Some(environment) = TestEnvironment::start() else { return };
    change(&environment, "old");
    let mount = environment.mount_command(BUCKET).args(&["--metadata-ttl=1h"]).mount();
    let old = seen(&mount);
    change(&environment, "new");
    assert_eq!(seen(&mount), old, "names are cached");
    refresh(&mount, &["folder"]).must_succeed();
    let now = seen(&mount);
    assert_eq!((&now[..6], &now[6..]), (&old[..6], &changed("folder/")[..]), "only below the path");
    refresh(&mount, &[]).must_succeed();
    assert_eq!(seen(&mount), [changed(""), changed("folder/")].concat());
}

#[test]
fn a_hangup_refreshes_everything() {
    let Some(environment) = TestEnvironment::start() else { return };
    change(&environment, "old");
    let mount = environment.mount_command(BUCKET).args(&["--metadata-ttl=1h"]).mount();
    seen(&mount);
    change(&environment, "new");
    mount.server().send_signal(Signal::HUP);
    eventually("the new state", TIMEOUT, || {
        seen(&mount) == [changed(""), changed("folder/")].concat()
    });
}

/// A directory that was opened before a refresh still shows the old names, and the kernel does not
/// cache them again.
#[test]
fn a_directory_opened_before_a_refresh_does_not_restore_old_names() {
    let Some(environment) = TestEnvironment::start() else { return };
    change(&environment, "old");
    let mount = environment.mount_command(BUCKET).args(&["--metadata-ttl=1h"]).mount();
    seen(&mount);
    let opened = ["", "folder/"].map(|folder| fs::read_dir(mount.at(folder)).unwrap());
    change(&environment, "new");
    refresh(&mount, &[]).must_succeed();
    for names in opened {
        assert!(names.map(|entry| entry.unwrap().file_name()).any(|name| name == "removed"));
    }
    assert_eq!(seen(&mount), [changed(""), changed("folder/")].concat());
}

/// A refresh of one file, existing or not, affects no other name, and a process whose working
/// directory is refreshed keeps it.
#[test]
fn a_refresh_of_one_name_affects_no_other() {
    let Some(environment) = TestEnvironment::start() else { return };
    change(&environment, "old");
    let mount = environment.mount_command(BUCKET).args(&["--metadata-ttl=1h"]).mount();
    let old = seen(&mount);
    change(&environment, "new");
    refresh(&mount, &["folder/replaced"]).must_succeed();
    assert_eq!(fs::read_to_string(mount.at("folder/replaced")).unwrap(), "new");
    assert_eq!(errno(fs::metadata(mount.at("new"))), libc::ENOENT);
    assert_eq!(seen(&mount)[..6], old[..6]);
    refresh(&mount, &["folder/new/and/below"]).must_succeed();
    assert_eq!(fs::read_to_string(mount.at("folder/new")).unwrap(), "new");
    let script =
        format!("cd folder && {PROGRAM} refresh {} && pwd && cat new", mount.path().display());
    let there = String::from_utf8(
        run(Command::new("bash").args(["-c", &script]).current_dir(mount.path())).must_succeed(),
    )
    .unwrap();
    assert_eq!(there, format!("{}\nnew", mount.at("folder").display()));
}

#[test]
fn a_path_that_cannot_be_refreshed_is_an_error_that_names_it() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount = environment.mount(BUCKET);
    let elsewhere = run(Command::new(PROGRAM).args(["refresh", "/proc"]));
    assert!(
        elsewhere.code == Some(1) && elsewhere.stderr.contains("/proc is not in a granulefs mount"),
        "{}",
        elsewhere.stderr
    );
    let missing = run(Command::new(PROGRAM).args(["refresh", "/no/such/place"]));
    assert!(
        missing.code == Some(1) && missing.stderr.contains("/no/such/place"),
        "{}",
        missing.stderr
    );
    let listed: Vec<_> = xattr::list(mount.path()).unwrap().collect();
    assert!(!listed.iter().any(|name| name.to_string_lossy().contains("refresh")), "{listed:?}");
}
