//! Names on a mount: the name of each key, and which names do not exist (docs/semantics.md,
//! "Names").

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fake_daac::SyntheticObjects;

use crate::harness::{BUCKET, TIMEOUT, TestEnvironment, errno, eventually, run_tool};

fn names(folder: &Path) -> Vec<OsString> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

/// Keys with control characters, newlines, `%`, `+`, spaces and any UTF-8 are listed, looked up and
/// read under the same name.
#[test]
fn keys_with_unusual_characters_keep_their_names() {
    let Some(environment) = TestEnvironment::start() else { return };
    let odd = [
        "new\nline",
        "tab\t",
        "bell\x07",
        "\x7f",
        " lead",
        "trail ",
        "a b",
        "a+b",
        "100%",
        "%41",
        "a%2Fb",
        "?x=1&y",
        "#",
        "*",
        "\\",
        "'\"",
        "é",
        "e\u{301}",
        "海面",
        "🌊",
        "\u{2028}",
        "-rf",
        "~",
        ":",
        "<&>",
    ];
    for name in odd {
        environment.fake_daac.put(BUCKET, &format!("odd/{name}"), name);
        environment.fake_daac.put(BUCKET, &format!("odd/{name}.d/{name}"), name);
    }
    for is_listed_first in [false, true] {
        let mount = environment.mount("granules/odd");
        if is_listed_first {
            let expected: BTreeSet<OsString> = odd
                .iter()
                .flat_map(|name| [OsString::from(name), format!("{name}.d").into()])
                .collect();
            assert_eq!(names(&mount.path()).into_iter().collect::<BTreeSet<_>>(), expected);
        }
        for name in odd {
            assert_eq!(fs::read_to_string(mount.at(name)).unwrap(), name);
            assert_eq!(fs::read_to_string(mount.at(format!("{name}.d/{name}"))).unwrap(), name);
        }
    }
}

/// Names of up to 1,024 bytes, the kernel's limit, are served; a key of more than 1,024 bytes is
/// ENAMETOOLONG without a request.
#[test]
fn names_are_served_up_to_1024_bytes() {
    let Some(environment) = TestEnvironment::start() else { return };
    let lengths = [255, 256, 700, 1024];
    for length in lengths {
        environment.fake_daac.put(BUCKET, &"n".repeat(length), "long");
    }
    environment.fake_daac.put(BUCKET, &format!("{}/x", "d".repeat(1000)), "deep");
    for is_listed_first in [false, true] {
        let mount = environment.mount(BUCKET);
        if is_listed_first {
            assert_eq!(names(&mount.path()).len(), lengths.len() + 1);
        }
        for length in lengths {
            assert_eq!(fs::read(mount.at("n".repeat(length))).unwrap(), b"long", "{length}");
        }
        let deep = mount.at("d".repeat(1000));
        assert_eq!(fs::read(deep.join("x")).unwrap(), b"deep");
        let asked = environment.fake_daac.stats().s3_requests();
        assert_eq!(errno(fs::metadata(deep.join("y".repeat(24)))), libc::ENAMETOOLONG);
        assert_eq!(errno(fs::metadata(mount.at("n".repeat(1025)))), libc::ENAMETOOLONG);
        assert_eq!(environment.fake_daac.stats().s3_requests(), asked);
        assert_eq!(errno(fs::metadata(deep.join("y".repeat(23)))), libc::ENOENT);
    }
}

/// A name that is not UTF-8 is ENOENT, not EINVAL.
#[test]
fn names_that_are_not_utf8_do_not_exist() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount = environment.mount(BUCKET);
    let asked = environment.fake_daac.stats().s3_requests();
    for name in [&b"\xff"[..], b"folder\xc3", b"\xed\xa0\x80"] {
        assert_eq!(
            errno(fs::metadata(mount.at(OsStr::from_bytes(name)))),
            libc::ENOENT,
            "{name:?}"
        );
    }
    assert_eq!(environment.fake_daac.stats().s3_requests(), asked);
}

/// A key `p/` of zero bytes makes an empty directory; a directory exists when any key starts with
/// its prefix.
#[test]
fn empty_objects_with_a_slash_at_the_end_are_empty_directories() {
    let Some(environment) = TestEnvironment::start() else { return };
    for key in ["empty/", "full/", "full/a", "deep/er/"] {
        environment.fake_daac.put(BUCKET, key, "");
    }
    let mount = environment.mount(BUCKET);
    for (folder, expected) in
        [("empty", &[][..]), ("full", &["a"]), ("deep", &["er"]), ("deep/er", &[])]
    {
        assert!(fs::metadata(mount.at(folder)).unwrap().is_dir(), "{folder}");
        assert_eq!(names(&mount.at(folder)), expected, "{folder}");
    }
    assert_eq!(names(&mount.path()), ["deep", "empty", "full"]);
    assert_eq!(errno(fs::metadata(mount.at("emp"))), libc::ENOENT);
    assert_eq!(errno(fs::metadata(mount.at("full/a/b"))), libc::ENOTDIR);
}

/// When `blue` and `blue/x` both exist, the directory has the plain name and the object another
/// one; so do keys that are no valid path.
#[test]
fn every_object_has_exactly_one_name() {
    let Some(environment) = TestEnvironment::start() else { return };
    for key in ["blue", "blue/x", "blue-x", "a//b", "a/./c", "a/../d", "/lead", "full/"] {
        environment.fake_daac.put(BUCKET, key, key);
    }
    let mount = environment.mount(BUCKET);
    assert!(fs::metadata(mount.at("blue")).unwrap().is_dir());
    let found =
        run_tool(&mount.path(), "bash", ["-c", "find . -type f -exec cat {} \\; -exec echo \\;"])
            .must_succeed();
    let found = String::from_utf8(found).unwrap();
    let mut found: Vec<&str> = found.lines().collect();
    found.sort_unstable();
    assert_eq!(found, ["/lead", "a/../d", "a/./c", "a//b", "blue", "blue-x", "blue/x", "full/"]);
    let statistics =
        String::from_utf8(xattr::get(mount.path(), "user.granulefs.statistics").unwrap().unwrap())
            .unwrap();
    assert!(statistics.contains("names.shadowed 1\n"), "{statistics}");
}

const SEEK: &str = "
import ctypes, sys
c = ctypes.CDLL(None, use_errno=True)
class Entry(ctypes.Structure):
    _fields_ = [('ino', ctypes.c_uint64), ('off', ctypes.c_int64), ('reclen', ctypes.c_ushort), \
    ('type', ctypes.c_ubyte), ('name', ctypes.c_char * 1025)]
c.opendir.restype = ctypes.c_void_p
c.readdir.restype = ctypes.POINTER(Entry)
c.readdir.argtypes = c.rewinddir.argtypes = c.telldir.argtypes = [ctypes.c_void_p]
c.telldir.restype = ctypes.c_long
c.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
d = c.opendir(b'.')
def rest():
    found = []
    while True:
        at, entry = c.telldir(d), c.readdir(d)
        if not entry:
            return found
        found.append((at, entry.contents.name))
whole = rest()
for index in [0, 1, 2, 3, 999, 1000, 1001, len(whole) - 1, 1234]:
    c.seekdir(d, whole[index][0])
    assert rest() == whole[index:], index
c.rewinddir(d)
assert rest() == whole
print(*[name.decode() for _, name in whole if name not in (b'.', b'..')], sep='\\n')
";

/// readdir gives names in byte order, and telldir, seekdir and rewinddir work, over several pages.
#[test]
fn directories_are_in_byte_order_and_seekable() {
    let Some(environment) = TestEnvironment::start() else { return };
    environment
        .fake_daac
        .put_synthetic(BUCKET, &SyntheticObjects { pattern: "{2500}.nc".into(), size: 1 })
        .unwrap();
    for key in ["1000", "1000/x", "1000-a", "Z", "z", "é", "~"] {
        environment.fake_daac.put(BUCKET, key, "x");
    }
    let mount = environment.mount(BUCKET);
    let listed =
        String::from_utf8(run_tool(&mount.path(), "python3", ["-c", SEEK]).must_succeed()).unwrap();
    let listed: Vec<&str> = listed.lines().collect();
    assert_eq!(listed.len(), 2500 + 7);
    assert!(listed.is_sorted_by(|a, b| a < b), "not in byte order, or a name twice");
}

/// A directory that changes while it is read shows each unchanged name exactly once.
#[test]
fn a_directory_that_changes_while_it_is_read_shows_unchanged_names_once() {
    let Some(environment) = TestEnvironment::start() else { return };
    environment
        .fake_daac
        .put_synthetic(BUCKET, &SyntheticObjects { pattern: "k{3000}".into(), size: 1 })
        .unwrap();
    let mount = environment.mount_command(BUCKET).args(&["--metadata-ttl=1s"]).mount();
    let mut reader = fs::read_dir(mount.path()).unwrap();
    let mut seen: Vec<_> =
        reader.by_ref().take(700).map(|entry| entry.unwrap().file_name()).collect();
    for number in (0..3000).step_by(10) {
        environment.fake_daac.delete(BUCKET, &format!("k{number:04}"));
        environment.fake_daac.put(BUCKET, &format!("k{number:04}-new"), "x");
    }
    // Meanwhile another reader sees the new state.
    eventually("another reader sees the change", TIMEOUT, || {
        names(&mount.path()).contains(&OsString::from("k0000-new"))
    });
    seen.extend(reader.map(|entry| entry.unwrap().file_name()));
    let unchanged: Vec<OsString> = (0..3000)
        .filter(|number| number % 10 != 0)
        .map(|number| format!("k{number:04}").into())
        .collect();
    let is_unchanged = |name: &OsString| unchanged.binary_search(name).is_ok();
    assert_eq!(seen.into_iter().filter(is_unchanged).collect::<Vec<_>>(), unchanged);
}
