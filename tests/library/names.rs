//! Names of keys (docs/semantics.md, "Names").

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use granulefs::error::Error;
use granulefs::inodes::ROOT;

use crate::environment::{TestEnvironment, in_time};
use crate::path_filesystem::PathFilesystem;

const OBJECT: &str = ".granulefs-object";
const DIRECTORY: &str = ".granulefs-directory";

/// Returns the path and the content of every file below `path`.
async fn walk(filesystem: &PathFilesystem, path: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let below = if path.is_empty() { String::new() } else { format!("{path}/") };
        for name in in_time(filesystem.names(&path)).await.unwrap() {
            match name.strip_suffix('/') {
                Some(directory) => open.push(format!("{below}{directory}")),
                None => {
                    let path = format!("{below}{name}");
                    let bytes = in_time(filesystem.bytes(&path)).await.unwrap();
                    files.push((path, String::from_utf8(bytes).unwrap()));
                }
            }
        }
    }
    files.sort();
    files
}

/// Returns the number `name` of the statistics.
fn statistic(filesystem: &PathFilesystem, name: &str) -> u64 {
    let statistics = filesystem.xattr(ROOT, OsStr::new("user.granulefs.statistics")).unwrap();
    let line = statistics.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap();
    line.parse().unwrap()
}

/// Keys that cannot be paths (an empty, `.` or `..` component, a NUL, a leading `/`) have escaped
/// names, which hide no other name. Keys with control characters, newlines, `%`, `+`, spaces and
/// any UTF-8 keep their names.
#[tokio::test]
async fn every_key_has_one_name_under_which_it_is_read() {
    let rows = [
        ("plain", "plain".to_owned()),
        ("d/.", format!("d/.{OBJECT}")),
        ("d/..", format!("d/..{OBJECT}")),
        ("d/./x", format!("d/.{DIRECTORY}/x")),
        ("d/../x", format!("d/..{DIRECTORY}/x")),
        ("d//x", format!("d/{DIRECTORY}/x")),
        ("d//", format!("d/{DIRECTORY}/{OBJECT}")),
        ("e/", format!("e/{OBJECT}")),
        ("e/f", "e/f".to_owned()),
        ("/lead", format!("{DIRECTORY}/lead")),
        ("//", format!("{DIRECTORY}/{DIRECTORY}/{OBJECT}")),
        ("nul\0l", format!("nul%00l{OBJECT}")),
        ("nul\0/x", format!("nul%00{DIRECTORY}/x")),
        ("100%", "100%".to_owned()),
        ("100%\0", format!("100%25%00{OBJECT}")),
        ("%00", "%00".to_owned()),
        ("a%2Fb", "a%2Fb".to_owned()),
        ("a+b c", "a+b c".to_owned()),
        ("line\nbreak\ttab\u{1}\u{7f}", "line\nbreak\ttab\u{1}\u{7f}".to_owned()),
        ("\u{e9}t\u{e9}/\u{1f6f0} \u{202e}x", "\u{e9}t\u{e9}/\u{1f6f0} \u{202e}x".to_owned()),
        ("cafe\u{301}", "cafe\u{301}".to_owned()),
        ("&<>\"'?#;=", "&<>\"'?#;=".to_owned()),
        ("back\\slash*~", "back\\slash*~".to_owned()),
        ("x.granulefs-object", format!("x.granulefs-object{OBJECT}")),
        ("x.granulefs-directory/y", format!("x.granulefs-directory{DIRECTORY}/y")),
        (".granulefs-object", format!(".granulefs-object{OBJECT}")),
        ("blue", format!("blue{OBJECT}")),
        ("blue/x", "blue/x".to_owned()),
    ];
    let mut expected: Vec<(String, String)> =
        rows.iter().map(|(key, path)| (path.clone(), (*key).to_owned())).collect();
    expected.sort();
    for (space_as_percent, slash_as_percent) in [(false, false), (true, true)] {
        let environment =
            TestEnvironment::with_objects(&rows.iter().map(|(key, _)| *key).collect::<Vec<_>>());
        environment.fake_daac.set(|knobs| {
            knobs.space_as_percent = space_as_percent;
            knobs.slash_as_percent = slash_as_percent;
        });
        assert_eq!(walk(&environment.filesystem(), "").await, expected);
        // Without a listing, each name is looked up by itself.
        for (path, key) in &expected {
            let filesystem = environment.filesystem();
            assert_eq!(
                in_time(filesystem.bytes(path)).await.unwrap_or_else(|e| panic!("{path:?}: {e}")),
                key.as_bytes(),
                "{path:?}"
            );
        }
    }
}

/// When `blue` and `blue/x` both exist, the directory has the plain name, and the shadowed object
/// has another name and is counted once.
#[tokio::test]
async fn a_shadowed_object_has_another_name_and_is_counted_once() {
    let environment = TestEnvironment::with_objects(&["blue", "blue/x", "blue-a", "blue0", "red"]);
    for page_size in 1..=6 {
        environment.fake_daac.set(|knobs| knobs.page_size = page_size);
        let filesystem = environment.filesystem();
        for _ in 0..3 {
            let names = in_time(filesystem.names("")).await.unwrap();
            assert_eq!(
                names,
                ["blue/", "blue-a", "blue.granulefs-object", "blue0", "red"],
                "pages of {page_size}"
            );
        }
        assert_eq!(statistic(&filesystem, "names.shadowed"), 1);
        assert_eq!(in_time(filesystem.bytes("blue.granulefs-object")).await.unwrap(), b"blue");
        assert!(in_time(filesystem.find("blue")).await.unwrap().unwrap().1.is_directory);
    }
}

/// A key `p/` of zero bytes makes an empty directory; a directory exists when any key starts with
/// its prefix.
#[tokio::test]
async fn an_empty_object_with_a_slash_at_the_end_is_an_empty_directory() {
    let environment = TestEnvironment::with_objects(&["full/x"]);
    environment.put("empty/", "");
    environment.put("full/", "");
    let filesystem = environment.filesystem();
    assert_eq!(in_time(filesystem.names("")).await.unwrap(), ["empty/", "full/"]);
    assert_eq!(in_time(filesystem.names("empty")).await.unwrap(), [""; 0]);
    assert_eq!(in_time(filesystem.names("full")).await.unwrap(), ["x"]);
    for path in ["empty", "full"] {
        assert!(
            in_time(environment.filesystem().find(path)).await.unwrap().unwrap().1.is_directory,
            "{path}"
        );
    }
    assert_eq!(in_time(filesystem.find("ful")).await.unwrap(), None);
}

/// Escaped names that belong to no key do not exist.
#[tokio::test]
async fn an_escaped_name_without_a_key_does_not_exist() {
    let environment = TestEnvironment::with_objects(&["d/f", "g"]);
    for path in [
        OBJECT,
        DIRECTORY,
        "g.granulefs-directory",
        "d/.granulefs-object",
        "d/.granulefs-directory",
        "d/f%2.granulefs-object",
        "d.granulefs-object",
        "%.granulefs-object",
        "d/f/x",
    ] {
        let found = in_time(environment.filesystem().find(path)).await;
        assert!(matches!(found, Ok(None) | Err(Error::NotADirectory)), "{path}: {found:?}");
    }
}

/// A name that is not UTF-8 is ENOENT, not EINVAL, without a request.
#[tokio::test]
async fn a_name_that_is_not_utf8_does_not_exist() {
    let environment = TestEnvironment::with_objects(&["d/f"]);
    let filesystem = environment.filesystem();
    let found = in_time(filesystem.lookup(ROOT, OsStr::from_bytes(b"\xff\xfe"))).await.unwrap();
    assert_eq!(found.node, None);
    assert_eq!(environment.fake_daac.stats().s3_requests(), 0);
}

/// Names of up to 1,024 bytes are served; a key of more than 1,024 bytes is ENAMETOOLONG without a
/// request.
#[tokio::test]
async fn a_key_of_1024_bytes_is_served_and_a_longer_one_is_refused_without_a_request() {
    let whole = "n".repeat(1024);
    let below = format!("d/{}", "m".repeat(1022));
    let environment = TestEnvironment::with_objects(&[&whole, &below]);
    let filesystem = environment.filesystem();
    for key in [&whole, &below] {
        assert_eq!(in_time(filesystem.bytes(key)).await.unwrap(), key.as_bytes());
        assert_eq!(in_time(environment.filesystem().bytes(key)).await.unwrap(), key.as_bytes());
    }
    assert_eq!(in_time(filesystem.names("")).await.unwrap(), ["d/".to_owned(), whole.clone()]);
    let directory = in_time(filesystem.number("d")).await.unwrap();
    environment.fake_daac.reset_stats();
    for (parent, length) in [(ROOT, 1025), (directory, 1023)] {
        let found = in_time(filesystem.lookup(parent, OsStr::new(&"x".repeat(length)))).await;
        assert!(matches!(found, Err(Error::NameTooLong)), "{found:?}");
    }
    assert_eq!(environment.fake_daac.stats().s3_requests(), 0);
}

/// A key whose escaped name is too long for the kernel is counted.
#[tokio::test]
async fn a_key_without_a_name_is_counted_and_hides_no_other() {
    let environment = TestEnvironment::with_objects(&["plain", &format!("{}\0", "n".repeat(1020))]);
    let filesystem = environment.filesystem();
    for _ in 0..2 {
        assert_eq!(in_time(filesystem.names("")).await.unwrap(), ["plain"]);
        assert_eq!(statistic(&filesystem, "names.unshowable"), 1);
    }
}

/// readdir gives names in byte order and continues from any earlier position.
#[tokio::test]
async fn names_are_in_byte_order_and_every_position_is_seekable() {
    let mut keys: Vec<String> =
        (0..40).map(|n| format!("d/{n:x}{}", ["", "-", ".b/x", "/y", "\u{fc}"][n % 5])).collect();
    keys.extend(["d/Z".to_owned(), "d/~".to_owned(), "d/a b".to_owned()]);
    let environment =
        TestEnvironment::with_objects(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    environment.fake_daac.set(|knobs| knobs.page_size = 4);
    let filesystem = environment.filesystem();
    let all = in_time(filesystem.list("d")).await.unwrap();
    assert!(all.is_sorted_by(|a, b| a.name < b.name && a.next_offset < b.next_offset));
    assert_eq!(all.len(), keys.len());
    let (handle, _) =
        filesystem.open_directory(in_time(filesystem.number("d")).await.unwrap()).await.unwrap();
    for _ in 0..100 {
        let at = fastrand::usize(0..all.len());
        let from = if at == 0 { 0 } else { all[at - 1].next_offset };
        let (listed, _) = in_time(filesystem.read_directory(handle, from)).await.unwrap();
        assert!(!listed.is_empty());
        for (one, expected) in listed.iter().zip(&all[at..]) {
            assert_eq!(
                (&one.name, &one.entry, one.next_offset),
                (&expected.name, &expected.entry, expected.next_offset)
            );
        }
    }
    let (behind, _) =
        in_time(filesystem.read_directory(handle, all[all.len() - 1].next_offset)).await.unwrap();
    assert!(behind.is_empty());
}

/// A directory that changes while it is read shows each unchanged name exactly once, and the same
/// names after a rewind; opening it again shows the current names.
#[tokio::test]
async fn a_directory_that_changes_while_it_is_read_shows_unchanged_names_once() {
    let stays: Vec<String> = (0..3000).map(|n| format!("d/{:06}", n * 10)).collect();
    let environment =
        TestEnvironment::with_objects(&stays.iter().map(String::as_str).collect::<Vec<_>>());
    environment.fake_daac.set(|knobs| knobs.page_size = 100);
    let filesystem = environment.filesystem_at("", Duration::ZERO);
    let number = in_time(filesystem.number("d")).await.unwrap();
    let (handle, _) = filesystem.open_directory(number).await.unwrap();
    let mut seen: Vec<String> = Vec::new();
    let mut from = 0;
    loop {
        let (listed, _) = in_time(filesystem.read_directory(handle, from)).await.unwrap();
        let Some(last) = listed.last() else { break };
        from = last.next_offset;
        seen.extend(listed.into_iter().map(|one| format!("d/{}", one.name)));
        for _ in 0..20 {
            let odd = format!("d/{:06}", fastrand::u32(0..3000) * 10 + fastrand::u32(1..10));
            if fastrand::bool() { environment.put(&odd, "new") } else { environment.delete(&odd) }
        }
    }
    assert!(seen.is_sorted_by(|a, b| a < b));
    seen.retain(|name| name.ends_with('0'));
    assert_eq!(seen, stays);
    environment.delete("d/000000");
    let first = async |handle| {
        in_time(filesystem.read_directory(handle, 0)).await.unwrap().0.remove(0).name
    };
    assert_eq!(&*first(handle).await, "000000");
    let (anew, is_same) = filesystem.open_directory(number).await.unwrap();
    assert!(!is_same);
    assert_ne!(&*first(anew).await, "000000");
}
