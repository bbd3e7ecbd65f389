//! A mount begins when it can be used and ends without a trace (issue 2, "What a user does").

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{BUCKET, Mount, PROGRAM, Ran, Site, eventually, run, tool, wait};

/// How long an end may take, also while files are open.
const END: Duration = Duration::from_secs(5);

#[track_caller]
fn must_be_gone(mount: &Mount) {
    eventually("the mount table is clean", END, || mount.place().mounted().is_empty());
    mount.server().must_end_within(END);
}

/// "The command returns when the mount is usable": the very first use works, without waiting.
#[test]
fn the_mount_can_be_used_when_the_command_returns() {
    let Some(site) = Site::with_one_object() else { return };
    let mount = site.mount(BUCKET);
    assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
}

/// "and a background process serves it": in a session of its own, busy with no directory, holding
/// no terminal. That the command's pipes close is part of every [`run`].
#[test]
fn the_server_is_detached_from_whoever_started_it() {
    let Some(site) = Site::with_one_object() else { return };
    let mount = site.mount(BUCKET);
    let server = mount.server();
    assert_eq!(server.session(), server.pid());
    assert_eq!(fs::read_link(server.proc("cwd")).unwrap(), Path::new("/"));
    for stream in ["fd/0", "fd/1", "fd/2"] {
        assert_eq!(fs::read_link(server.proc(stream)).unwrap(), Path::new("/dev/null"), "{stream}");
    }
}

/// "`--foreground` stays", and its end is a success.
#[test]
fn a_foreground_mount_is_served_by_the_command_itself() {
    let Some(site) = Site::with_one_object() else { return };
    let (mount, mut child) = site.plan(BUCKET).serve();
    assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
    assert_eq!(child.try_wait().unwrap(), None);
    mount.server().signal(Signal::INT);
    assert_eq!(wait(&mut child, END), Some(0));
    must_be_gone(&mount);
}

/// A terminal that closes leaves no dead mount: the server lives on, also in the foreground.
#[test]
fn a_hangup_does_not_end_a_mount() {
    let Some(site) = Site::with_one_object() else { return };
    let (mount, mut child) = site.plan(BUCKET).args(&["-v"]).serve();
    mount.server().signal(Signal::HUP);
    eventually("the signal is noted", END, || mount.log().contains("all names are forgotten"));
    assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
    mount.server().signal(Signal::TERM);
    assert_eq!(wait(&mut child, END), Some(0));
    must_be_gone(&mount);
}

/// A server ends its own mount, and not what somebody has mounted over it.
#[test]
fn a_signal_takes_down_no_other_mount() {
    let Some(site) = Site::with_one_object() else { return };
    let mount = site.mount(BUCKET);
    let (place, server) = (mount.path(), mount.server());
    tool(Path::new("/"), "mount", ["-t", "tmpfs", "granulefs-test", &place.to_string_lossy()]);
    assert_eq!(mount.place().mounted(), ["fuse.granulefs", "tmpfs"]);
    server.signal(Signal::TERM);
    server.must_end_within(2 * END);
    assert_eq!(mount.place().mounted(), ["fuse.granulefs", "tmpfs"]);
    assert_eq!(fs::read_dir(place).unwrap().count(), 0);
}

/// "SOURCE is `bucket`, `bucket/prefix`, `s3://bucket/prefix/` (with or without the last slash)".
#[test]
fn a_source_is_written_in_four_ways() {
    let Some(site) = Site::with_one_object() else { return };
    for (source, path) in [
        ("granules", "folder/one.txt"),
        ("granules/folder", "one.txt"),
        ("s3://granules/folder", "one.txt"),
        ("s3://granules/folder/", "one.txt"),
    ] {
        let mount = site.mount(source);
        assert_eq!(fs::read_to_string(mount.at(path)).unwrap(), "one\n", "{source}");
    }
}

fn granulefs_unmount(mount: &Mount) -> Ran {
    run(Command::new(PROGRAM).arg("unmount").arg(mount.path()))
}

fn signalled(mount: &Mount, signal: Signal) -> Ran {
    mount.server().signal(signal);
    Ran { code: Some(0), stdout: Vec::new(), stderr: String::new() }
}

/// A way to end a mount, and what it does while a file is open.
type Ending = (&'static str, fn(&Mount) -> Ran);

const LAZY_ENDINGS: [Ending; 5] = [
    ("granulefs unmount", granulefs_unmount),
    ("umount -l", |mount| tool(Path::new("/"), "umount", [Path::new("-l"), &mount.path()])),
    ("fusermount3 -uz", |mount| {
        tool(Path::new("/"), "fusermount3", [Path::new("-uz"), &mount.path()])
    }),
    ("SIGTERM", |mount| signalled(mount, Signal::TERM)),
    ("SIGINT", |mount| signalled(mount, Signal::INT)),
];

const STRICT_ENDINGS: [Ending; 2] = [
    ("umount", |mount| tool(Path::new("/"), "umount", [mount.path()])),
    ("fusermount3 -u", |mount| {
        tool(Path::new("/"), "fusermount3", [Path::new("-u"), &mount.path()])
    }),
];

/// "`granulefs unmount MOUNTPOINT`, `umount`, `fusermount3 -u`, SIGTERM and SIGINT all end it
/// cleanly".
#[test]
fn every_way_to_end_a_mount_leaves_neither_process_nor_mount() {
    let Some(site) = Site::with_one_object() else { return };
    for (way, end) in LAZY_ENDINGS.into_iter().chain(STRICT_ENDINGS) {
        let mount = site.mount(BUCKET);
        fs::read(mount.at("folder/one.txt")).unwrap();
        let ran = end(&mount);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{way}");
        must_be_gone(&mount);
        assert!(!mount.log().contains("WARN"), "{way}: {}", mount.log());
    }
}

/// "also while files are open (then lazily, within 5 s)". The kernel refuses the ways that are not
/// lazy, and the mount lives on.
#[test]
fn a_mount_ends_also_while_a_file_is_open() {
    let Some(site) = Site::with_one_object() else { return };
    // Side by side, since each takes as long as open files get.
    std::thread::scope(|scope| {
        for (way, end) in LAZY_ENDINGS {
            let mount = site.mount(BUCKET);
            scope.spawn(move || {
                let mut file = File::open(mount.at("folder/one.txt")).unwrap();
                for (strict, refused) in STRICT_ENDINGS {
                    assert_ne!(refused(&mount).code, Some(0), "{strict}");
                }
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                assert_eq!(text, "one\n", "{way}");
                assert_eq!(end(&mount).code, Some(0), "{way}");
                must_be_gone(&mount);
            });
        }
    });
}
