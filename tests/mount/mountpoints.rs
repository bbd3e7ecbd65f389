//! Which directories may be mounted on, and which mounts may be ended (issue 2, "What a user
//! does").

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

/// "A stale mount point from a killed process ("Transport endpoint is not connected") is recognised
/// and replaced."
#[test]
fn what_a_killed_process_left_is_replaced() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    for is_known in [false, true] {
        let mount = environment.mount(BUCKET);
        // The kernel goes on giving the attributes that it has.
        let seen = is_known.then(|| fs::metadata(mount.path()).unwrap().mode());
        mount.server().send_signal(Signal::KILL);
        mount.server().must_end_within(TIMEOUT);
        eventually("nobody answers", TIMEOUT, || {
            errno(fs::read_dir(mount.path())) == libc::ENOTCONN
        });
        assert_eq!(fs::metadata(mount.path()).ok().map(|metadata| metadata.mode()), seen);
        // That there is one mount and one server is checked here.
        let mount = environment.mount_command_at(mount.into_directory(), BUCKET).mount();
        assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
    }
}

/// A mount that lives is not covered by another one.
#[test]
fn mounting_twice_on_one_place_is_refused() {
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

/// "It exits non-zero with one clear message": a mount point that is none is named, with what to do
/// about it.
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
    assert_eq!(environment.fake_daac.stats().credentials, 0, "nobody logs in for nothing");
}

/// `granulefs unmount` ends granulefs mounts and nothing else.
#[test]
fn unmounting_anything_else_is_refused_and_touches_nothing() {
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

/// "leaves nothing behind": Ctrl-C reaches both processes of the command, whatever they wait for.
#[test]
fn an_interrupt_during_a_hanging_login_leaves_nothing() {
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

/// A mount whose command was killed while it waited is wanted by nobody.
#[test]
fn a_server_whose_command_is_gone_gives_up_its_mount() {
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
    assert!(environment.fake_daac.stats().lists > 0, "it had come as far as to list");
    assert_eq!(mount_command.directory().mounted_types(), [""; 0]);
}
