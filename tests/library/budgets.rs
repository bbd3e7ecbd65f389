//! Requests are counted, not only bytes: issue 2, "Done when"; issue 3, items 5 and 6.

use std::ffi::OsStr;
use std::time::Duration;

use fake_daac::{Content, Kind, Stats, Synthetic};
use futures_util::future::join_all;
use granulefs::inodes::ROOT;

use crate::environment::{BUCKET, TestEnvironment, soon};
use crate::tree::Tree;

/// Lists, heads and gets since the last look; nothing else was ever sent.
fn spent(environment: &TestEnvironment) -> (u64, u64, u64) {
    let Stats { lists, heads, gets, forbidden, probes, .. } = environment.archive.stats();
    assert_eq!((forbidden, probes), (0, 0));
    environment.archive.reset_stats();
    (lists, heads, gets)
}

/// Issue 3, item 5: one file in a prefix of 3 million keys costs one round trip, never a listing.
#[tokio::test]
async fn a_lookup_never_lists_the_parent() {
    let environment = TestEnvironment::new();
    let set = Synthetic { pattern: "flat/{3000:date}-{1000}.nc".into(), size: 10 };
    environment.archive.synthetic(BUCKET, &set).unwrap();
    let tree = environment.tree();
    let flat = soon(tree.number("flat")).await.unwrap();
    assert_eq!(spent(&environment), (1, 1, 0));
    for (name, is_there) in [("20020601-777.nc", true), ("20020601-none.nc", false)] {
        let found = soon(tree.lookup(flat, OsStr::new(name))).await.unwrap();
        assert_eq!(found.node.is_some(), is_there);
        let log = environment.archive.log();
        assert!(
            log.iter().filter(|r| r.kind == Kind::List).all(|r| r.key == format!("flat/{name}/")),
            "{log:?}"
        );
        assert!(environment.archive.stats().sent < 2000, "a page of names was sent");
        assert_eq!(spent(&environment), (1, 1, 0));
    }
}

/// "A cold `cat` of a file in a deep path costs at most 2 requests per path component plus the GETs
/// its bytes need; a second within the TTL costs 0."
#[tokio::test]
async fn a_deep_path_costs_two_requests_a_component_and_nothing_the_second_time() {
    let path = "ATLAS/ATL03/006/2019/11/30/ATL03_20191130221008.h5";
    let environment = TestEnvironment::new();
    environment.put(path, Content::synthetic(100_000));
    let tree = environment.tree();
    let right = environment.bytes(path);
    assert!(soon(tree.bytes(path)).await.unwrap() == right);
    assert_eq!(spent(&environment), (7, 7, 1));
    assert!(soon(tree.bytes(path)).await.unwrap() == right);
    assert_eq!(spent(&environment), (0, 0, 0));
}

/// Issue 3, item 6: complete listings answer "no such name" themselves, and what is there, with its
/// attributes.
#[tokio::test]
async fn a_complete_listing_answers_every_lookup() {
    let keys: Vec<String> = (0..2500).map(|n| format!("d/{n:05}")).collect();
    let environment =
        TestEnvironment::holding(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    let tree = environment.tree();
    let directory = soon(tree.number("d")).await.unwrap();
    spent(&environment);
    assert_eq!(soon(tree.names("d")).await.unwrap().len(), 2500);
    assert_eq!(spent(&environment), (3, 0, 0));
    for (name, is_there) in [("00000", true), ("02499", true), ("none", false), ("00000x", false)] {
        assert_eq!(
            soon(tree.lookup(directory, OsStr::new(name))).await.unwrap().node.is_some(),
            is_there
        );
    }
    assert_eq!(soon(tree.names("d")).await.unwrap().len(), 2500);
    assert_eq!(spent(&environment), (0, 0, 0));
}

/// Issue 3, item 6: one flight per name and per page, for all who ask.
#[tokio::test]
async fn everyone_who_asks_for_one_name_or_one_listing_shares_its_requests() {
    let environment = TestEnvironment::with(|knobs| {
        knobs.list_latency = Duration::from_millis(100);
        knobs.first_byte_latency = Duration::from_millis(100);
    });
    environment.put("d/f", "1");
    let tree = environment.tree();
    soon(environment.store().current()).await.unwrap();
    let found = soon(join_all((0..32).map(|_| tree.lookup(ROOT, OsStr::new("d"))))).await;
    assert!(found.iter().all(|found| found.as_ref().unwrap().node.is_some()));
    assert_eq!(spent(&environment), (1, 1, 0));
    let listed = soon(join_all((0..32).map(|_| tree.names("d")))).await;
    assert!(listed.iter().all(|names| *names.as_ref().unwrap() == ["f"]));
    assert_eq!(spent(&environment), (1, 0, 0));
}

/// Issue 2, item 4: one flight per block, shared by all handles on the same version.
#[tokio::test]
async fn sixteen_readers_of_one_block_cost_one_get() {
    let environment =
        TestEnvironment::with(|knobs| knobs.first_byte_latency = Duration::from_millis(100));
    environment.put("f", Content::synthetic(80 << 20));
    let tree = environment.tree();
    let right = environment.bytes("f");
    let number = soon(tree.number("f")).await.unwrap();
    spent(&environment);
    let handles: Vec<u64> = (0..16).map(|_| tree.open(number).unwrap()).collect();
    for read in soon(join_all(handles.iter().map(|handle| tree.read(*handle, 300_000, 1000)))).await
    {
        assert!(read.unwrap().concat() == right[300_000..][..1000]);
    }
    let log = environment.archive.log();
    assert_eq!(spent(&environment), (0, 0, 1), "{log:?}");
    assert!(log[0].range.as_deref() == Some("bytes=262144-327679"), "{log:?}");
}

/// Read amplification is 1: a stream fetches each byte once, whatever the size of its reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sequential_read_fetches_each_byte_once() {
    const SIZE: u64 = 64 << 20;
    for step in [128 * 1024, 1 << 20] {
        let environment = TestEnvironment::new();
        environment.put("f", Content::synthetic(SIZE));
        let tree = environment.tree();
        assert!(soon(tree.read_in_steps("f", step)).await.unwrap() == environment.bytes("f"));
        let stats = environment.archive.stats();
        assert!(stats.sent < SIZE + 4096, "{} bytes sent for {SIZE}", stats.sent);
        assert!(stats.gets <= SIZE / (4 << 20) + 24, "{} GETs", stats.gets);
        environment.archive.reset_stats();
        // 64 MiB of cache hold it whole.
        soon(tree.read_in_steps("f", step)).await.unwrap();
        assert_eq!(spent(&environment), (0, 0, 0));
    }
}

/// An absence is believed for a shorter time than a presence, and a presence no longer than the
/// TTL.
#[tokio::test]
async fn what_is_known_is_believed_for_its_time() {
    let environment = TestEnvironment::holding(&["f"]);
    let tree = environment.tree_at("", Duration::from_secs(2));
    let lookup = |name: &'static str| soon(tree.lookup(ROOT, OsStr::new(name)));
    let (there, absent) = (lookup("f").await.unwrap(), lookup("none").await.unwrap());
    assert!(there.fresh_for > Duration::from_secs(1) && there.fresh_for <= Duration::from_secs(2));
    assert!(absent.fresh_for <= Duration::from_millis(200));
    spent(&environment);
    environment.put("none", "now it is");
    tokio::time::sleep(absent.fresh_for).await;
    assert!(lookup("none").await.unwrap().node.is_some());
    lookup("f").await.unwrap();
    assert_eq!(spent(&environment), (1, 1, 0));
    tokio::time::sleep(there.fresh_for).await;
    lookup("f").await.unwrap();
    assert_eq!(spent(&environment), (1, 1, 0));
}

/// Reads a whole tree as find(1) does: a directory, then those in it, in the order of readdir.
/// Answers how many names there are.
async fn walk(tree: &Tree, path: &str) -> usize {
    let mut count = 0;
    let mut stack = vec![path.to_owned()];
    while let Some(path) = stack.pop() {
        let listed = soon(tree.list(&path)).await.unwrap();
        count += listed.len();
        let directories = listed.iter().rev().filter(|listed| listed.shown.entry.is_directory());
        stack.extend(directories.map(|listed| format!("{path}/{}", listed.shown.name)));
    }
    count
}

/// Issue 3, item 3: walks fill many directories from each page, and remember them (item 6).
#[tokio::test]
async fn a_walk_costs_pages_not_directories() {
    // Directories, files in each, levels above them, and the lists that a walk may cost.
    for (pattern, names, most) in
        [("t/{300:04}/{10}.nc", 3300, 12), ("t/{10}/{10}/{10}/f.nc", 2110, 30)]
    {
        let environment = TestEnvironment::new();
        environment
            .archive
            .synthetic(BUCKET, &Synthetic { pattern: pattern.into(), size: 10 })
            .unwrap();
        let tree = environment.tree();
        assert_eq!(walk(&tree, "t").await, names);
        let (lists, _, gets) = spent(&environment);
        assert!(lists <= most && gets == 0, "{pattern}: {lists} lists");
        assert_eq!(walk(&tree, "t").await, names);
        assert_eq!(spent(&environment), (0, 0, 0), "{pattern}");
    }
}

/// Issue 3, item 3: "correct whatever it asks" and "go back to single listings when the subtree
/// proves huge".
#[tokio::test]
async fn walks_in_any_order_and_through_huge_directories_cost_little_more_than_single_listings() {
    let environment = TestEnvironment::new();
    environment
        .archive
        .synthetic(BUCKET, &Synthetic { pattern: "wide/{40:02}/{3}.nc".into(), size: 10 })
        .unwrap();
    environment
        .archive
        .synthetic(BUCKET, &Synthetic { pattern: "huge/{6}/{1500:04}.nc".into(), size: 10 })
        .unwrap();
    let tree = environment.tree();
    soon(tree.names("wide")).await.unwrap();
    spent(&environment);
    // Backwards no page brings what is read next.
    for n in (0..40).rev() {
        assert_eq!(soon(tree.names(&format!("wide/{n:02}"))).await.unwrap().len(), 3);
    }
    let (lists, ..) = spent(&environment);
    assert!(lists <= 50, "{lists}");
    assert_eq!(walk(&tree, "huge").await, 6 + 6 * 1500);
    let (lists, ..) = spent(&environment);
    assert!(lists <= 1 + 1 + 6 * 2 + 4, "{lists}");
}

/// Issue 3, item 2: long listings cost about a tenth more than their pages, short ones nothing.
#[tokio::test]
async fn a_long_listing_costs_little_more_than_its_pages_and_a_short_one_nothing() {
    for (pattern, names, most) in
        [("d/{5000:06}.nc", 5000, 5), ("d/{40:date}-{1000:03}.nc", 40_000, 46)]
    {
        let environment = TestEnvironment::new();
        environment
            .archive
            .synthetic(BUCKET, &Synthetic { pattern: pattern.into(), size: 10 })
            .unwrap();
        let tree = environment.tree();
        let listed = soon(tree.names("d")).await.unwrap();
        assert!(listed.is_sorted() && listed.len() == names);
        let (lists, heads, _) = spent(&environment);
        // One to find the directory.
        assert!(lists <= 1 + most && heads == 1, "{pattern}: {lists} lists");
    }
}
