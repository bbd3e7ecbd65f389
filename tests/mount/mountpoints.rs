//! Which directories can be mounted on, and which mounts `granulefs unmount` ends.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fake_daac::{Failure, Fault, RequestKind};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::harness::{
    BUCKET, MountDirectory, PROGRAM, Process, TIMEOUT, TestEnvironment, errno, eventually, run,
    wait_for_exit,
};

/// The mount point of a killed server ("Transport endpoint is not connected") is recognized and
/// replaced.
#[test]
fn the_mount_of_a_killed_server_is_replaced() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    for is_known in [false, true] {
        let mount = environment.mount(BUCKET);
        // The kernel still returns the attributes that it has cached.
        let seen = is_known.then(|| fs::metadata(mount.path()).unwrap().mode());
        mount.server().send_signal(Signal::KILL);
        mount.server().must_end_within(TIMEOUT);
        eventually("no server answers", TIMEOUT, || {
            errno(fs::read_dir(mount.path())) == libc::ENOTCONN
        });
        assert_eq!(fs::metadata(mount.path()).ok().map(|metadata| metadata.mode()), seen);
        // `mount` checks that there is one mount and one server.
        let mount = environment.mount_command_at(mount.into_directory(), BUCKET).mount();
        assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
    }
}

/// A live mount is not covered by another one.
#[test]
fn mounting_twice_on_one_mount_point_is_an_error() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount = environment.mount(BUCKET);
    let (server, path) = (mount.server(), mount.at("folder/one.txt"));
    let mount_command = environment.mount_command_at(mount.into_directory(), BUCKET);
    let output = mount_command.run();
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("granulefs mount already"), "{}", output.stderr);
    assert_eq!(mount_command.directory().mounted_types(), ["fuse.granulefs"]);
    assert_eq!(Process::serving(&mount_command.directory().mountpoint()), [server]);
    assert_eq!(fs::read_to_string(path).unwrap(), "one\n");
}

/// The message of a missing or wrong mount point names it, and what to do.
#[test]
fn a_mount_point_must_be_an_existing_directory() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount_command = environment.mount_command(BUCKET);
    fs::remove_dir(mount_command.directory().mountpoint()).unwrap();
    let message = mount_command.must_fail();
    assert!(
        message.contains("/mnt") && message.contains("create the directory first"),
        "{message}"
    );

    let mount_command = environment.mount_command(BUCKET);
    fs::remove_dir(mount_command.directory().mountpoint()).unwrap();
    File::create(mount_command.directory().mountpoint()).unwrap();
    let message = mount_command.must_fail();
    assert!(message.contains("not a directory"), "{message}");
    assert_eq!(environment.fake_daac.stats().credentials, 0, "a login happened");
}

/// `granulefs unmount` ends only granulefs mounts.
#[test]
fn unmounting_another_filesystem_is_an_error_and_changes_nothing() {
    let directory = MountDirectory::new();
    let unmount = |path: &Path| run(Command::new(PROGRAM).arg("unmount").arg(path));
    run(Command::new("mount").args(["-t", "tmpfs", "granulefs-test"]).arg(directory.mountpoint()))
        .must_succeed();
    fs::write(directory.mountpoint().join("kept"), "").unwrap();
    for path in [
        directory.mountpoint(),
        directory.home().to_owned(),
        directory.home().join("missing"),
        "/proc".into(),
    ] {
        let output = unmount(&path);
        assert_eq!(
            (output.code, output.stdout_text().as_str()),
            (Some(1), ""),
            "{}",
            path.display()
        );
        assert!(
            output.stderr.starts_with("granulefs: ") && !output.stderr.contains("create"),
            "{}",
            output.stderr
        );
    }
    assert_eq!(directory.mounted_types(), ["tmpfs"]);
    assert!(directory.mountpoint().join("kept").exists() && Path::new("/proc/self").exists());
}

/// Ctrl-C during a login that hangs ends both processes of the command and leaves no mount.
#[test]
fn an_interrupt_during_a_login_that_hangs_leaves_no_process_and_no_mount() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment.fake_daac.add_fault(Fault::new(Failure::Stall).on(RequestKind::Credentials));
    let mount_command = environment.mount_command(BUCKET).in_own_process_group();
    let mut child = mount_command.spawn_with("--timeout=60s");
    assert!(environment.fake_daac.wait_for(|stats| stats.credentials > 0, TIMEOUT));
    kill_process_group(Pid::from_child(&child), Signal::INT).unwrap();
    assert_ne!(wait_for_exit(&mut child, TIMEOUT), Some(0));
    eventually("both processes end", TIMEOUT, || {
        Process::serving(&mount_command.directory().mountpoint()).is_empty()
    });
    assert_eq!(mount_command.directory().mounted_types(), [""; 0]);
}

/// When the waiting command is killed, the server ends instead of mounting.
#[test]
fn a_server_whose_command_was_killed_ends_without_a_mount() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment.fake_daac.set(|knobs| knobs.credentials_latency = Duration::from_secs(1));
    let mount_command = environment.mount_command(BUCKET);
    let mut child = mount_command.spawn_with("--timeout=60s");
    assert!(environment.fake_daac.wait_for(|stats| stats.credentials > 0, TIMEOUT));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the server ends", TIMEOUT, || {
        Process::serving(&mount_command.directory().mountpoint()).is_empty()
    });
    assert!(environment.fake_daac.stats().lists > 0, "the server had not listed yet");
    assert_eq!(mount_command.directory().mounted_types(), [""; 0]);
}
