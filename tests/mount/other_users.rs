//! What other users may, and what programs on the mount may (issue 2, "Options at least").

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::{
    BUCKET, CommandOutput, MountDirectory, PROGRAM, Process, TIMEOUT, TestEnvironment, run,
    run_tool, wait_for_exit,
};

/// An ordinary user that every Linux has.
const NOBODY: &str = "65534";

fn as_nobody(arguments: &[&str]) -> CommandOutput {
    let user = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
    run(Command::new("setpriv").args(user).args(arguments).current_dir("/"))
}

/// Without `--allow-other` the kernel lets nobody in but the user who mounts; with it the modes
/// decide.
#[test]
fn other_users_are_let_in_only_when_allowed() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    for (options, is_let_in) in [
        (&[][..], false),
        (&["--allow-other"], true),
        (&["-o", "allow_other"], true),
        (&["--allow-other", "--file-mode=0400"], false),
        (&["--allow-other", "--file-mode=0400", "--uid", NOBODY], true),
    ] {
        let mount = environment.mount_command(BUCKET).args(options).mount();
        let file = mount.at("folder/one.txt");
        let output = as_nobody(&["cat", file.to_str().unwrap()]);
        if is_let_in {
            assert_eq!(output.must_succeed(), b"one\n", "{options:?}");
        } else {
            assert!(
                output.code == Some(1) && output.stderr.contains("Permission denied"),
                "{options:?}: {}",
                output.stderr
            );
        }
        assert_eq!(fs::read(&file).unwrap(), b"one\n", "root always may");
    }
}

/// Programs run from the mount where their mode says so, and never with `--noexec`.
#[test]
fn programs_run_unless_noexec() {
    let Some(environment) = TestEnvironment::start() else { return };
    environment.fake_daac.put(BUCKET, "hello", "#!/bin/sh\necho hello\n");
    let execute = |options: &[&str]| {
        let mount = environment.mount_command(BUCKET).args(options).mount();
        run_tool(Path::new("/"), "sh", ["-c", &format!("exec {}", mount.at("hello").display())])
    };
    assert_eq!(execute(&["--file-mode=0555"]).must_succeed(), b"hello\n");
    for options in [&["--file-mode=0555", "--noexec"][..], &["--file-mode=0444"]] {
        assert!(execute(options).stderr.contains("Permission denied"), "{options:?}");
    }
}

/// Issue 2, item 7: secrets stand in the environment of the command that waits, too; what root owns
/// in /proc its user cannot read.
#[test]
fn neither_process_of_a_start_can_be_looked_into() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment.fake_daac.set(|knobs| knobs.credentials_latency = Duration::from_secs(30));
    let directory = MountDirectory::new();
    run(Command::new("chown").arg("-R").arg(NOBODY).arg(directory.home())).must_succeed();
    let mount_command = environment.mount_command_at(directory, BUCKET).as_user(NOBODY);
    let mut child = mount_command.spawn_with("--timeout=60s");
    assert!(environment.fake_daac.wait_for(|stats| stats.credentials > 0, TIMEOUT));
    let processes = Process::serving(&mount_command.directory().mountpoint());
    let owners: Vec<_> = processes
        .iter()
        .map(|process| fs::metadata(process.proc_path("environ")).unwrap().uid())
        .collect();
    assert_eq!(owners, [0, 0]);
    drop(mount_command);
    wait_for_exit(&mut child, TIMEOUT);
}

/// An ordinary user mounts with the help of fusermount3, and ends the mount alike.
#[test]
fn an_ordinary_user_mounts_and_unmounts() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    if fs::metadata("/dev/fuse").unwrap().permissions().mode() & 0o006 != 0o006 {
        return eprintln!(
            "skipped: /dev/fuse is closed to ordinary users here (chmod 666 /dev/fuse)"
        );
    }
    let directory = MountDirectory::new();
    run(Command::new("chown").arg("-R").arg(NOBODY).arg(directory.home())).must_succeed();
    let mount = environment.mount_command_at(directory, BUCKET).as_user(NOBODY).mount();
    let file = mount.at("folder/one.txt");
    assert_eq!(as_nobody(&["cat", file.to_str().unwrap()]).must_succeed(), b"one\n");
    assert_eq!(as_nobody(&["stat", "-c", "%u", file.to_str().unwrap()]).must_succeed(), b"65534\n");
    let path = mount.path();
    let output = as_nobody(&[PROGRAM, "unmount", path.to_str().unwrap()]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    mount.server().must_end_within(TIMEOUT);
}
