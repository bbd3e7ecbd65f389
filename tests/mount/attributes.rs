//! Attributes as stat(2), statfs(2) and getxattr(2) return them (docs/semantics.md, "Attributes").

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use fake_daac::{Content, Failure, Fault, PutOptions};

use crate::harness::{BUCKET, PYTHON, TIMEOUT, TestEnvironment, errno, eventually, run_tool};

/// 2021-05-06T07:08:09Z
const MODIFIED: Duration = Duration::from_secs(1_620_284_889);

fn with_time() -> PutOptions {
    PutOptions { modified: Some(SystemTime::UNIX_EPOCH + MODIFIED), ..PutOptions::default() }
}

/// Files are 0644 and directories 0755, owned by the mounting user; size and mtime are those of the
/// object, `st_blocks` is ceil(size / 512), `st_nlink` is 1, and atime and ctime are the mtime.
/// They are the same from a listing and from a lookup.
#[test]
fn attributes_are_those_of_the_object() {
    let Some(environment) = TestEnvironment::start() else { return };
    let sizes = [0, 1, 511, 512, 513, 5_000_000_000_000];
    for size in sizes {
        environment.fake_daac.put_with(
            BUCKET,
            &format!("folder/{size}"),
            Content::synthetic(size),
            with_time(),
        );
    }
    let mount = environment.mount(BUCKET);
    let check = || {
        for size in sizes {
            let file = fs::symlink_metadata(mount.at(format!("folder/{size}"))).unwrap();
            assert!(file.is_file());
            assert_eq!(
                (file.permissions().mode() & 0o7777, file.uid(), file.gid(), file.nlink()),
                (0o644, 0, 0, 1)
            );
            assert_eq!((file.len(), file.blocks()), (size, size.div_ceil(512)));
            let seconds = MODIFIED.as_secs() as i64;
            assert_eq!(
                (file.mtime(), file.atime(), file.ctime(), file.mtime_nsec()),
                (seconds, seconds, seconds, 0)
            );
        }
    };
    check();
    assert_eq!(environment.fake_daac.stats().heads, sizes.len() as u64, "each was looked up");
    assert_eq!(fs::read_dir(mount.at("folder")).unwrap().count(), sizes.len());
    check();
    let folder = fs::metadata(mount.at("folder")).unwrap();
    assert_eq!(
        (folder.permissions().mode() & 0o7777, folder.uid(), folder.gid(), folder.nlink()),
        (0o755, 0, 0, 1)
    );
}

/// A directory's mtime is never the current time and never changes: rsync, make and caches compare
/// it.
#[test]
fn a_directory_mtime_is_never_now() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount = environment.mount_command(BUCKET).args(&["--metadata-ttl=1s"]).mount();
    let time = |path: &str| fs::metadata(mount.at(path)).unwrap().modified().unwrap();
    let [root, folder] = ["", "folder"].map(time);
    for time in [root, folder] {
        assert!(time + Duration::from_secs(24 * 3600) < SystemTime::now(), "{time:?}");
    }
    environment.fake_daac.put(BUCKET, "folder/two.txt", "two\n");
    eventually("the folder has two files", TIMEOUT, || {
        fs::read_dir(mount.at("folder")).unwrap().count() == 2
    });
    assert_eq!(["", "folder"].map(time), [root, folder]);
}

/// Inode numbers stay the same for the life of the mount: after a new listing, and after the kernel
/// has dropped its caches.
#[test]
fn inode_numbers_are_stable_and_unique() {
    let Some(environment) = TestEnvironment::start() else { return };
    let names = ["a/b/c", "a/b/d", "a/e", "f"];
    for name in names {
        environment.fake_daac.put(BUCKET, name, "x");
    }
    let mount = environment.mount_command(BUCKET).args(&["--metadata-ttl=1s"]).mount();
    let numbers = || {
        ["", "a", "a/b", "a/b/c", "a/b/d", "a/e", "f"]
            .map(|name| fs::metadata(mount.at(name)).unwrap().ino())
    };
    let first = numbers();
    let mut distinct = first.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), first.len());
    let listed: Vec<_> =
        fs::read_dir(mount.at("a/b")).unwrap().map(|entry| entry.unwrap()).collect();
    assert!(
        listed
            .iter()
            .all(|entry| std::os::unix::fs::DirEntryExt::ino(entry)
                == entry.metadata().unwrap().ino())
    );
    // Drops the kernel's caches, if this machine permits it.
    let _ = fs::write("/proc/sys/vm/drop_caches", "2");
    assert_eq!(numbers(), first);
    let asked = environment.fake_daac.stats().s3_requests();
    eventually("names are looked up again", TIMEOUT, || {
        assert_eq!(numbers(), first);
        environment.fake_daac.stats().s3_requests() > asked + 5
    });
    environment.fake_daac.put(BUCKET, "f", "y");
    eventually("another version is another inode", TIMEOUT, || numbers()[6] != first[6]);
}

/// The extended attributes `user.s3.url`, `user.s3.etag` and `user.s3.storage_class` describe the
/// object; unknown names are ENODATA.
#[test]
fn extended_attributes_describe_the_object() {
    let Some(environment) = TestEnvironment::start() else { return };
    let attributes = PutOptions {
        class: Some("INTELLIGENT_TIERING".into()),
        etag: Some("0123abcd".into()),
        modified: None,
    };
    environment.fake_daac.put_with(BUCKET, "folder/a b.nc", "x", attributes);
    let mount = environment.mount(BUCKET);
    let (file, folder) = (mount.at("folder/a b.nc"), mount.at("folder"));
    let read = |path: &Path, name: &str| {
        xattr::get(path, name).unwrap().map(|value| String::from_utf8(value).unwrap())
    };
    assert_eq!(read(&file, "user.s3.url").as_deref(), Some("s3://granules/folder/a b.nc"));
    assert_eq!(read(&file, "user.s3.etag").as_deref(), Some("0123abcd"));
    assert_eq!(read(&file, "user.s3.storage_class").as_deref(), Some("INTELLIGENT_TIERING"));
    assert_eq!(read(&folder, "user.s3.url").as_deref(), Some("s3://granules/folder/"));
    for (path, name) in
        [(&file, "user.other"), (&file, "trusted.overlay.opaque"), (&folder, "user.s3.etag")]
    {
        // `xattr::get` returns `None` for ENODATA and for no other errno.
        assert_eq!(read(path, name), None, "{name}");
    }
    let names: Vec<_> = xattr::list(&file).unwrap().collect();
    assert_eq!(names, ["user.s3.url", "user.s3.etag", "user.s3.storage_class"]);
    let dump = run_tool(&folder, "getfattr", ["-d", "a b.nc"]).must_succeed();
    assert!(String::from_utf8(dump).unwrap().contains("user.s3.etag=\"0123abcd\""));
}

/// Security labels and ACLs are EOPNOTSUPP instead of ENODATA: ls(1) then asks once for the whole
/// mount.
#[test]
fn labels_and_acls_are_not_supported() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount = environment.mount(BUCKET);
    for name in ["security.selinux", "security.capability", "system.posix_acl_access"] {
        for path in [mount.path(), mount.at("folder/one.txt")] {
            let error = xattr::get(&path, name).unwrap_err();
            assert_eq!(
                error.raw_os_error(),
                Some(libc::EOPNOTSUPP),
                "{name} of {}",
                path.display()
            );
        }
    }
}

/// statfs answers at once, even when S3 does not answer.
#[test]
fn statfs_does_not_wait_for_s3() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount = environment.mount(BUCKET);
    environment.fake_daac.add_fault(Fault::new(Failure::Stall));
    let began = Instant::now();
    let text = String::from_utf8(
        run_tool(&mount.path(), "stat", ["-f", "-c", "%T %l %s", "."]).must_succeed(),
    )
    .unwrap();
    assert_eq!(text, "fuseblk 1024 1048576\n".replace("fuseblk", text.split(' ').next().unwrap()));
    run_tool(Path::new("/"), "df", [mount.path()]).must_succeed();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// df(1) shows the mount among all others; there is a size to divide by, and nothing free.
#[test]
fn df_shows_the_mount_and_no_free_space() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount = environment.mount(BUCKET);
    for (option, line) in [("-h", "1.0P 1.0P 0 100%"), ("-i", "1073741824 1073741824 0 100%")] {
        let all = run_tool(Path::new("/"), "df", [option]).stdout_text();
        let path = mount.path();
        let lines: Vec<_> =
            all.lines().filter(|line| line.ends_with(path.to_str().unwrap())).collect();
        let [shown] = lines[..] else { panic!("{all}") };
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(shown.contains(line), "{shown}");
    }
    let usage = "import shutil, sys; used = shutil.disk_usage(sys.argv[1])\n\
        print(used.free, used.used * 100 // used.total)";
    let path = mount.path();
    let output = run_tool(Path::new("/"), PYTHON, ["-c", usage, path.to_str().unwrap()]);
    assert_eq!(output.must_succeed(), b"0 100\n");
    let output = run_tool(Path::new("/"), "cp", ["/etc/passwd", path.to_str().unwrap()]);
    assert!(output.stderr.contains("Read-only file system"), "{}", output.stderr);
}

/// In readdir, `.` is the directory and `..` the one above it; at the root it is the directory that
/// the mount point lies in, as `stat MOUNTPOINT/..` says.
#[test]
fn the_dots_have_the_numbers_of_their_directories() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    let bucket = "podaac-local-public";
    environment.fake_daac.put(bucket, "a/b/c/d", "x");
    for (source, lowest) in [
        (bucket, "a/b/c"),
        ("podaac-local-public/a", "b/c"),
        ("earthdata", "podaac-local-public/a/b/c"),
    ] {
        let mount = environment.mount_command_with_table(source).mount();
        let lowest = mount.at(lowest);
        assert!(lowest.is_dir(), "{}", lowest.display());
        let outside = mount.directory().home().to_owned();
        for directory in lowest.ancestors().take_while(|directory| **directory != outside) {
            let number = |path: &Path| fs::metadata(path).unwrap().ino();
            let expected = [number(directory), number(&directory.join(".."))];
            for _ in 0..2 {
                let open = fs::File::open(directory).unwrap();
                let listed = rustix::fs::Dir::read_from(open).unwrap().map(|entry| entry.unwrap());
                let dots: Vec<_> = listed.take(2).map(|entry| entry.ino()).collect();
                assert_eq!(dots, expected, "{source}: {}", directory.display());
            }
        }
    }
}

/// Objects of the storage classes GLACIER and DEEP_ARCHIVE are visible with mode 0000, and opening
/// them is EACCES with one log line (docs/semantics.md, "Reading").
#[test]
fn archived_objects_are_visible_and_not_readable_even_by_root() {
    let Some(environment) = TestEnvironment::start() else { return };
    for (class, mode, outcome) in [
        ("GLACIER", 0o000, libc::EACCES),
        ("DEEP_ARCHIVE", 0o000, libc::EACCES),
        ("GLACIER_IR", 0o644, 0),
        ("STANDARD_IA", 0o644, 0),
    ] {
        let key = format!("folder/{class}");
        environment.fake_daac.put_with(
            BUCKET,
            &key,
            "cold",
            PutOptions { class: Some(class.into()), ..PutOptions::default() },
        );
        let mount = environment.mount(BUCKET);
        for is_listed in [false, true] {
            assert!(
                !is_listed
                    || fs::read_dir(mount.at("folder"))
                        .unwrap()
                        .any(|entry| entry.unwrap().file_name() == class)
            );
            let metadata = fs::metadata(mount.at(&key)).unwrap();
            assert_eq!(
                (metadata.permissions().mode() & 0o777, metadata.len()),
                (mode, 4),
                "{class}"
            );
            assert_eq!(errno(fs::read(mount.at(&key))), outcome, "{class}");
        }
        let log = mount.log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
        assert_eq!(lines.len(), usize::from(mode == 0), "one line for both failed opens: {log}");
        assert!(lines.iter().all(|line| line.contains(&key) && line.contains("restored")), "{log}");
    }
    assert_eq!(environment.fake_daac.stats().gets, 2);
}
