//! What other users may, and what programs on the mount may (issue 2, "Options at least").

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::{BUCKET, PATIENCE, PROGRAM, Place, Process, Ran, Site, run, tool, wait};

/// An ordinary user that every Linux has.
const NOBODY: &str = "65534";

fn as_nobody(arguments: &[&str]) -> Ran {
    let user = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
    run(Command::new("setpriv").args(user).args(arguments).current_dir("/"))
}

/// Without `--allow-other` the kernel lets nobody in but the user who mounts; with it the modes
/// decide.
#[test]
fn other_users_are_let_in_only_when_allowed() {
    let Some(site) = Site::with_one_object() else { return };
    for (options, is_let_in) in [
        (&[][..], false),
        (&["--allow-other"], true),
        (&["-o", "allow_other"], true),
        (&["--allow-other", "--file-mode=0400"], false),
        (&["--allow-other", "--file-mode=0400", "--uid", NOBODY], true),
    ] {
        let mount = site.plan(BUCKET).args(options).mount();
        let file = mount.at("folder/one.txt");
        let ran = as_nobody(&["cat", file.to_str().unwrap()]);
        if is_let_in {
            assert_eq!(ran.success(), b"one\n", "{options:?}");
        } else {
            assert!(
                ran.code == Some(1) && ran.stderr.contains("Permission denied"),
                "{options:?}: {}",
                ran.stderr
            );
        }
        assert_eq!(fs::read(&file).unwrap(), b"one\n", "root always may");
    }
}

/// Programs run from the mount where their mode says so, and never with `--noexec`.
#[test]
fn programs_run_unless_noexec() {
    let Some(site) = Site::start() else { return };
    site.archive.put(BUCKET, "hello", "#!/bin/sh\necho hello\n");
    let execute = |options: &[&str]| {
        let mount = site.plan(BUCKET).args(options).mount();
        tool(Path::new("/"), "sh", ["-c", &format!("exec {}", mount.at("hello").display())])
    };
    assert_eq!(execute(&["--file-mode=0555"]).success(), b"hello\n");
    for options in [&["--file-mode=0555", "--noexec"][..], &["--file-mode=0444"]] {
        assert!(execute(options).stderr.contains("Permission denied"), "{options:?}");
    }
}

/// Issue 2, item 7: secrets stand in the environment of the command that waits, too; what root owns
/// in /proc its user cannot read.
#[test]
fn neither_process_of_a_start_can_be_looked_into() {
    let Some(site) = Site::with_one_object() else { return };
    site.archive.set(|knobs| knobs.credentials_latency = Duration::from_secs(30));
    let place = Place::new();
    run(Command::new("chown").arg("-R").arg(NOBODY).arg(place.home())).success();
    let plan = site.plan_on(place, BUCKET).by_user(NOBODY);
    let mut child = plan.start("--timeout=60s");
    assert!(site.archive.wait_for(|stats| stats.credentials > 0, PATIENCE));
    let processes = Process::all_for(&plan.place().mountpoint());
    let owners: Vec<_> = processes
        .iter()
        .map(|process| fs::metadata(process.proc("environ")).unwrap().uid())
        .collect();
    assert_eq!(owners, [0, 0]);
    drop(plan);
    wait(&mut child, PATIENCE);
}

/// An ordinary user mounts with the help of fusermount3, and ends the mount alike.
#[test]
fn an_ordinary_user_mounts_and_unmounts() {
    let Some(site) = Site::with_one_object() else { return };
    if fs::metadata("/dev/fuse").unwrap().permissions().mode() & 0o006 != 0o006 {
        return eprintln!(
            "skipped: /dev/fuse is closed to ordinary users here (chmod 666 /dev/fuse)"
        );
    }
    let place = Place::new();
    run(Command::new("chown").arg("-R").arg(NOBODY).arg(place.home())).success();
    let mount = site.plan_on(place, BUCKET).by_user(NOBODY).mount();
    let file = mount.at("folder/one.txt");
    assert_eq!(as_nobody(&["cat", file.to_str().unwrap()]).success(), b"one\n");
    assert_eq!(as_nobody(&["stat", "-c", "%u", file.to_str().unwrap()]).success(), b"65534\n");
    let path = mount.path();
    let ran = as_nobody(&[PROGRAM, "unmount", path.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    mount.server().must_end_within(PATIENCE);
}
