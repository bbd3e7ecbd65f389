//! Every mutation is EROFS and sends no request to S3 (docs/semantics.md, "Writing").

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use crate::harness::{BUCKET, PYTHON, TestEnvironment, as_nobody, errno};

/// The name of a mutation and its function, which gets an existing file, a new path and an existing
/// directory.
type Mutation = (&'static str, fn(&Path, &Path, &Path) -> io::Result<()>);

/// Mutates by a tool where the standard library has no call, and returns EROFS if the tool's
/// message says so.
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

#[test]
fn every_mutation_is_erofs() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount = environment.mount(BUCKET);
    for (name, mutate) in MUTATIONS {
        let outcome =
            mutate(&mount.at("folder/one.txt"), &mount.at("folder/new"), &mount.at("folder"));
        assert_eq!(errno(outcome), libc::EROFS, "{name}");
    }
    assert_eq!(errno(xattr::remove(mount.at("folder/one.txt"), "user.s3.etag")), libc::EROFS);
    assert_eq!(fs::read(mount.at("folder/one.txt")).unwrap(), b"one\n");
    let strange: Vec<_> = environment
        .fake_daac
        .log()
        .into_iter()
        .filter(|request| !matches!(request.method.as_str(), "GET" | "HEAD"))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert_eq!(
        (environment.fake_daac.stats().forbidden, environment.fake_daac.stats().probes),
        (0, 0)
    );
}

/// The same as an ordinary user who has write permission: the mount is his own, or root's with
/// modes that let everybody write.
const ATTEMPTS: &str = r#"
import errno, os, sys
old, new, folder = (sys.argv[1] + name for name in ("/folder/one.txt", "/folder/new", "/folder"))
open_flags = [os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_RDWR | os.O_TRUNC]
attempts = [lambda flags=flags: os.open(old, flags) for flags in open_flags] + [
    lambda: os.open(new, os.O_CREAT | os.O_WRONLY),
    lambda: os.mkdir(new), lambda: os.unlink(old), lambda: os.rmdir(folder),
    lambda: os.rename(old, new), lambda: os.rename(folder, new),
    lambda: os.link(old, new), lambda: os.symlink(old, new), lambda: os.mkfifo(new),
    lambda: os.chmod(old, 0o600), lambda: os.chmod(folder, 0o700),
    lambda: os.chown(old, os.getuid(), os.getgid()), lambda: os.utime(old),
    lambda: os.truncate(old, 0), lambda: os.setxattr(old, "user.note", b"x"),
    lambda: os.removexattr(old, "user.s3.etag"),
]
for number, attempt in enumerate(attempts):
    try:
        attempt()
        print(number, "succeeded")
    except OSError as error:
        if error.errno != errno.EROFS:
            print(number, error)
print(os.access(old, os.W_OK), os.access(folder, os.W_OK))
"#;

#[test]
fn every_mutation_is_erofs_for_users_with_write_permission() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let Some(own) = environment.mount_command_of_nobody(BUCKET) else { return };
    let open = ["--allow-other", "--file-mode=0666", "--dir-mode=0777"];
    for mount in [own.mount(), environment.mount_command(BUCKET).args(&open).mount()] {
        let path = mount.path();
        let output = as_nobody(&[PYTHON, "-c", ATTEMPTS, path.to_str().unwrap()]);
        assert_eq!((output.stdout_text().as_str(), output.stderr.as_str()), ("False False\n", ""));
    }
    assert_eq!(environment.fake_daac.stats().forbidden, 0);
}
