//! Long directories in little memory: what is fetched ahead, let go of, and fetched again.

use std::time::Duration;

use fake_daac::SyntheticObjects;
use fastrand::Rng;
use granulefs::filesystem::DirectoryEntry;

use crate::environment::{BUCKET, TestEnvironment, in_time};
use crate::model::{Seed, model, shown};
use crate::path_filesystem::PathFilesystem;

const HOUR: Duration = Duration::from_secs(3600);

fn environment_with(pattern: &str) -> TestEnvironment {
    let environment = TestEnvironment::new();
    let objects = SyntheticObjects { pattern: pattern.into(), size: 10 };
    environment.fake_daac.put_synthetic(BUCKET, &objects).unwrap();
    environment
}

async fn open(filesystem: &PathFilesystem, path: &str) -> u64 {
    let number = in_time(filesystem.number(path)).await.unwrap();
    filesystem.open_directory(number).await.unwrap().0
}

async fn read(filesystem: &PathFilesystem, handle: u64, from: u64) -> Vec<DirectoryEntry> {
    in_time(filesystem.read_directory(handle, from)).await.unwrap().0
}

/// Reads names from `from` on until there are `count`; returns how many there were, and the offset
/// behind them. Each name is behind the one before.
async fn read_on(
    filesystem: &PathFilesystem,
    handle: u64,
    mut from: u64,
    count: usize,
) -> (usize, u64) {
    let (mut seen, mut last) = (0, String::new());
    while seen < count {
        let names = read(filesystem, handle, from).await;
        let Some(end) = names.last() else { break };
        for named in &names {
            assert!(*last < *named.name, "{last} before {}", named.name);
            last = named.name.to_string();
        }
        (from, seen) = (end.next_offset, seen + names.len());
    }
    (seen, from)
}

/// Waits until no request is in flight, and none follows.
async fn lists_when_quiet(environment: &TestEnvironment) -> u64 {
    let mut before = u64::MAX;
    loop {
        let stats = environment.fake_daac.stats();
        if stats.in_flight == 0 && stats.lists == before {
            return stats.lists;
        }
        before = stats.lists;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// A reader who stops stops the fetching within some tens of pages, and one who goes on gets all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_fetched_a_bounded_way_ahead_of_the_reader() {
    let environment = environment_with("d/{300:date}-{1000}.nc");
    let filesystem = environment.filesystem();
    let handle = open(&filesystem, "d").await;
    let (_, at) = read_on(&filesystem, handle, 0, 5_000).await;
    let lists = lists_when_quiet(&environment).await;
    assert!((6..=60).contains(&lists), "{lists}");
    let (rest, _) = read_on(&filesystem, handle, at, usize::MAX).await;
    assert!((294_000..=295_000).contains(&rest), "{rest}");
    let lists = lists_when_quiet(&environment).await;
    assert!((300..=335).contains(&lists), "{lists}");
}

/// A listing that is larger than the memory for names is read to its end in order, each name once
/// and each page once, and can be read again by the same handle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_larger_than_the_memory_is_fetched_once_and_read_again_on_demand() {
    const MEMORY: usize = 2 << 20;
    let environment = environment_with("d/{100:date}-{1000}.nc");
    let filesystem = environment.filesystem_with_metadata(MEMORY, HOUR);
    let handle = open(&filesystem, "d").await;
    assert_eq!(read_on(&filesystem, handle, 0, usize::MAX).await.0, 100_000);
    let lists = environment.fake_daac.stats().lists;
    assert!(lists <= 100 + 12, "{lists}");
    // The page that came last may be above the limit.
    let bytes = filesystem.name_bytes();
    assert!(bytes <= (MEMORY + (256 << 10)) as u64, "{bytes}");
    environment.fake_daac.reset_stats();
    assert_eq!(read_on(&filesystem, handle, 0, usize::MAX).await.0, 100_000);
    let lists = environment.fake_daac.stats().lists;
    // A part has a little less than a page.
    assert!((70..=115).contains(&lists), "{lists}");
}

/// A seek to a part that was let go of costs one request, whatever lies before it.
#[tokio::test]
async fn a_seek_back_costs_one_request() {
    let environment = environment_with("d/{50:date}-{1000}.nc");
    let filesystem = environment.filesystem_with_metadata(1 << 20, HOUR);
    let handle = open(&filesystem, "d").await;
    let (_, at) = read_on(&filesystem, handle, 0, 12_345).await;
    let expected: Vec<_> = read(&filesystem, handle, at).await.iter().map(shown).collect();
    read_on(&filesystem, handle, at, usize::MAX).await;
    environment.fake_daac.reset_stats();
    let found: Vec<_> = read(&filesystem, handle, at).await.iter().map(shown).collect();
    assert_eq!(found, expected);
    assert_eq!(environment.fake_daac.stats().lists, 1);
}

/// With names that shadow each other and are escaped, in less memory than they take, readers at
/// different speeds that seek back see the model's names, each at one offset.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_equal_the_model_while_they_are_let_go_of() {
    let seed = Seed::new();
    let mut rng = Rng::with_seed(seed.0);
    for _ in 0..4 {
        let environment = TestEnvironment::new();
        let mut keys: Vec<String> = (0..rng.usize(3000..6000)).map(|_| key(&mut rng)).collect();
        keys.sort();
        keys.dedup();
        keys.iter().for_each(|key| environment.put(key, "x"));
        let page_size = [300, 1000][rng.usize(0..2)];
        environment.fake_daac.set(|knobs| knobs.page_size = page_size);
        let filesystem = environment.filesystem_with_metadata(100 << 10, HOUR);
        let expected = model(&keys, "d/");
        let mut seen: Vec<(u64, DirectoryEntry)> = Vec::new();
        let mut readers = Vec::new();
        for _ in 0..3 {
            readers.push((open(&filesystem, "d").await, 0, 0));
        }
        while readers.iter().any(|(_, at, _)| *at < expected.len()) {
            let speed = [0, 0, 0, 1, 1, 2][rng.usize(0..6)];
            let (handle, at, from) = &mut readers[speed];
            if rng.u8(0..8) == 0 && !seen.is_empty() {
                *at = rng.usize(0..seen.len().min(*at + 1));
                *from = seen[*at].0;
            }
            for one in read(&filesystem, *handle, *from).await {
                match seen.get(*at) {
                    Some((_, known)) => assert_eq!(
                        (shown(known), known.next_offset),
                        (shown(&one), one.next_offset)
                    ),
                    None => seen.push((*from, one.clone())),
                }
                (*at, *from) = (*at + 1, one.next_offset);
            }
            // All of a reader's names may have been read, and it begins anew.
            if *at >= expected.len() && rng.bool() && speed == 0 {
                assert!(read(&filesystem, *handle, *from).await.is_empty());
            }
        }
        let all = seen.iter().map(|(_, one)| shown(one)).collect::<Vec<_>>();
        assert_eq!(all.len(), expected.len());
        assert_eq!(all.into_iter().collect::<std::collections::BTreeMap<_, _>>(), expected);
    }
}

fn key(rng: &mut Rng) -> String {
    let name = format!("{:04}", rng.u16(0..4000));
    let end = ["", "", "", "-x", "!", ".nc", "/a", "/b", "-y/c"][rng.usize(0..9)];
    match rng.u16(0..500) {
        0 => format!("d/{name}.granulefs-object"),
        1 => format!("d/{name}\0"),
        _ => format!("d/{name}{end}"),
    }
}

/// While names come and go in the bucket, a reader in little memory shows each unchanged name once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unchanged_names_are_shown_once_while_parts_are_fetched_again() {
    let environment = environment_with("d/{5:date}-{1000}.nc");
    let filesystem = environment.filesystem_with_metadata(100 << 10, HOUR);
    let (fast, slow) = (open(&filesystem, "d").await, open(&filesystem, "d").await);
    read_on(&filesystem, fast, 0, usize::MAX).await;
    let (mut seen, mut from) = (Vec::new(), 0);
    loop {
        let names = read(&filesystem, slow, from).await;
        let Some(last) = names.last() else { break };
        from = last.next_offset;
        seen.extend(names.iter().map(|one| one.name.to_string()));
        for _ in 0..30 {
            let key =
                format!("d/{}-{:03}a", 20_020_601 + fastrand::u32(0..5), fastrand::u32(..999));
            if fastrand::bool() { environment.put(&key, "y") } else { environment.delete(&key) }
        }
    }
    assert!(seen.is_sorted_by(|a, b| a < b));
    let stayed = seen.iter().filter(|name| name.ends_with(".nc")).count();
    assert_eq!(stayed, 5000);
}

/// What was learned of names is dropped when its time is over, also when nobody asks.
#[tokio::test]
async fn names_are_dropped_when_their_time_is_over() {
    let environment = environment_with("d/{10:date}-{1000}.nc");
    let filesystem = environment.filesystem_with_metadata(64 << 20, Duration::from_secs(5));
    in_time(filesystem.names("d")).await.unwrap();
    assert!(filesystem.name_bytes() > 500_000);
    in_time(async {
        while filesystem.name_bytes() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}
