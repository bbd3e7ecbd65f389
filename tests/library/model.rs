//! The tree against a plain map of keys: issue 3, "Done when", the model test. A failure prints the
//! seed to run it again with `FAST_SEED=... cargo test --test fast model`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::time::Duration;

use fake_daac::{Failure, Fault, Kind};
use fastrand::Rng;
use granulefs::filesystem::DirectoryEntry;
use granulefs::inodes::ROOT;

use crate::environment::{TestEnvironment, soon};
use crate::tree::Tree;

const OBJECT: &str = ".granulefs-object";
const DIRECTORY: &str = ".granulefs-directory";

/// What a name is: `None` for a directory, else the key.
type Model = BTreeMap<String, Option<String>>;

/// Prints the seed when the test fails.
struct Seed(u64);

impl Seed {
    fn new() -> Self {
        Self(
            std::env::var("FAST_SEED")
                .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap()),
        )
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("FAST_SEED={}", self.0);
        }
    }
}

/// One component of a key: words that shadow each other, dates, serial numbers, long common starts,
/// and what is odd.
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

/// The names that the directory `prefix` must have, by the rules of semantics.md.
fn model(keys: &[String], prefix: &str) -> Model {
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

fn shown(listed: &DirectoryEntry) -> (String, Option<String>) {
    let key = match &listed.entry {
        granulefs::object::Entry::File(object) => Some(object.id.key.to_string()),
        granulefs::object::Entry::Directory(_) => None,
    };
    (listed.name.to_string(), key)
}

/// One directory, asked in a random order for names, positions and single lookups.
async fn check_directory(rng: &mut Rng, tree: &Tree, number: u64, right: &Model) {
    let (handle, _) = tree.open_directory(number).unwrap();
    let mut seen: Vec<DirectoryEntry> = Vec::new();
    let mut is_done = false;
    for _ in 0..rng.usize(5..30) {
        match rng.u8(0..10) {
            // On from where it stopped, or from any place that was given before, or from the start.
            0..6 => {
                let from = match rng.u8(0..6) {
                    0 => 0,
                    1 if !seen.is_empty() => rng.usize(0..seen.len()),
                    _ => seen.len(),
                };
                let position = if from == 0 { 0 } else { seen[from - 1].next_offset };
                let (more, _) = soon(tree.read_directory(handle, position)).await.unwrap();
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
                if let Some((name, key)) = right.iter().nth(rng.usize(0..=right.len())) {
                    check_lookup(tree, number, name, Some(key)).await;
                }
            }
            _ => {
                let name = component(rng);
                // No kernel asks for these.
                if !["", ".", ".."].contains(&&*name) && !name.contains(['/', '\0']) {
                    check_lookup(tree, number, &name, right.get(&name)).await;
                }
            }
        }
    }
    while !is_done {
        let position = seen.last().map_or(0, |last| last.next_offset);
        let (more, _) = soon(tree.read_directory(handle, position)).await.unwrap();
        is_done = more.is_empty();
        seen.extend(more);
    }
    let all: Vec<_> = seen.iter().map(shown).collect();
    // The names of the empty component come when S3 gets to them, which is after those that start
    // with a byte below `/`.
    let ordered: Vec<_> = all
        .iter()
        .map(|(name, _)| name)
        .filter(|name| ![OBJECT, DIRECTORY].contains(&&***name))
        .collect();
    assert!(ordered.is_sorted_by(|a, b| a < b), "not in byte order: {ordered:?}");
    assert_eq!(all.len(), right.len(), "{all:?}\nis not\n{right:?}");
    assert_eq!(all.into_iter().collect::<Model>(), *right);
    tree.release_directory(handle);
}

async fn check_lookup(tree: &Tree, parent: u64, name: &str, right: Option<&Option<String>>) {
    let found = soon(tree.lookup(parent, OsStr::new(name))).await.unwrap().node;
    match (found, right) {
        (None, None) => {}
        (Some((number, attributes)), Some(key)) => {
            assert_eq!(attributes.is_directory, key.is_none(), "{name:?}");
            if let Some(key) = key {
                assert_eq!(
                    tree.xattr(number, "user.s3.url".as_ref()).unwrap(),
                    format!("s3://granules/{key}")
                );
            }
        }
        (found, right) => panic!("{name:?} is {found:?}, should be {right:?}"),
    }
}

/// The whole tree below the root, every directory in its own disorder.
async fn check_tree(rng: &mut Rng, tree: &Tree, keys: &[String]) {
    let mut open = vec![(ROOT, String::new())];
    while !open.is_empty() {
        let (number, prefix) = open.swap_remove(rng.usize(0..open.len()));
        let right = model(keys, &prefix);
        check_directory(rng, tree, number, &right).await;
        for (name, _) in right.iter().filter(|(_, key)| key.is_none()) {
            let found = soon(tree.lookup(number, OsStr::new(name))).await.unwrap().node.unwrap();
            let component = match name.strip_suffix(DIRECTORY) {
                Some(stem) => stem.replace("%00", "\0").replace("%25", "%"),
                None => name.clone(),
            };
            open.push((found.0, format!("{prefix}{component}/")));
        }
    }
}

fn furnish(environment: &TestEnvironment, rng: &mut Rng) -> Vec<String> {
    let keys = keys(rng);
    for key in &keys {
        environment.put(key, "x");
    }
    environment.archive.set(|knobs| {
        knobs.page_size = [1, 2, 3, 5, 8, 1000][rng.usize(0..6)];
        knobs.short_pages = rng.bool();
    });
    keys
}

/// Random keys, pages cut everywhere, and a kernel that asks in any order: the names, their order
/// and their nature are those of a plain map.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tree_is_that_of_a_plain_map_in_whatever_order_it_is_asked() {
    let seed = Seed::new();
    let mut rng = Rng::with_seed(seed.0);
    for _ in 0..10 {
        let environment = TestEnvironment::new();
        let keys = furnish(&environment, &mut rng);
        let ttl = if rng.bool() { Duration::from_secs(3600) } else { Duration::ZERO };
        check_tree(&mut rng, &environment.tree_at("", ttl), &keys).await;
    }
}

/// The same while S3 has a bad day: 503s, resets and cut pages in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tree_is_that_of_a_plain_map_through_faults() {
    let seed = Seed::new();
    let mut rng = Rng::with_seed(seed.0);
    for _ in 0..6 {
        let environment = TestEnvironment::new();
        let keys = furnish(&environment, &mut rng);
        environment.archive.set(|knobs| knobs.page_size = knobs.page_size.max(5));
        for failure in
            [Failure::SlowDown, Failure::Reset, Failure::Truncate(300), Failure::ResetBody(600)]
        {
            for kind in [Kind::List, Kind::Head] {
                environment.archive.fault(Fault::new(failure).on(kind).probability(0.04));
            }
        }
        check_tree(&mut rng, &environment.tree(), &keys).await;
    }
}

/// Objects come and go between the pages: each name that stays is shown exactly once, and none that
/// never was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_stay_are_shown_once_while_others_come_and_go() {
    let seed = Seed::new();
    let mut rng = Rng::with_seed(seed.0);
    for _ in 0..15 {
        let environment = TestEnvironment::new();
        // Names that shadow none of those that come and go.
        let stays: Vec<String> = (0..rng.usize(1..60))
            .map(|n| format!("s{:03}{}", n * 3, ["", "-x", "/y"][n % 3]))
            .collect();
        for key in &stays {
            environment.put(key, "x");
        }
        environment.archive.set(|knobs| knobs.page_size = rng.usize(1..6));
        let tree = environment.tree_at("", Duration::ZERO);
        let (handle, _) = tree.open_directory(ROOT).unwrap();
        let mut all: Vec<String> = Vec::new();
        let mut from = 0;
        loop {
            let (listed, _) = soon(tree.read_directory(handle, from)).await.unwrap();
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
        let right: Vec<String> =
            stays.iter().map(|key| key.trim_end_matches("/y").to_owned()).collect();
        assert_eq!(stayed, right.iter().collect::<Vec<_>>());
    }
}
