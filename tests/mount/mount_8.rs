//! Mounting by mount(8), from fstab(5) and by hand, with the options that people pass.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fake_daac::Collection;
use rustix::process::Signal;

use crate::harness::{
    BUCKET, CommandOutput, MountDirectory, PROGRAM, Process, TIMEOUT, TestEnvironment, run,
};

/// A link to the program where mount(8) looks for it, which is removed when this is dropped. The
/// lock keeps the tests of this file from each other's links.
struct Link {
    path: &'static str,
    _lock: MutexGuard<'static, ()>,
}

/// mount(8) calls this for the type `granulefs`.
const HELPER: &str = "/sbin/mount.granulefs";
/// mount.fuse3(8) calls this for the type `fuse.granulefs`, by its name: it searches the
/// directories of the system, whatever PATH is.
const INSTALLED: &str = "/usr/local/bin/granulefs";

impl Link {
    fn new(path: &'static str) -> Option<Self> {
        static LOCK: Mutex<()> = Mutex::new(());
        let lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        match symlink(PROGRAM, path) {
            Ok(()) => Some(Self { path, _lock: lock }),
            Err(error) => {
                eprintln!("skipped: {path} exists, or cannot be made: {error}");
                None
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path);
    }
}

/// With the mount helper installed, `mount -t granulefs SOURCE MOUNTPOINT` works as in fstab(5),
/// and `mount -f` does everything but mount.
#[test]
fn mount_8_finds_the_mount_helper() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let Some(_link) = Link::new(HELPER) else { return };
    let fake = environment.mount_command(BUCKET).by_mount_program("granulefs", "ro");
    let output = fake.run_with(&["-f"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    assert_eq!(fake.directory().mounted_types(), [""; 0]);
    let mount = environment
        .mount_command("s3://granules/folder")
        .by_mount_program("granulefs", "ro,allow_other,dir_mode=0500")
        .mount();
    assert_eq!(fs::read_to_string(mount.at("one.txt")).unwrap(), "one\n");
    assert_eq!(fs::metadata(mount.path()).unwrap().permissions().mode() & 0o777, 0o500);
    let line = &mount.directory().mountinfo_lines()[0];
    assert!(line.contains("allow_other"), "{line}");
}

/// What mount(8), systemd and people write into the options is taken, whether mount(8) or they
/// themselves call the program.
#[test]
fn options_for_others_are_taken() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let Some(_link) = Link::new(INSTALLED) else { return };
    // mount(8) would keep these to itself, or ask the system for them.
    let of_user = "noauto,auto,nofail,comment=of_the_lab,X-mount.mkdir,x-systemd.automount,\
        x-gvfs-show,_netdev,user,users,owner,group,context=system_u:object_r:tmp_t:s0,defaults,";
    let of_both = "nodiratime,diratime,relatime,strictatime,lazytime,nosuid,nodev,noatime,async,\
        silent,nonempty,auto_unmount,default_permissions,allow_other,allow_other,exec";
    let by_user = environment.mount_command(BUCKET).args(&["-o", &format!("{of_user}{of_both}")]);
    let by_type = environment
        .mount_command(BUCKET)
        .by_mount_program("fuse.granulefs", &format!("{of_user}{of_both}"));
    let plain = environment.mount_command(BUCKET).by_mount_program("fuse.granulefs", "defaults");
    for mount_command in [by_user, by_type, plain] {
        let mount = mount_command.mount();
        assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
        let line = &mount.directory().mountinfo_lines()[0];
        assert!(line.contains(" ro,nosuid,nodev,"), "{line}");
        assert_eq!(mount.directory().mounted_sources(), [BUCKET]);
    }
}

/// What cannot be done is refused before anything is mounted or asked.
#[test]
fn a_writable_mount_and_a_remount_are_refused_in_words() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    for (option, words) in [
        ("rw", "a granulefs mount is read-only, and cannot be mounted rw"),
        ("remount,ro", "unmount it, and mount it again"),
    ] {
        let mount_command = environment.mount_command(BUCKET).args(&["-o", option]);
        let output = mount_command.run();
        assert_eq!(output.code, Some(2));
        assert!(output.stderr.contains(words), "{}", output.stderr);
        assert_eq!(mount_command.directory().mounted_types(), [""; 0]);
    }
    let mount = environment.mount(BUCKET);
    let path = mount.path();
    let remount = ["-o", "remount,allow_other"].map(AsRef::as_ref);
    let output = mount_8(&environment, &[&remount[..], &[path.as_ref()]].concat());
    assert_ne!(output.code, Some(0), "{}", output.stderr);
    assert_eq!(mount.directory().mounted_types(), ["fuse.granulefs"]);
    assert_eq!(environment.fake_daac.stats().credentials, 1);
}

/// Runs mount(8) with the variables of the fake DAAC.
fn mount_8(environment: &TestEnvironment, arguments: &[&std::ffi::OsStr]) -> CommandOutput {
    let mut command = Command::new("mount");
    environment.set_variables(&mut command);
    run(command.args(arguments))
}

/// A line of fstab(5) is mounted by `mount -a`, found mounted by the second `mount -a`, and
/// unmounted by umount(8), in whatever form the source is written, and with both types.
#[test]
fn a_second_mount_of_fstab_finds_the_first() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment.fake_daac.publish(Collection::new("MUR", "4.1", BUCKET, "folder/"));
    let key = "a, b/c,d/x.nc";
    environment.fake_daac.put(BUCKET, key, "x");
    let link = environment.fake_daac.https_link(BUCKET, key);
    let options = format!(
        "_netdev,nofail,allow_other,buckets_file={},cmr_host={},log_file=/dev/null",
        environment.buckets_file_path(),
        environment.fake_daac.cmr_host()
    );
    let sources = [
        ("granules", "folder/one.txt"),
        ("granules/", "folder/one.txt"),
        ("s3://granules", "folder/one.txt"),
        ("s3://granules/folder", "one.txt"),
        ("s3://granules/folder/", "one.txt"),
        ("granules/folder", "one.txt"),
        ("granules/folder/", "one.txt"),
        ("PODAAC", "folder/one.txt"),
        ("earthdata", "folder/one.txt"),
        ("granules/a, b/c,d/", "x.nc"),
        ("s3://granules/a, b/c,d/x.nc", "x.nc"),
        (&*link, "x.nc"),
        ("collection:MUR", "one.txt"),
        ("collection:MUR@4.1", "one.txt"),
    ];
    let by_helper = sources.map(|source| (HELPER, "granulefs", source));
    let by_type = sources.map(|source| (INSTALLED, "fuse.granulefs", source));
    for (path, filesystem_type, (source, name)) in by_helper.into_iter().chain(by_type) {
        let Some(_link) = Link::new(path) else { return };
        let directory = MountDirectory::new();
        let mountpoint = directory.mountpoint();
        let fstab = directory.home().join("fstab");
        let shown = source.replace(' ', "\\040");
        let line = format!("{shown} {} {filesystem_type} {options} 0 0\n", mountpoint.display());
        fs::write(&fstab, line).unwrap();
        for _ in 0..2 {
            let output = mount_8(&environment, &["-T".as_ref(), fstab.as_ref(), "-a".as_ref()]);
            assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{source}");
            assert_eq!(directory.mounted_types(), ["fuse.granulefs"], "{source}");
        }
        assert_eq!(directory.mounted_sources(), [shown], "{source}");
        assert!(mountpoint.join(name).is_file(), "{source}");
        let servers = Process::serving(&mountpoint);
        run(Command::new("umount").arg(&mountpoint)).must_succeed();
        assert_eq!(directory.mounted_types(), [""; 0], "{source}");
        servers.iter().for_each(|server| server.must_end_within(TIMEOUT));
    }
}

/// An ordinary user's source is shown as it was given as well, commas and backslashes too, although
/// fusermount3 takes its options between commas.
#[test]
fn the_source_of_an_ordinary_user_may_hold_commas() {
    let Some(environment) = TestEnvironment::start() else { return };
    environment.fake_daac.put(BUCKET, "a,b\\c/user_id=0,x/one.txt", "one\n");
    let source = "granules/a,b\\c/user_id=0,x/";
    let Some(by_user) = environment.mount_command_of_nobody(source) else { return };
    for mount_command in [by_user, environment.mount_command(source)] {
        let mount = mount_command.mount();
        assert_eq!(mount.directory().mounted_sources(), ["granules/a,b\\134c/user_id=0,x/"]);
    }
}

/// Files that a mount hides are mentioned, unless the user says that they may be there.
#[test]
fn a_mount_point_that_is_not_empty_is_named() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    for (options, is_named) in
        [(&[][..], true), (&["--nonempty"], false), (&["-o", "ro,nonempty"], false)]
    {
        let directory = MountDirectory::new();
        let hidden = directory.mountpoint().join("hidden");
        fs::write(&hidden, "").unwrap();
        let mount_command = environment.mount_command_at(directory, BUCKET).args(options);
        let (mount, said) = mount_command.mount_with_warning();
        let path = mount.path();
        let note = format!(
            "granulefs: note: {} is not empty; its files are hidden while the mount is there\n",
            path.display()
        );
        assert_eq!(said, if is_named { &note } else { "" });
        assert!(!hidden.exists() && mount.at("folder/one.txt").exists());
        run(Command::new(PROGRAM).arg("unmount").arg(&path)).must_succeed();
        assert!(hidden.exists());
    }
}

/// Of mounts that begin at the same time on one directory one is made, and the others say so; also
/// where a killed mount has to be replaced first.
#[test]
fn mounts_at_the_same_time_end_as_one() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let killed = environment.mount(BUCKET);
    killed.server().send_signal(Signal::KILL);
    killed.server().must_end_within(TIMEOUT);
    for directory in [MountDirectory::new(), killed.into_directory()] {
        environment.fake_daac.set(|knobs| knobs.credentials_latency = TIMEOUT / 100);
        let mount_command = environment.mount_command_at(directory, BUCKET);
        let mut children: Vec<_> = (0..4).map(|_| mount_command.spawn_with("-v")).collect();
        let outcomes: Vec<_> = children.drain(..).map(|child| child.wait_with_output()).collect();
        let mut succeeded = 0;
        for output in outcomes {
            let output = output.unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            match output.status.code() {
                Some(0) => succeeded += 1,
                code => {
                    assert_eq!(code, Some(1), "{said}");
                    assert!(said.contains("is a granulefs mount already"), "{said}");
                }
            }
        }
        let directory = mount_command.directory();
        assert_eq!((succeeded, directory.mounted_types().len()), (1, 1));
        assert_eq!(Process::serving(&directory.mountpoint()).len(), 1);
        let file = directory.mountpoint().join("folder/one.txt");
        assert_eq!(fs::read_to_string(Path::new(&file)).unwrap(), "one\n");
    }
}
