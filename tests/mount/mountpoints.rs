//! Which directories may be mounted on, and which mounts may be ended (issue 2, "What a user
//! does").

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fake_daac::{Failure, Fault, Kind};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::harness::{
    BUCKET, PATIENCE, PROGRAM, Place, Process, Site, errno, eventually, run, wait,
};

/// "A stale mount point from a killed process ("Transport endpoint is not connected") is recognised
/// and replaced."
#[test]
fn what_a_killed_process_left_is_replaced() {
    let Some(site) = Site::with_one_object() else { return };
    for is_known in [false, true] {
        let mount = site.mount(BUCKET);
        // The kernel goes on giving the attributes that it has.
        let seen = is_known.then(|| fs::metadata(mount.path()).unwrap().mode());
        mount.server().signal(Signal::KILL);
        mount.server().must_end_within(PATIENCE);
        eventually("nobody answers", PATIENCE, || {
            errno(fs::read_dir(mount.path())) == libc::ENOTCONN
        });
        assert_eq!(fs::metadata(mount.path()).ok().map(|metadata| metadata.mode()), seen);
        // That there is one mount and one server is checked here.
        let mount = site.plan_on(mount.into_place(), BUCKET).mount();
        assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
    }
}

/// A mount that lives is not covered by another one.
#[test]
fn mounting_twice_on_one_place_is_refused() {
    let Some(site) = Site::with_one_object() else { return };
    let mount = site.mount(BUCKET);
    let (server, path) = (mount.server(), mount.at("folder/one.txt"));
    let plan = site.plan_on(mount.into_place(), BUCKET);
    let ran = plan.run();
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("granulefs mount already"), "{}", ran.stderr);
    assert_eq!(plan.place().mounted(), ["fuse.granulefs"]);
    assert_eq!(Process::all_for(&plan.place().mountpoint()), [server]);
    assert_eq!(fs::read_to_string(path).unwrap(), "one\n");
}

/// "It exits non-zero with one clear message": a mount point that is none is named, with what to do
/// about it.
#[test]
fn a_mount_point_must_be_an_existing_directory() {
    let Some(site) = Site::with_one_object() else { return };
    let plan = site.plan(BUCKET);
    fs::remove_dir(plan.place().mountpoint()).unwrap();
    let message = plan.refusal();
    assert!(
        message.contains("/mnt") && message.contains("create the directory first"),
        "{message}"
    );

    let plan = site.plan(BUCKET);
    fs::remove_dir(plan.place().mountpoint()).unwrap();
    File::create(plan.place().mountpoint()).unwrap();
    let message = plan.refusal();
    assert!(message.contains("not a directory"), "{message}");
    assert_eq!(site.archive.stats().credentials, 0, "nobody logs in for nothing");
}

/// `granulefs unmount` ends granulefs mounts and nothing else.
#[test]
fn unmounting_anything_else_is_refused_and_touches_nothing() {
    let place = Place::new();
    let unmount = |path: &Path| run(Command::new(PROGRAM).arg("unmount").arg(path));
    run(Command::new("mount").args(["-t", "tmpfs", "granulefs-test"]).arg(place.mountpoint()))
        .success();
    fs::write(place.mountpoint().join("kept"), "").unwrap();
    for path in
        [place.mountpoint(), place.home().to_owned(), place.home().join("missing"), "/proc".into()]
    {
        let ran = unmount(&path);
        assert_eq!((ran.code, ran.text().as_str()), (Some(1), ""), "{}", path.display());
        assert!(
            ran.stderr.starts_with("granulefs: ") && !ran.stderr.contains("create"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(place.mounted(), ["tmpfs"]);
    assert!(place.mountpoint().join("kept").exists() && Path::new("/proc/self").exists());
}

/// "leaves nothing behind": Ctrl-C reaches both processes of the command, whatever they wait for.
#[test]
fn an_interrupt_during_a_hanging_login_leaves_nothing() {
    let Some(site) = Site::with_one_object() else { return };
    site.archive.fault(Fault::new(Failure::Stall).on(Kind::Credentials));
    let plan = site.plan(BUCKET).in_own_group();
    let mut child = plan.start("--timeout=60s");
    assert!(site.archive.wait_for(|stats| stats.credentials > 0, PATIENCE));
    kill_process_group(Pid::from_child(&child), Signal::INT).unwrap();
    assert_ne!(wait(&mut child, PATIENCE), Some(0));
    eventually("both processes end", PATIENCE, || {
        Process::all_for(&plan.place().mountpoint()).is_empty()
    });
    assert_eq!(plan.place().mounted(), [""; 0]);
}

/// A mount whose command was killed while it waited is wanted by nobody.
#[test]
fn a_server_whose_command_is_gone_gives_up_its_mount() {
    let Some(site) = Site::with_one_object() else { return };
    site.archive.set(|knobs| knobs.credentials_latency = Duration::from_secs(1));
    let plan = site.plan(BUCKET);
    let mut child = plan.start("--timeout=60s");
    assert!(site.archive.wait_for(|stats| stats.credentials > 0, PATIENCE));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the server ends", PATIENCE, || {
        Process::all_for(&plan.place().mountpoint()).is_empty()
    });
    assert!(site.archive.stats().lists > 0, "it had come as far as to list");
    assert_eq!(plan.place().mounted(), [""; 0]);
}
