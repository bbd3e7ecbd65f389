//! The life of a mount: the command returns when it can be used, and its end leaves no process and
//! no mount behind.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{
    BUCKET, CommandOutput, Mount, PROGRAM, TestEnvironment, eventually, run, run_tool,
    wait_for_exit,
};

/// How long the end of a mount may take, even while files are open.
const END: Duration = Duration::from_secs(5);

#[track_caller]
fn must_be_gone(mount: &Mount) {
    eventually("the mount table is clean", END, || mount.directory().mounted_types().is_empty());
    mount.server().must_end_within(END);
}

/// When the command returns, the first use of the mount succeeds.
#[test]
fn the_mount_is_usable_when_the_command_returns() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount = environment.mount(BUCKET);
    assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
}

/// The server is in a session of its own, its working directory is `/`, and it has no terminal.
/// [`run`] checks in every test that the command's pipes are closed.
#[test]
fn the_server_is_detached_from_its_caller() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount = environment.mount(BUCKET);
    let server = mount.server();
    assert_eq!(server.session(), server.pid());
    assert_eq!(fs::read_link(server.proc_path("cwd")).unwrap(), Path::new("/"));
    for stream in ["fd/0", "fd/1", "fd/2"] {
        assert_eq!(
            fs::read_link(server.proc_path(stream)).unwrap(),
            Path::new("/dev/null"),
            "{stream}"
        );
    }
}

/// With `--foreground` the command serves the mount itself, and SIGINT ends it with exit code 0.
#[test]
fn a_foreground_mount_is_served_by_the_command_itself() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let (mount, mut child) = environment.mount_command(BUCKET).mount_in_foreground();
    assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
    assert_eq!(child.try_wait().unwrap(), None);
    mount.server().send_signal(Signal::INT);
    assert_eq!(wait_for_exit(&mut child, END), Some(0));
    must_be_gone(&mount);
}

/// The server survives the closing of its terminal, even in the foreground, so that no dead mount
/// is left.
#[test]
fn a_hangup_does_not_end_a_mount() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let (mount, mut child) = environment.mount_command(BUCKET).args(&["-v"]).mount_in_foreground();
    mount.server().send_signal(Signal::HUP);
    eventually("the signal is handled", END, || mount.log().contains("all names are forgotten"));
    assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
    mount.server().send_signal(Signal::TERM);
    assert_eq!(wait_for_exit(&mut child, END), Some(0));
    must_be_gone(&mount);
}

/// A server that gets a signal ends its own mount, and not one that is mounted over it.
#[test]
fn a_signal_ends_no_other_mount() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount = environment.mount(BUCKET);
    let (path, server) = (mount.path(), mount.server());
    run_tool(Path::new("/"), "mount", ["-t", "tmpfs", "granulefs-test", &path.to_string_lossy()]);
    assert_eq!(mount.directory().mounted_types(), ["fuse.granulefs", "tmpfs"]);
    server.send_signal(Signal::TERM);
    server.must_end_within(2 * END);
    assert_eq!(mount.directory().mounted_types(), ["fuse.granulefs", "tmpfs"]);
    assert_eq!(fs::read_dir(path).unwrap().count(), 0);
}

/// SOURCE is `bucket`, `bucket/prefix` or `s3://bucket/prefix`, with or without the last slash.
#[test]
fn a_source_is_a_bucket_a_prefix_or_an_s3_url() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    for (source, path) in [
        ("granules", "folder/one.txt"),
        ("granules/folder", "one.txt"),
        ("s3://granules/folder", "one.txt"),
        ("s3://granules/folder/", "one.txt"),
    ] {
        let mount = environment.mount(source);
        assert_eq!(fs::read_to_string(mount.at(path)).unwrap(), "one\n", "{source}");
    }
}

fn granulefs_unmount(mount: &Mount) -> CommandOutput {
    run(Command::new(PROGRAM).arg("unmount").arg(mount.path()))
}

fn signalled(mount: &Mount, signal: Signal) -> CommandOutput {
    mount.server().send_signal(signal);
    CommandOutput { code: Some(0), stdout: Vec::new(), stderr: String::new() }
}

/// The name of a way to end a mount, and the function that does so.
type Ending = (&'static str, fn(&Mount) -> CommandOutput);

/// The endings that succeed while a file is open.
const LAZY_ENDINGS: [Ending; 5] = [
    ("granulefs unmount", granulefs_unmount),
    ("umount -l", |mount| run_tool(Path::new("/"), "umount", [Path::new("-l"), &mount.path()])),
    ("fusermount3 -uz", |mount| {
        run_tool(Path::new("/"), "fusermount3", [Path::new("-uz"), &mount.path()])
    }),
    ("SIGTERM", |mount| signalled(mount, Signal::TERM)),
    ("SIGINT", |mount| signalled(mount, Signal::INT)),
];

/// The endings that the kernel refuses while a file is open.
const STRICT_ENDINGS: [Ending; 2] = [
    ("umount", |mount| run_tool(Path::new("/"), "umount", [mount.path()])),
    ("fusermount3 -u", |mount| {
        run_tool(Path::new("/"), "fusermount3", [Path::new("-u"), &mount.path()])
    }),
];

/// `granulefs unmount`, `umount`, `fusermount3 -u`, SIGTERM and SIGINT end a mount without a
/// warning.
#[test]
fn every_way_to_end_a_mount_leaves_neither_process_nor_mount() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    for (way, end) in LAZY_ENDINGS.into_iter().chain(STRICT_ENDINGS) {
        let mount = environment.mount(BUCKET);
        fs::read(mount.at("folder/one.txt")).unwrap();
        let output = end(&mount);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{way}");
        must_be_gone(&mount);
        assert!(!mount.log().contains("WARN"), "{way}: {}", mount.log());
    }
}

/// A mount ends within 5 seconds while a file is open. The kernel refuses the ways that are not
/// lazy, and the mount stays usable after them.
#[test]
fn a_mount_ends_while_a_file_is_open() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    // Concurrently, since each waits for as long as open files are given.
    std::thread::scope(|scope| {
        for (way, end) in LAZY_ENDINGS {
            let mount = environment.mount(BUCKET);
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
