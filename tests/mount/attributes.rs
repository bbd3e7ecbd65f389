//! semantics.md, "Attributes": what stat(2), statfs(2) and getxattr(2) say.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use fake_daac::{Attributes, Content, Failure, Fault};

use crate::harness::{BUCKET, PATIENCE, Site, errno, eventually, tool};

/// 2021-05-06T07:08:09Z
const MODIFIED: Duration = Duration::from_secs(1_620_284_889);

fn dated() -> Attributes {
    Attributes { modified: Some(SystemTime::UNIX_EPOCH + MODIFIED), ..Attributes::default() }
}

/// "Files 0444, directories 0555, owned by the mounting user"; size and mtime from the listing,
/// "`st_blocks` = ceil(size/512); `st_nlink` 1; atime = ctime = mtime". The same whether a listing
/// said it or a lookup.
#[test]
fn attributes_are_those_of_the_object() {
    let Some(site) = Site::start() else { return };
    let sizes = [0, 1, 511, 512, 513, 5_000_000_000_000];
    for size in sizes {
        site.archive.put_with(BUCKET, &format!("folder/{size}"), Content::synthetic(size), dated());
    }
    let mount = site.mount(BUCKET);
    let check = || {
        for size in sizes {
            let file = fs::symlink_metadata(mount.at(format!("folder/{size}"))).unwrap();
            assert!(file.is_file());
            assert_eq!(
                (file.permissions().mode() & 0o7777, file.uid(), file.gid(), file.nlink()),
                (0o444, 0, 0, 1)
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
    assert_eq!(site.archive.stats().heads, sizes.len() as u64, "each was looked up");
    assert_eq!(fs::read_dir(mount.at("folder")).unwrap().count(), sizes.len());
    check();
    let folder = fs::metadata(mount.at("folder")).unwrap();
    assert_eq!(
        (folder.permissions().mode() & 0o7777, folder.uid(), folder.gid(), folder.nlink()),
        (0o555, 0, 0, 1)
    );
}

/// "A directory's mtime never says "now"", and never changes: rsync, make and caches compare it.
#[test]
fn a_directory_mtime_is_never_now() {
    let Some(site) = Site::with_one_object() else { return };
    let mount = site.plan(BUCKET).args(&["--metadata-ttl=1s"]).mount();
    let time = |path: &str| fs::metadata(mount.at(path)).unwrap().modified().unwrap();
    let [root, folder] = ["", "folder"].map(time);
    for time in [root, folder] {
        assert!(time + Duration::from_secs(24 * 3600) < SystemTime::now(), "{time:?}");
    }
    site.archive.put(BUCKET, "folder/two.txt", "two\n");
    eventually("the folder has two files", PATIENCE, || {
        fs::read_dir(mount.at("folder")).unwrap().count() == 2
    });
    assert_eq!(["", "folder"].map(time), [root, folder]);
}

/// "Inode numbers are stable while the mount lives": after the listing was asked for again, and
/// after the kernel forgot.
#[test]
fn inode_numbers_are_stable_and_unique() {
    let Some(site) = Site::start() else { return };
    let names = ["a/b/c", "a/b/d", "a/e", "f"];
    for name in names {
        site.archive.put(BUCKET, name, "x");
    }
    let mount = site.plan(BUCKET).args(&["--metadata-ttl=1s"]).mount();
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
    // Where this machine lets us, the kernel forgets all it knows.
    let _ = fs::write("/proc/sys/vm/drop_caches", "2");
    assert_eq!(numbers(), first);
    let asked = site.archive.stats().s3_requests();
    eventually("names are asked for again", PATIENCE, || {
        assert_eq!(numbers(), first);
        site.archive.stats().s3_requests() > asked + 5
    });
    site.archive.put(BUCKET, "f", "y");
    eventually("another version is another inode", PATIENCE, || numbers()[6] != first[6]);
}

/// "xattrs name the source: `user.s3.url`, `user.s3.etag`, `user.s3.storage_class`. Unknown names:
/// ENODATA."
#[test]
fn extended_attributes_name_the_source() {
    let Some(site) = Site::start() else { return };
    let attributes = Attributes {
        class: Some("INTELLIGENT_TIERING".into()),
        etag: Some("0123abcd".into()),
        modified: None,
    };
    site.archive.put_with(BUCKET, "folder/a b.nc", "x", attributes);
    let mount = site.mount(BUCKET);
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
        // This crate's `None` is ENODATA, and no other errno.
        assert_eq!(read(path, name), None, "{name}");
    }
    let names: Vec<_> = xattr::list(&file).unwrap().collect();
    assert_eq!(names, ["user.s3.url", "user.s3.etag", "user.s3.storage_class"]);
    let dump = tool(&folder, "getfattr", ["-d", "a b.nc"]).success();
    assert!(String::from_utf8(dump).unwrap().contains("user.s3.etag=\"0123abcd\""));
}

/// There are no labels and no ACLs: said in the way that ls(1) takes for an answer for the whole
/// mount, once.
#[test]
fn labels_and_acls_are_not_supported_rather_than_absent() {
    let Some(site) = Site::with_one_object() else { return };
    let mount = site.mount(BUCKET);
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

/// "statfs answers at once", also when S3 does not.
#[test]
fn statfs_needs_no_answer_from_s3() {
    let Some(site) = Site::with_one_object() else { return };
    let mount = site.mount(BUCKET);
    site.archive.fault(Fault::new(Failure::Stall));
    let began = Instant::now();
    let text =
        String::from_utf8(tool(&mount.path(), "stat", ["-f", "-c", "%T %l %s", "."]).success())
            .unwrap();
    assert_eq!(text, "fuseblk 1024 4096\n".replace("fuseblk", text.split(' ').next().unwrap()));
    tool(Path::new("/"), "df", [mount.path()]).success();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// "Archived storage classes (GLACIER, DEEP_ARCHIVE): visible, mode 0000, EACCES on open, one clear
/// log line" (semantics.md, "Reading").
#[test]
fn archived_objects_are_visible_and_closed_even_to_root() {
    let Some(site) = Site::start() else { return };
    for (class, mode, outcome) in [
        ("GLACIER", 0o000, libc::EACCES),
        ("DEEP_ARCHIVE", 0o000, libc::EACCES),
        ("GLACIER_IR", 0o444, 0),
        ("STANDARD_IA", 0o444, 0),
    ] {
        let key = format!("folder/{class}");
        site.archive.put_with(
            BUCKET,
            &key,
            "cold",
            Attributes { class: Some(class.into()), ..Attributes::default() },
        );
        let mount = site.mount(BUCKET);
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
        assert_eq!(lines.len(), usize::from(mode == 0), "one for both refused opens: {log}");
        assert!(lines.iter().all(|line| line.contains(&key) && line.contains("restored")), "{log}");
    }
    assert_eq!(site.archive.stats().gets, 2);
}
