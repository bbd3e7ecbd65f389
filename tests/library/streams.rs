//! Streams through a small cache. Every byte in memory is counted against one limit; above it, work
//! waits and does not fail.

use std::time::Duration;

use fake_daac::{Content, Failure, Fault, RequestKind};
use futures_util::future::join_all;

use crate::environment::{TestEnvironment, in_time};

const MIB: u64 = 1 << 20;

/// Prefetched blocks are neither evicted unread nor fetched twice, with one stream or with eight.
/// On a busy machine the fake DAAC is late as well, and GETs are hedged: these count once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_hardly_fetch_a_byte_twice_in_a_small_cache() {
    for (streams, size, cache) in [(1, 48 * MIB, 16), (8, 16 * MIB, 64)] {
        let environment = TestEnvironment::new();
        let filesystem = environment.filesystem_with_cache(cache << 20);
        let names: Vec<String> = (0..streams).map(|number| number.to_string()).collect();
        for name in &names {
            environment.put(name, Content::synthetic(size));
        }
        for read in in_time(join_all(names.iter().map(|name| filesystem.bytes(name)))).await {
            assert_eq!(read.unwrap().len() as u64, size);
        }
        let (received, (_, sent)) = (filesystem.received_bytes(), environment.unhedged_gets());
        assert!(
            received.max(sent) < streams * size * 102 / 100,
            "{received} received, {sent} sent to {streams} streams of {size} in {cache} MiB"
        );
    }
}

/// 64 concurrent streams through a cache of 16 MiB, a quarter of a MiB for each, get the right
/// bytes, fetch few of them twice (up to 3 % measured), and keep within the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_streams_make_progress_in_a_small_cache() {
    const SIZE: u64 = 2 * MIB;
    let environment = TestEnvironment::new();
    let filesystem = environment.filesystem_with_cache(16 << 20);
    let names: Vec<String> = (0..64).map(|number| number.to_string()).collect();
    for name in &names {
        environment.put(name, Content::synthetic(SIZE));
    }
    for (read, name) in in_time(join_all(names.iter().map(|name| filesystem.bytes(name))))
        .await
        .into_iter()
        .zip(&names)
    {
        assert!(read.unwrap() == environment.bytes(name), "{name}");
    }
    let (received, (_, sent)) = (filesystem.received_bytes(), environment.unhedged_gets());
    assert!(
        received.max(sent) < 64 * SIZE * 11 / 10 && filesystem.cached_bytes() <= 16 * MIB,
        "{received} bytes received, {sent} sent, {} held",
        filesystem.cached_bytes()
    );
}

/// 64 concurrent streams read twice the size of the cache of 256 MiB: each gets the right bytes,
/// few are fetched twice, and the memory exceeds the limit by one block range at most.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_streams_make_progress_in_a_cache_of_256_mebibytes() {
    const SIZE: u64 = 8 * MIB;
    const LIMIT: u64 = 256 * MIB;
    let environment = TestEnvironment::new();
    let filesystem = environment.filesystem_with_cache(LIMIT as usize);
    let (environment, filesystem) = (&environment, &filesystem);
    in_time(join_all((0..64).map(|number| async move {
        let name = number.to_string();
        environment.put(&name, Content::synthetic(SIZE));
        let (handle, object) = (
            filesystem.open(filesystem.number(&name).await.unwrap()).await.unwrap().handle,
            environment.expected(&name),
        );
        for offset in (0..SIZE).step_by(128 << 10) {
            let read = filesystem.read(handle, offset, 128 << 10).await.unwrap().concat();
            assert!(
                read == object.read(offset..offset + (128 << 10)).unwrap()[..],
                "{name} at {offset}"
            );
            assert!(
                filesystem.cached_bytes() <= LIMIT + 4 * MIB,
                "{} bytes held",
                filesystem.cached_bytes()
            );
        }
        filesystem.release(handle);
    })))
    .await;
    let (received, (_, sent)) = (filesystem.received_bytes(), environment.unhedged_gets());
    assert!(
        received.max(sent) < 64 * SIZE * 102 / 100 && filesystem.cached_bytes() <= LIMIT,
        "{received} bytes received, {sent} sent, {} held",
        filesystem.cached_bytes()
    );
}

/// 64 parallel reads of 1 MiB through a cache of 16 MiB wait for memory: all get the right bytes,
/// and the memory exceeds the limit by one block range at most.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_wait_for_memory_and_succeed() {
    let environment =
        TestEnvironment::with_knobs(|knobs| knobs.first_byte_latency = Duration::from_millis(20));
    environment.put("f", Content::synthetic(256 * MIB));
    let filesystem = environment.filesystem_with_cache(16 << 20);
    let handle =
        filesystem.open(in_time(filesystem.number("f")).await.unwrap()).await.unwrap().handle;
    let object = environment.expected("f");
    let (filesystem, object) = (&filesystem, &object);
    in_time(join_all((0..64).map(|number| async move {
        let offset = number * 4 * MIB + 1000;
        let read = filesystem.read(handle, offset, MIB as u32).await.unwrap();
        assert!(filesystem.cached_bytes() <= 20 * MIB, "{} bytes held", filesystem.cached_bytes());
        assert!(read.concat() == object.read(offset..offset + MIB).unwrap()[..]);
    })))
    .await;
    assert!(filesystem.cached_bytes() <= 16 * MIB);
}

/// A stalled fetch that has no reader any more ends, releases its memory, and does not delay the
/// next reader.
#[tokio::test]
async fn a_stalled_fetch_ends_without_readers() {
    let environment = TestEnvironment::new();
    environment.put("f", Content::synthetic(8 * MIB));
    let filesystem = environment.filesystem();
    let handle =
        filesystem.open(in_time(filesystem.number("f")).await.unwrap()).await.unwrap().handle;
    environment.fake_daac.add_fault(Fault::new(Failure::SlowDown).on(RequestKind::Get));
    for offset in [0, MIB / 2, MIB] {
        assert!(
            tokio::time::timeout(Duration::from_millis(50), filesystem.read(handle, offset, 4096))
                .await
                .is_err()
        );
    }
    assert!(filesystem.cached_bytes() > 0);
    in_time(async {
        while filesystem.cached_bytes() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    environment.fake_daac.set(|knobs| knobs.faults.clear());
    assert!(in_time(filesystem.bytes("f")).await.unwrap() == environment.bytes("f"));
}

/// The blocks of a small file replace older ones, so that a small file costs one GET even when the
/// cache is full.
#[tokio::test]
async fn small_files_cost_one_get_each_when_the_cache_is_full() {
    let environment = TestEnvironment::new();
    environment.put("big", Content::synthetic(40 * MIB));
    let filesystem = environment.filesystem_with_cache(16 << 20);
    in_time(filesystem.bytes("big")).await.unwrap();
    assert!(filesystem.cached_bytes() > 15 << 20, "{} held", filesystem.cached_bytes());
    // Each is in a directory of its own, so that the next files are not prefetched.
    let names: Vec<String> = (0..20).map(|number| format!("{number}/small")).collect();
    for name in &names {
        environment.put(name, Content::synthetic(300_000));
    }
    environment.fake_daac.reset_stats();
    for name in &names {
        assert!(
            in_time(filesystem.bytes(name)).await.unwrap() == environment.bytes(name),
            "{name}"
        );
    }
    assert_eq!(environment.fake_daac.stats().gets, 20);
}
