//! Names: semantics.md, "Names".

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use granulefs::error::Error;
use granulefs::inodes::ROOT;

use crate::environment::{TestEnvironment, soon};
use crate::tree::Tree;

const OBJECT: &str = ".granulefs-object";
const DIRECTORY: &str = ".granulefs-directory";

/// Every file below `path`, by its whole path, with what is read there.
async fn walk(tree: &Tree, path: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let below = if path.is_empty() { String::new() } else { format!("{path}/") };
        for name in soon(tree.names(&path)).await.unwrap() {
            match name.strip_suffix('/') {
                Some(directory) => open.push(format!("{below}{directory}")),
                None => {
                    let path = format!("{below}{name}");
                    let bytes = soon(tree.bytes(&path)).await.unwrap();
                    files.push((path, String::from_utf8(bytes).unwrap()));
                }
            }
        }
    }
    files.sort();
    files
}

/// Number `name` of the statistics.
fn statistic(tree: &Tree, name: &str) -> u64 {
    let statistics = tree.xattr(ROOT, OsStr::new("user.granulefs.statistics")).unwrap();
    let line = statistics.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap();
    line.parse().unwrap()
}

/// "Keys with an empty, `.` or `..` component, a NUL, a leading `/`, ...: never shadow another
/// name, never vanish: reachable through the escape"; "keys with control characters, newlines, `%`,
/// `+`, spaces, any UTF-8 survive the round trip".
#[tokio::test]
async fn every_key_is_shown_once_and_read_under_its_name() {
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
    let mut right: Vec<(String, String)> =
        rows.iter().map(|(key, path)| (path.clone(), (*key).to_owned())).collect();
    right.sort();
    for (space_as_percent, slash_as_percent) in [(false, false), (true, true)] {
        let environment =
            TestEnvironment::holding(&rows.iter().map(|(key, _)| *key).collect::<Vec<_>>());
        environment.archive.set(|knobs| {
            knobs.space_as_percent = space_as_percent;
            knobs.slash_as_percent = slash_as_percent;
        });
        assert_eq!(walk(&environment.tree(), "").await, right);
        // The same without a listing that knows the answers.
        for (path, key) in &right {
            let tree = environment.tree();
            assert_eq!(
                soon(tree.bytes(path)).await.unwrap_or_else(|e| panic!("{path:?}: {e}")),
                key.as_bytes(),
                "{path:?}"
            );
        }
    }
}

/// "`blue` and `blue/x` both exist: the directory wins the plain name; the object stays reachable,
/// and is counted once".
#[tokio::test]
async fn a_shadowed_object_gives_way_and_is_counted_once() {
    let environment = TestEnvironment::holding(&["blue", "blue/x", "blue-a", "blue0", "red"]);
    for page_size in 1..=6 {
        environment.archive.set(|knobs| knobs.page_size = page_size);
        let tree = environment.tree();
        for _ in 0..3 {
            let names = soon(tree.names("")).await.unwrap();
            assert_eq!(
                names,
                ["blue/", "blue-a", "blue.granulefs-object", "blue0", "red"],
                "pages of {page_size}"
            );
        }
        assert_eq!(statistic(&tree, "names.shadowed"), 1);
        assert_eq!(soon(tree.bytes("blue.granulefs-object")).await.unwrap(), b"blue");
        assert!(soon(tree.find("blue")).await.unwrap().unwrap().1.is_directory);
    }
}

/// "`p/` markers of zero bytes make an empty directory"; a directory exists when any key starts
/// with it.
#[tokio::test]
async fn a_marker_makes_an_empty_directory_and_no_name_in_it() {
    let environment = TestEnvironment::holding(&["full/x"]);
    environment.put("empty/", "");
    environment.put("full/", "");
    let tree = environment.tree();
    assert_eq!(soon(tree.names("")).await.unwrap(), ["empty/", "full/"]);
    assert_eq!(soon(tree.names("empty")).await.unwrap(), [""; 0]);
    assert_eq!(soon(tree.names("full")).await.unwrap(), ["x"]);
    for path in ["empty", "full"] {
        assert!(
            soon(environment.tree().find(path)).await.unwrap().unwrap().1.is_directory,
            "{path}"
        );
    }
    assert_eq!(soon(tree.find("ful")).await.unwrap(), None);
}

/// Names that no listing shows do not exist, and hang nobody.
#[tokio::test]
async fn an_escape_of_nothing_does_not_exist() {
    let environment = TestEnvironment::holding(&["d/f", "g"]);
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
        let found = soon(environment.tree().find(path)).await;
        assert!(matches!(found, Ok(None) | Err(Error::NotADirectory)), "{path}: {found:?}");
    }
}

/// "A name that is not UTF-8 does not exist: ENOENT, not EINVAL."
#[tokio::test]
async fn a_name_that_is_not_utf8_does_not_exist() {
    let environment = TestEnvironment::holding(&["d/f"]);
    let tree = environment.tree();
    let found = soon(tree.lookup(ROOT, OsStr::from_bytes(b"\xff\xfe"))).await.unwrap();
    assert_eq!(found.node, None);
    assert_eq!(environment.archive.stats().s3_requests(), 0);
}

/// "Names to 1,024 bytes are served; a full key over 1,024 bytes is ENAMETOOLONG without a
/// request."
#[tokio::test]
async fn a_key_of_1024_bytes_is_served_and_a_longer_one_is_refused_without_a_request() {
    let whole = "n".repeat(1024);
    let below = format!("d/{}", "m".repeat(1022));
    let environment = TestEnvironment::holding(&[&whole, &below]);
    let tree = environment.tree();
    for key in [&whole, &below] {
        assert_eq!(soon(tree.bytes(key)).await.unwrap(), key.as_bytes());
        assert_eq!(soon(environment.tree().bytes(key)).await.unwrap(), key.as_bytes());
    }
    assert_eq!(soon(tree.names("")).await.unwrap(), ["d/".to_owned(), whole.clone()]);
    let directory = soon(tree.number("d")).await.unwrap();
    environment.archive.reset_stats();
    for (parent, length) in [(ROOT, 1025), (directory, 1023)] {
        let found = soon(tree.lookup(parent, OsStr::new(&"x".repeat(length)))).await;
        assert!(matches!(found, Err(Error::NameTooLong)), "{found:?}");
    }
    assert_eq!(environment.archive.stats().s3_requests(), 0);
}

/// Keys whose escaped name the kernel would not take are counted.
#[tokio::test]
async fn a_key_without_a_name_is_counted_and_hides_nothing() {
    let environment = TestEnvironment::holding(&["plain", &format!("{}\0", "n".repeat(1020))]);
    let tree = environment.tree();
    for _ in 0..2 {
        assert_eq!(soon(tree.names("")).await.unwrap(), ["plain"]);
        assert_eq!(statistic(&tree, "names.unshowable"), 1);
    }
}

/// "readdir is in byte order of names; telldir/seekdir work".
#[tokio::test]
async fn names_come_in_byte_order_and_any_position_can_be_gone_back_to() {
    let mut keys: Vec<String> =
        (0..40).map(|n| format!("d/{n:x}{}", ["", "-", ".b/x", "/y", "\u{fc}"][n % 5])).collect();
    keys.extend(["d/Z".to_owned(), "d/~".to_owned(), "d/a b".to_owned()]);
    let environment =
        TestEnvironment::holding(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    environment.archive.set(|knobs| knobs.page_size = 4);
    let tree = environment.tree();
    let all = soon(tree.list("d")).await.unwrap();
    assert!(all.is_sorted_by(|a, b| a.name < b.name && a.next_offset < b.next_offset));
    assert_eq!(all.len(), keys.len());
    let (handle, _) = tree.open_directory(soon(tree.number("d")).await.unwrap()).unwrap();
    for _ in 0..100 {
        let at = fastrand::usize(0..all.len());
        let from = if at == 0 { 0 } else { all[at - 1].next_offset };
        let (listed, _) = soon(tree.read_directory(handle, from)).await.unwrap();
        assert!(!listed.is_empty());
        for (one, right) in listed.iter().zip(&all[at..]) {
            assert_eq!(
                (&one.name, &one.entry, one.next_offset),
                (&right.name, &right.entry, right.next_offset)
            );
        }
    }
    let (behind, _) =
        soon(tree.read_directory(handle, all[all.len() - 1].next_offset)).await.unwrap();
    assert!(behind.is_empty());
}

/// "A directory read while it changes shows each unchanged name exactly once", and a rewind the
/// same again; who opens it anew sees what is there now.
#[tokio::test]
async fn a_directory_that_changes_while_it_is_read_shows_what_stays_exactly_once() {
    let stays: Vec<String> = (0..3000).map(|n| format!("d/{:06}", n * 10)).collect();
    let environment =
        TestEnvironment::holding(&stays.iter().map(String::as_str).collect::<Vec<_>>());
    environment.archive.set(|knobs| knobs.page_size = 100);
    let tree = environment.tree_at("", Duration::ZERO);
    let number = soon(tree.number("d")).await.unwrap();
    let (handle, _) = tree.open_directory(number).unwrap();
    let mut seen: Vec<String> = Vec::new();
    let mut from = 0;
    loop {
        let (listed, _) = soon(tree.read_directory(handle, from)).await.unwrap();
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
    let first = async |handle| soon(tree.read_directory(handle, 0)).await.unwrap().0.remove(0).name;
    assert_eq!(&*first(handle).await, "000000");
    let (anew, is_same) = tree.open_directory(number).unwrap();
    assert!(!is_same);
    assert_ne!(&*first(anew).await, "000000");
}
