//! How many requests each lookup, listing and read may cost.

use std::ffi::OsStr;
use std::time::Duration;

use fake_daac::{Content, RequestKind, Stats, SyntheticObjects};
use futures_util::future::join_all;
use granulefs::inodes::ROOT;

use crate::environment::{BUCKET, TestEnvironment, in_time};
use crate::path_filesystem::PathFilesystem;

/// Returns and resets the counts of LISTs, HEADs and GETs, after checking that no other request was
/// sent.
fn take_counts(environment: &TestEnvironment) -> (u64, u64, u64) {
    let Stats { lists, heads, gets, forbidden, probes, .. } = environment.fake_daac.stats();
    assert_eq!((forbidden, probes), (0, 0));
    environment.fake_daac.reset_stats();
    (lists, heads, gets)
}

/// Stores objects of ten bytes, whose keys are those of `pattern`.
fn put_pattern(environment: &TestEnvironment, pattern: &str) {
    let objects = SyntheticObjects { pattern: pattern.into(), size: 10 };
    environment.fake_daac.put_synthetic(BUCKET, &objects).unwrap();
}

/// The lookup of one file below a prefix of 3 million keys costs two concurrent requests and lists
/// no more than that name.
#[tokio::test]
async fn a_lookup_never_lists_the_parent() {
    let environment = TestEnvironment::new();
    put_pattern(&environment, "flat/{3000:date}-{1000}.nc");
    let filesystem = environment.filesystem();
    let flat = in_time(filesystem.number("flat")).await.unwrap();
    assert_eq!(take_counts(&environment), (1, 1, 0));
    for (name, is_there) in [("20020601-777.nc", true), ("20020601-none.nc", false)] {
        let found = in_time(filesystem.lookup(flat, OsStr::new(name))).await.unwrap();
        assert_eq!(found.node.is_some(), is_there);
        let log = environment.fake_daac.log();
        assert!(
            log.iter()
                .filter(|r| r.kind == RequestKind::List)
                .all(|r| r.key == format!("flat/{name}/")),
            "{log:?}"
        );
        assert!(environment.fake_daac.stats().sent < 2000, "a page of names was sent");
        assert_eq!(take_counts(&environment), (1, 1, 0));
    }
}

/// The first read of a file in a deep path costs two requests per path component and the GETs of
/// its bytes; a second one within the TTL costs none.
#[tokio::test]
async fn a_deep_path_costs_two_requests_per_component_and_none_the_second_time() {
    let path = "ATLAS/ATL03/006/2019/11/30/ATL03_20191130221008.h5";
    let environment = TestEnvironment::new();
    environment.put(path, Content::synthetic(100_000));
    let filesystem = environment.filesystem();
    let expected = environment.bytes(path);
    assert!(in_time(filesystem.bytes(path)).await.unwrap() == expected);
    assert_eq!(take_counts(&environment), (7, 7, 1));
    assert!(in_time(filesystem.bytes(path)).await.unwrap() == expected);
    assert_eq!(take_counts(&environment), (0, 0, 0));
}

/// A complete listing answers lookups of existing and of absent names without a request.
#[tokio::test]
async fn a_complete_listing_answers_every_lookup() {
    let keys: Vec<String> = (0..2500).map(|n| format!("d/{n:05}")).collect();
    let environment =
        TestEnvironment::with_objects(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    let filesystem = environment.filesystem();
    let directory = in_time(filesystem.number("d")).await.unwrap();
    take_counts(&environment);
    assert_eq!(in_time(filesystem.names("d")).await.unwrap().len(), 2500);
    assert_eq!(take_counts(&environment), (3, 0, 0));
    for (name, is_there) in [("00000", true), ("02499", true), ("none", false), ("00000x", false)] {
        assert_eq!(
            in_time(filesystem.lookup(directory, OsStr::new(name))).await.unwrap().node.is_some(),
            is_there
        );
    }
    assert_eq!(in_time(filesystem.names("d")).await.unwrap().len(), 2500);
    assert_eq!(take_counts(&environment), (0, 0, 0));
}

/// Concurrent lookups of one name, and concurrent readers of one listing, share one request.
#[tokio::test]
async fn concurrent_lookups_and_listings_share_their_requests() {
    let environment = TestEnvironment::with_knobs(|knobs| {
        knobs.list_latency = Duration::from_millis(100);
        knobs.first_byte_latency = Duration::from_millis(100);
    });
    environment.put("d/f", "1");
    let filesystem = environment.filesystem();
    in_time(environment.credentials_cache().current()).await.unwrap();
    let found = in_time(join_all((0..32).map(|_| filesystem.lookup(ROOT, OsStr::new("d"))))).await;
    assert!(found.iter().all(|found| found.as_ref().unwrap().node.is_some()));
    assert_eq!(take_counts(&environment), (1, 1, 0));
    let listed = in_time(join_all((0..32).map(|_| filesystem.names("d")))).await;
    assert!(listed.iter().all(|names| *names.as_ref().unwrap() == ["f"]));
    assert_eq!(take_counts(&environment), (1, 0, 0));
}

/// All handles of one version share the fetch of a block.
#[tokio::test]
async fn sixteen_readers_of_one_block_cost_one_get() {
    let environment =
        TestEnvironment::with_knobs(|knobs| knobs.first_byte_latency = Duration::from_millis(100));
    environment.put("f", Content::synthetic(80 << 20));
    let filesystem = environment.filesystem();
    let expected = environment.bytes("f");
    let number = in_time(filesystem.number("f")).await.unwrap();
    take_counts(&environment);
    let mut handles = Vec::new();
    for _ in 0..16 {
        handles.push(filesystem.open(number).await.unwrap().handle);
    }
    for read in
        in_time(join_all(handles.iter().map(|handle| filesystem.read(*handle, 300_000, 1000))))
            .await
    {
        assert!(read.unwrap().concat() == expected[300_000..][..1000]);
    }
    let log = environment.fake_daac.log();
    assert_eq!(take_counts(&environment), (0, 0, 1), "{log:?}");
    assert!(log[0].range.as_deref() == Some("bytes=262144-327679"), "{log:?}");
}

/// A stream fetches each byte once, whatever the size of its reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sequential_read_fetches_each_byte_once() {
    const SIZE: u64 = 64 << 20;
    for step in [128 * 1024, 1 << 20] {
        let environment = TestEnvironment::new();
        environment.put("f", Content::synthetic(SIZE));
        let filesystem = environment.filesystem();
        assert!(
            in_time(filesystem.read_in_steps("f", step)).await.unwrap() == environment.bytes("f")
        );
        let stats = environment.fake_daac.stats();
        let (received, (_, sent)) = (filesystem.received_bytes(), environment.unhedged_gets());
        assert!(received == SIZE && sent < SIZE + 4096, "{received} received, {sent} sent");
        assert!(stats.gets <= SIZE / (4 << 20) + 24, "{} GETs", stats.gets);
        environment.fake_daac.reset_stats();
        // The cache of 64 MiB holds the whole file.
        in_time(filesystem.read_in_steps("f", step)).await.unwrap();
        assert_eq!(take_counts(&environment), (0, 0, 0));
    }
}

/// An absent name is cached for a shorter time than an existing one, and an existing one for the
/// TTL at most.
#[tokio::test]
async fn lookups_are_cached_for_the_ttl() {
    let environment = TestEnvironment::with_objects(&["f"]);
    let filesystem = environment.filesystem_at("", Duration::from_secs(2));
    let lookup = |name: &'static str| in_time(filesystem.lookup(ROOT, OsStr::new(name)));
    let (there, absent) = (lookup("f").await.unwrap(), lookup("none").await.unwrap());
    assert!(there.ttl > Duration::from_secs(1) && there.ttl <= Duration::from_secs(2));
    assert!(absent.ttl <= Duration::from_millis(200));
    take_counts(&environment);
    environment.put("none", "now it is");
    tokio::time::sleep(absent.ttl).await;
    assert!(lookup("none").await.unwrap().node.is_some());
    lookup("f").await.unwrap();
    assert_eq!(take_counts(&environment), (1, 1, 0));
    tokio::time::sleep(there.ttl).await;
    lookup("f").await.unwrap();
    assert_eq!(take_counts(&environment), (1, 1, 0));
}

/// Lists all directories below `path` as find(1) does, each directory before the ones in it, and
/// returns the number of names.
async fn walk(filesystem: &PathFilesystem, path: &str) -> usize {
    let mut count = 0;
    let mut stack = vec![path.to_owned()];
    while let Some(path) = stack.pop() {
        let listed = in_time(filesystem.list(&path)).await.unwrap();
        count += listed.len();
        let directories = listed.iter().rev().filter(|listed| listed.entry.is_directory());
        stack.extend(directories.map(|listed| format!("{path}/{}", listed.name)));
    }
    count
}

/// A walk through many directories fills them from pages of a recursive listing, and caches them.
#[tokio::test]
async fn a_walk_costs_pages_and_not_directories() {
    // The pattern of the keys, the number of names, and the LISTs that a walk may cost.
    for (pattern, names, most) in
        [("t/{300:04}/{10}.nc", 3300, 12), ("t/{10}/{10}/{10}/f.nc", 2110, 30)]
    {
        let environment = TestEnvironment::new();
        put_pattern(&environment, pattern);
        let filesystem = environment.filesystem();
        assert_eq!(walk(&filesystem, "t").await, names);
        let (lists, _, gets) = take_counts(&environment);
        assert!(lists <= most && gets == 0, "{pattern}: {lists} lists");
        assert_eq!(walk(&filesystem, "t").await, names);
        assert_eq!(take_counts(&environment), (0, 0, 0), "{pattern}");
    }
}

/// A walk in any order is correct, and a walk through huge directories returns to single listings.
#[tokio::test]
async fn walks_in_any_order_and_through_huge_directories_cost_little_more_than_single_listings() {
    let environment = TestEnvironment::new();
    put_pattern(&environment, "wide/{40:02}/{3}.nc");
    put_pattern(&environment, "huge/{6}/{1500:04}.nc");
    let filesystem = environment.filesystem();
    in_time(filesystem.names("wide")).await.unwrap();
    take_counts(&environment);
    // In reverse order no page has the directory that is read next.
    for n in (0..40).rev() {
        assert_eq!(in_time(filesystem.names(&format!("wide/{n:02}"))).await.unwrap().len(), 3);
    }
    let (lists, ..) = take_counts(&environment);
    assert!(lists <= 50, "{lists}");
    assert_eq!(walk(&filesystem, "huge").await, 6 + 6 * 1500);
    let (lists, ..) = take_counts(&environment);
    assert!(lists <= 1 + 1 + 6 * 2 + 4, "{lists}");
}

/// The partitioned listing of a long directory costs about a tenth more requests than its pages; a
/// short listing costs its pages.
#[tokio::test]
async fn a_long_listing_costs_little_more_than_its_pages_and_a_short_one_no_more() {
    for (pattern, names, most) in
        [("d/{5000:06}.nc", 5000, 5), ("d/{40:date}-{1000:03}.nc", 40_000, 46)]
    {
        let environment = TestEnvironment::new();
        put_pattern(&environment, pattern);
        let filesystem = environment.filesystem();
        let listed = in_time(filesystem.names("d")).await.unwrap();
        assert!(listed.is_sorted() && listed.len() == names);
        let (lists, heads, _) = take_counts(&environment);
        // One LIST is for the lookup of the directory.
        assert!(lists <= 1 + most && heads == 1, "{pattern}: {lists} lists");
    }
}

/// The names of a directory whose reading takes longer than the TTL are believed for a moment after
/// they are shown, so that their attributes cost no request each.
#[tokio::test]
async fn names_shown_after_the_ttl_are_believed_for_a_moment() {
    const TTL: Duration = Duration::from_millis(500);
    let environment = TestEnvironment::new();
    put_pattern(&environment, "d/{900:04}.nc");
    let filesystem = environment.filesystem_at("", TTL);
    let directory = in_time(filesystem.number("d")).await.unwrap();
    let (handle, _) = in_time(filesystem.open_directory(directory)).await.unwrap();
    let (first, _) = in_time(filesystem.read_directory(handle, 0)).await.unwrap();
    tokio::time::sleep(TTL * 2).await;
    take_counts(&environment);
    // What was shown before is too old.
    let name = OsStr::new(&*first[0].name);
    in_time(filesystem.lookup(directory, name)).await.unwrap();
    assert_eq!(take_counts(&environment), (1, 1, 0));
    let from = first.last().unwrap().next_offset;
    let (late, ttl) = in_time(filesystem.read_directory(handle, from)).await.unwrap();
    assert_eq!(first.len() + late.len(), 900);
    let (_, _, believed) = filesystem.record_lookup(&late[0], ttl);
    assert!(believed > TTL / 2 && believed <= TTL, "{believed:?}");
    for shown in &late {
        let found = in_time(filesystem.lookup(directory, OsStr::new(&*shown.name))).await.unwrap();
        assert!(found.node.is_some() && found.ttl <= TTL);
    }
    assert_eq!(take_counts(&environment), (0, 0, 0));
    tokio::time::sleep(TTL).await;
    in_time(filesystem.lookup(directory, OsStr::new(&*late[0].name))).await.unwrap();
    assert_eq!(take_counts(&environment), (1, 1, 0));
}

/// The kernel may keep the names of a listing that it was told with their attributes, until their
/// time comes to its end.
#[tokio::test]
async fn the_kernel_keeps_names_only_with_their_attributes() {
    const TTL: Duration = Duration::from_secs(2);
    let environment = TestEnvironment::new();
    put_pattern(&environment, "d/{900:04}.nc");
    let filesystem = environment.filesystem_at("", TTL);
    let directory = in_time(filesystem.number("d")).await.unwrap();
    let began = std::time::Instant::now();
    let open = || async { in_time(filesystem.open_directory(directory)).await.unwrap() };
    let (handle, may_keep) = open().await;
    assert!(!may_keep, "nothing is there to keep");
    in_time(filesystem.read_directory(handle, 0)).await.unwrap();
    assert!(open().await.1);
    filesystem.mark_read_without_attributes(handle);
    let opened = [open().await.1, open().await.1];
    assert!(opened == [false, true] || began.elapsed() > TTL / 2, "{opened:?}");
    tokio::time::sleep(TTL * 4 / 5).await;
    assert!(!open().await.1);
}
