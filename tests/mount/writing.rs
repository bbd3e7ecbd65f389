//! semantics.md, "Writing": every mutation is EROFS, and S3 hears nothing of it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use crate::harness::{BUCKET, Site, errno};

/// A way to change something: the first path exists as a file, the second is new, the third is a
/// directory that exists.
type Mutation = (&'static str, fn(&Path, &Path, &Path) -> io::Result<()>);

/// What the standard library has no call for; the tool's message has the errno in words.
fn by_tool(program: &str, path: &Path) -> io::Result<()> {
    let output = Command::new(program)
        .args((program == "truncate").then_some("-s1"))
        .arg(path)
        .env("LC_ALL", "C")
        .output()?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    if words.contains("Read-only file system") {
        Err(io::Error::from_raw_os_error(libc::EROFS))
    } else {
        Err(io::Error::other(words))
    }
}

const MUTATIONS: [Mutation; 18] = [
    ("create", |_, new, _| File::create(new).map(drop)),
    ("truncate at open", |old, _, _| File::create(old).map(drop)),
    ("open for writing", |old, _, _| OpenOptions::new().write(true).open(old).map(drop)),
    ("open for both", |old, _, _| OpenOptions::new().read(true).write(true).open(old).map(drop)),
    ("append", |old, _, _| OpenOptions::new().append(true).open(old).map(drop)),
    ("mkdir", |_, new, _| fs::create_dir(new)),
    ("unlink", |old, _, _| fs::remove_file(old)),
    ("rmdir", |_, _, folder| fs::remove_dir(folder)),
    ("rename", |old, new, _| fs::rename(old, new)),
    ("rename a directory", |_, new, folder| fs::rename(folder, new)),
    ("link", |old, new, _| fs::hard_link(old, new)),
    ("symlink", |old, new, _| symlink(old, new)),
    ("chmod", |old, _, _| fs::set_permissions(old, fs::Permissions::from_mode(0o644))),
    ("chown", |old, _, _| std::os::unix::fs::chown(old, Some(1), Some(1))),
    ("utimes", |old, _, _| File::open(old)?.set_modified(SystemTime::now())),
    ("setxattr", |old, _, _| xattr::set(old, "user.note", b"x")),
    ("mkfifo", |_, new, _| by_tool("mkfifo", new)),
    ("truncate", |old, _, _| by_tool("truncate", old)),
];

/// "Every mutation is EROFS", whatever is mutated.
#[test]
fn every_mutation_is_refused_as_read_only() {
    let Some(site) = Site::with_one_object() else { return };
    let mount = site.mount(BUCKET);
    for (name, mutate) in MUTATIONS {
        let outcome =
            mutate(&mount.at("folder/one.txt"), &mount.at("folder/new"), &mount.at("folder"));
        assert_eq!(errno(outcome), libc::EROFS, "{name}");
    }
    assert_eq!(errno(xattr::remove(mount.at("folder/one.txt"), "user.s3.etag")), libc::EROFS);
    assert_eq!(fs::read(mount.at("folder/one.txt")).unwrap(), b"one\n");
    let strange: Vec<_> = site
        .archive
        .log()
        .into_iter()
        .filter(|request| !matches!(request.method.as_str(), "GET" | "HEAD"))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert_eq!((site.archive.stats().forbidden, site.archive.stats().probes), (0, 0));
}
