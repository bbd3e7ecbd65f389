//! Other users than root: access to a mount, execution of its files, and mounting.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::{
    BUCKET, MountDirectory, NOBODY, Process, TIMEOUT, TestEnvironment, as_nobody, eventually, run,
    run_tool, wait_for_exit,
};

/// Without `--allow-other` the kernel admits only the mounting user; with it the modes decide.
#[test]
fn other_users_have_access_only_with_allow_other() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    for (options, has_access) in [
        (&[][..], false),
        (&["--allow-other"], true),
        (&["-o", "allow_other"], true),
        (&["--allow-other", "--file-mode=0400"], false),
        (&["--allow-other", "--file-mode=0400", "--uid", NOBODY], true),
    ] {
        let mount = environment.mount_command(BUCKET).args(options).mount();
        let file = mount.at("folder/one.txt");
        let output = as_nobody(&["cat", file.to_str().unwrap()]);
        if has_access {
            assert_eq!(output.must_succeed(), b"one\n", "{options:?}");
        } else {
            assert!(
                output.code == Some(1) && output.stderr.contains("Permission denied"),
                "{options:?}: {}",
                output.stderr
            );
        }
        assert_eq!(fs::read(&file).unwrap(), b"one\n", "root always has access");
    }
}

/// An ordinary user whose password has changed, and whose netrc has the new one, reads on after
/// `granulefs refresh`. The old one is sent once.
#[test]
fn an_ordinary_users_changed_password_reaches_the_mount() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let Some(mount_command) = environment.mount_command_of_nobody(BUCKET) else { return };
    let fake_daac = &environment.fake_daac;
    fake_daac.put(BUCKET, "folder/two.txt", "two\n");
    let second = Duration::from_secs(1);
    fake_daac.set(|knobs| (knobs.credential_life, knobs.cookie_life) = (2 * second, second));
    let netrc = mount_command.directory().home().join(".netrc");
    let write_password = |password: &str| {
        let user = fake_daac.user();
        let line = format!("machine localhost login {user} password \"{password}\"\n");
        fs::write(&netrc, line).unwrap();
        run(Command::new("chown").arg(NOBODY).arg(&netrc)).must_succeed();
    };
    write_password(fake_daac.password());
    let mount_command = mount_command.without_env("EARTHDATA_TOKEN").args(&["--metadata-ttl=0"]);
    let mount = mount_command.mount();
    let read = |name: &str| as_nobody(&["cat", mount.at(name).to_str().unwrap()]);
    fake_daac.set(|knobs| knobs.new_password = Some("new".into()));
    eventually("the old password is refused", TIMEOUT, || {
        read("folder/missing").stderr.contains("Permission denied")
    });
    write_password("new");
    let program = mount.directory().program();
    let (program, path) = (program.to_str().unwrap(), mount.path());
    as_nobody(&[program, "refresh", path.to_str().unwrap()]).must_succeed();
    assert_eq!(read("folder/two.txt").must_succeed(), b"two\n");
    let stats = fake_daac.stats();
    assert_eq!((stats.rejected, stats.leaked_secrets), (1, 0));
}

/// Programs on the mount can be executed if their mode allows it, and never with `--noexec`.
#[test]
fn programs_are_executable_unless_noexec() {
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

/// Both processes of a starting mount have secrets in their environment. Their `environ` belongs to
/// root, so that other processes of the same user cannot read it.
#[test]
fn the_environment_of_both_processes_is_hidden_from_their_user() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment.fake_daac.set(|knobs| knobs.credentials_latency = Duration::from_secs(30));
    let directory = MountDirectory::new();
    run(Command::new("chown").arg("-R").arg(NOBODY).arg(directory.home())).must_succeed();
    let mount_command = environment.mount_command_at(directory, BUCKET).run_as_user(NOBODY);
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

/// An ordinary user mounts and unmounts through fusermount3.
#[test]
fn an_ordinary_user_mounts_and_unmounts() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let Some(mount_command) = environment.mount_command_of_nobody(BUCKET) else { return };
    let mount = mount_command.mount();
    let file = mount.at("folder/one.txt");
    assert_eq!(as_nobody(&["cat", file.to_str().unwrap()]).must_succeed(), b"one\n");
    assert_eq!(as_nobody(&["stat", "-c", "%u", file.to_str().unwrap()]).must_succeed(), b"65534\n");
    let (program, path) = (mount.directory().program(), mount.path());
    let output = as_nobody(&[program.to_str().unwrap(), "unmount", path.to_str().unwrap()]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    mount.server().must_end_within(TIMEOUT);
}

/// An ordinary user who mounts where another one has a mount that is closed to him is told so.
#[test]
fn a_mount_of_another_user_is_a_mount_already() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let directory = environment.mount(BUCKET).into_directory();
    let mount_command = environment.mount_command_at(directory, BUCKET).without_log_file();
    let output = mount_command.run_as_user(NOBODY).run();
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("is a granulefs mount already"), "{}", output.stderr);
}
