//! Names against a reference model, which is a plain map of keys. A failure prints the seed with
//! which `TEST_SEED=... cargo test --test library model` repeats it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::time::Duration;

use fake_daac::{Failure, Fault, RequestKind};
use fastrand::Rng;
use granulefs::filesystem::DirectoryEntry;
use granulefs::inodes::ROOT;

use crate::environment::{TestEnvironment, in_time};
use crate::path_filesystem::PathFilesystem;

const OBJECT: &str = ".granulefs-object";
const DIRECTORY: &str = ".granulefs-directory";

/// The names of a directory: each with its key, or `None` for a directory.
pub(crate) type Model = BTreeMap<String, Option<String>>;

/// The seed of a test's random numbers, which is printed when the test fails.
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    pub(crate) fn new() -> Self {
        Self(
            std::env::var("TEST_SEED")
                .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap()),
        )
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("TEST_SEED={}", self.0);
        }
    }
}

/// Returns a random component of a key: words that shadow each other, dates, serial numbers, long
/// common prefixes, and unusual characters.
fn component(rng: &mut Rng) -> String {
    const WORDS: [&str; 6] = ["blue", "blue-a", "blue0", "blue.x", "blue!", "blu"];
    const ODD: [&str; 12] = [
        "",
        ".",
        "..",
        "a\0b",
        "100%",
        "line\nbreak",
        "+ +",
        "\u{1}\u{7f}",
        "\u{e9}\u{1f6f0}",
        "x.granulefs-object",
        ".hidden",
        "..x",
    ];
    match rng.u8(0..10) {
        0..4 => WORDS[rng.usize(0..WORDS.len())].to_owned(),
        4 | 5 => format!("2002{:02}{:02}", rng.u8(1..3), rng.u8(1..5)),
        6 => format!("MOD09GA.A2000055.h08v{:02}.061.{}", rng.u8(0..3), rng.u8(0..20)),
        7 => format!("{}{}", "n".repeat(60), rng.u8(0..30)),
        8 => rng.u8(0..40).to_string(),
        _ => ODD[rng.usize(0..ODD.len())].to_owned(),
    }
}

fn keys(rng: &mut Rng) -> Vec<String> {
    let count = rng.usize(0..120);
    let mut keys: Vec<String> = (0..count)
        .map(|_| {
            let depth = rng.usize(1..4);
            (0..depth).map(|_| component(rng)).collect::<Vec<_>>().join("/")
        })
        .filter(|key| !key.is_empty())
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

fn escaped(component: &str, suffix: &str) -> String {
    component.replace('%', "%25").replace('\0', "%00") + suffix
}

fn is_plain(component: &str) -> bool {
    !["", ".", ".."].contains(&component)
        && !component.contains('\0')
        && !component.ends_with(OBJECT)
        && !component.ends_with(DIRECTORY)
}

/// Returns the names that the directory `prefix` must have by the rules of docs/semantics.md.
pub(crate) fn model(keys: &[String], prefix: &str) -> Model {
    let mut names = Model::new();
    let below = || keys.iter().filter_map(|key| key.strip_prefix(prefix));
    for (component, _) in below().filter_map(|rest| rest.split_once('/')) {
        let name =
            if is_plain(component) { component.to_owned() } else { escaped(component, DIRECTORY) };
        names.insert(name, None);
    }
    for component in below().filter(|rest| !rest.contains('/')) {
        let is_free = is_plain(component) && !names.contains_key(component);
        let name = if is_free { component.to_owned() } else { escaped(component, OBJECT) };
        names.insert(name, Some(format!("{prefix}{component}")));
    }
    names
}

pub(crate) fn shown(listed: &DirectoryEntry) -> (String, Option<String>) {
    let key = match &listed.entry {
        granulefs::object::Entry::File(object) => Some(object.id.key.to_string()),
        granulefs::object::Entry::Directory(_) => None,
    };
    (listed.name.to_string(), key)
}

/// Checks one directory by reads from random positions and by single lookups, in a random order.
async fn check_directory(
    rng: &mut Rng,
    filesystem: &PathFilesystem,
    number: u64,
    expected: &Model,
) {
    let (handle, _) = filesystem.open_directory(number).await.unwrap();
    let mut seen: Vec<DirectoryEntry> = Vec::new();
    let mut is_done = false;
    for _ in 0..rng.usize(5..30) {
        match rng.u8(0..10) {
            // Continues, or restarts at an earlier position or at the start.
            0..6 => {
                let from = match rng.u8(0..6) {
                    0 => 0,
                    1 if !seen.is_empty() => rng.usize(0..seen.len()),
                    _ => seen.len(),
                };
                let position = if from == 0 { 0 } else { seen[from - 1].next_offset };
                let (more, _) = in_time(filesystem.read_directory(handle, position)).await.unwrap();
                is_done |= more.is_empty();
                for (at, one) in (from..).zip(more) {
                    match seen.get(at) {
                        Some(before) => {
                            assert_eq!(
                                (shown(before), before.next_offset),
                                (shown(&one), one.next_offset)
                            )
                        }
                        None => seen.push(one),
                    }
                }
            }
            6..8 => {
                if let Some((name, key)) = expected.iter().nth(rng.usize(0..=expected.len())) {
                    check_lookup(filesystem, number, name, Some(key)).await;
                }
            }
            _ => {
                let name = component(rng);
                // The kernel never looks up these names.
                if !["", ".", ".."].contains(&&*name) && !name.contains(['/', '\0']) {
                    check_lookup(filesystem, number, &name, expected.get(&name)).await;
                }
            }
        }
    }
    while !is_done {
        let position = seen.last().map_or(0, |last| last.next_offset);
        let (more, _) = in_time(filesystem.read_directory(handle, position)).await.unwrap();
        is_done = more.is_empty();
        seen.extend(more);
    }
    let all: Vec<_> = seen.iter().map(shown).collect();
    // The names of an empty component are out of order: S3 sorts them after those that start with a
    // byte below `/`.
    let ordered: Vec<_> = all
        .iter()
        .map(|(name, _)| name)
        .filter(|name| ![OBJECT, DIRECTORY].contains(&&***name))
        .collect();
    assert!(ordered.is_sorted_by(|a, b| a < b), "not in byte order: {ordered:?}");
    assert_eq!(all.len(), expected.len(), "{all:?}\nis not\n{expected:?}");
    assert_eq!(all.into_iter().collect::<Model>(), *expected);
    filesystem.release_directory(handle);
}

async fn check_lookup(
    filesystem: &PathFilesystem,
    parent: u64,
    name: &str,
    expected: Option<&Option<String>>,
) {
    let found = in_time(filesystem.lookup(parent, OsStr::new(name))).await.unwrap().node;
    match (found, expected) {
        (None, None) => {}
        (Some((number, attributes)), Some(key)) => {
            assert_eq!(attributes.is_directory, key.is_none(), "{name:?}");
            if let Some(key) = key {
                assert_eq!(
                    filesystem.xattr(number, "user.s3.url".as_ref()).unwrap(),
                    format!("s3://granules/{key}")
                );
            }
        }
        (found, expected) => panic!("{name:?} is {found:?}, should be {expected:?}"),
    }
}

/// Checks every directory below the root, in a random order.
async fn check_tree(rng: &mut Rng, filesystem: &PathFilesystem, keys: &[String]) {
    let mut open = vec![(ROOT, String::new())];
    while !open.is_empty() {
        let (number, prefix) = open.swap_remove(rng.usize(0..open.len()));
        let expected = model(keys, &prefix);
        check_directory(rng, filesystem, number, &expected).await;
        for (name, _) in expected.iter().filter(|(_, key)| key.is_none()) {
            let found =
                in_time(filesystem.lookup(number, OsStr::new(name))).await.unwrap().node.unwrap();
            let component = match name.strip_suffix(DIRECTORY) {
                Some(stem) => stem.replace("%00", "\0").replace("%25", "%"),
                None => name.clone(),
            };
            open.push((found.0, format!("{prefix}{component}/")));
        }
    }
}

fn fill_bucket(environment: &TestEnvironment, rng: &mut Rng) -> Vec<String> {
    let keys = keys(rng);
    for key in &keys {
        environment.put(key, "x");
    }
    environment.fake_daac.set(|knobs| {
        knobs.page_size = [1, 2, 3, 5, 8, 1000][rng.usize(0..6)];
        knobs.short_pages = rng.bool();
    });
    keys
}

/// With random keys, pages of any size and requests in any order, the names, their order and their
/// types are those of the model.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_equal_the_model_for_requests_in_any_order() {
    let seed = Seed::new();
    let mut rng = Rng::with_seed(seed.0);
    for _ in 0..10 {
        let environment = TestEnvironment::new();
        let keys = fill_bucket(&environment, &mut rng);
        let ttl = if rng.bool() { Duration::from_secs(3600) } else { Duration::ZERO };
        check_tree(&mut rng, &environment.filesystem_at("", ttl), &keys).await;
    }
}

/// The names equal the model while S3 answers with 503s, resets and truncated pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_equal_the_model_through_faults() {
    let seed = Seed::new();
    let mut rng = Rng::with_seed(seed.0);
    for _ in 0..6 {
        let environment = TestEnvironment::new();
        let keys = fill_bucket(&environment, &mut rng);
        environment.fake_daac.set(|knobs| knobs.page_size = knobs.page_size.max(5));
        for failure in
            [Failure::SlowDown, Failure::Reset, Failure::Truncate(300), Failure::ResetBody(600)]
        {
            for kind in [RequestKind::List, RequestKind::Head] {
                environment.fake_daac.add_fault(Fault::new(failure).on(kind).probability(0.04));
            }
        }
        check_tree(&mut rng, &environment.filesystem(), &keys).await;
    }
}

/// While objects are put and deleted between the pages, each name that stays is shown exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unchanged_names_are_shown_once_while_others_change() {
    let seed = Seed::new();
    let mut rng = Rng::with_seed(seed.0);
    for _ in 0..15 {
        let environment = TestEnvironment::new();
        // These names shadow none of those that change.
        let stays: Vec<String> = (0..rng.usize(1..60))
            .map(|n| format!("s{:03}{}", n * 3, ["", "-x", "/y"][n % 3]))
            .collect();
        for key in &stays {
            environment.put(key, "x");
        }
        environment.fake_daac.set(|knobs| knobs.page_size = rng.usize(1..6));
        let filesystem = environment.filesystem_at("", Duration::ZERO);
        let (handle, _) = filesystem.open_directory(ROOT).await.unwrap();
        let mut all: Vec<String> = Vec::new();
        let mut from = 0;
        loop {
            let (listed, _) = in_time(filesystem.read_directory(handle, from)).await.unwrap();
            let Some(last) = listed.last() else { break };
            from = last.next_offset;
            all.extend(listed.iter().map(|one| one.name.to_string()));
            for _ in 0..rng.usize(0..10) {
                let key =
                    format!("s{:03}{}", rng.u32(0..60) * 3 + 1, ["", "-", "!/z"][rng.usize(0..3)]);
                if rng.bool() { environment.put(&key, "y") } else { environment.delete(&key) }
            }
        }
        assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
        let stayed: Vec<&String> =
            all.iter().filter(|name| name[1..4].parse::<u32>().unwrap() % 3 == 0).collect();
        let expected: Vec<String> =
            stays.iter().map(|key| key.trim_end_matches("/y").to_owned()).collect();
        assert_eq!(stayed, expected.iter().collect::<Vec<_>>());
    }
}
