//! Streams through a small cache: architecture.md, principle 6: every byte held is counted against
//! one budget; over it, work waits.

use std::time::Duration;

use fake_daac::{Content, Failure, Fault, Kind};
use futures_util::future::join_all;

use crate::environment::{TestEnvironment, soon};

const MIB: u64 = 1 << 20;

/// Read-ahead is not thrown out unread, nor asked for twice, by one stream or by eight. Of eight, a
/// few blocks are fetched twice (0.6 % measured, cause not known yet; 47 % when streams did not
/// share): 2 % are allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_hardly_fetch_a_byte_twice_in_a_small_cache() {
    for (streams, size, cache) in [(1, 48 * MIB, 16), (8, 16 * MIB, 64)] {
        let environment = TestEnvironment::new();
        let tree = environment.tree_caching(cache << 20);
        let names: Vec<String> = (0..streams).map(|number| number.to_string()).collect();
        for name in &names {
            environment.put(name, Content::synthetic(size));
        }
        for read in soon(join_all(names.iter().map(|name| tree.bytes(name)))).await {
            assert_eq!(read.unwrap().len() as u64, size);
        }
        let sent = environment.archive.stats().sent;
        assert!(
            sent < streams * size * 102 / 100,
            "{sent} bytes sent to {streams} streams of {size} in {cache} MiB"
        );
    }
}

/// "With 64 concurrent streams in a 256 MiB budget it still moves" (here 16 MiB, a quarter of a MiB
/// for each): right bytes for all, hardly any twice (up to 3 % measured), and a budget that is
/// kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_streams_in_a_small_budget_still_move() {
    const SIZE: u64 = 2 * MIB;
    let environment = TestEnvironment::new();
    let tree = environment.tree_caching(16 << 20);
    let names: Vec<String> = (0..64).map(|number| number.to_string()).collect();
    for name in &names {
        environment.put(name, Content::synthetic(SIZE));
    }
    for (read, name) in
        soon(join_all(names.iter().map(|name| tree.bytes(name)))).await.into_iter().zip(&names)
    {
        assert!(read.unwrap() == environment.bytes(name), "{name}");
    }
    let sent = environment.archive.stats().sent;
    assert!(
        sent < 64 * SIZE * 11 / 10 && tree.held() <= 16 * MIB,
        "{sent} bytes sent, {} held",
        tree.held()
    );
}

/// "With 64 concurrent streams in a 256 MiB budget it still moves", as it is said: twice the budget
/// is read, each stream gets right bytes, hardly any twice, and no more than one run over the
/// budget is ever held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_streams_move_in_the_default_budget() {
    const SIZE: u64 = 8 * MIB;
    const BUDGET: u64 = 256 * MIB;
    let environment = TestEnvironment::new();
    let tree = environment.tree_caching(BUDGET as usize);
    let (environment, tree) = (&environment, &tree);
    soon(join_all((0..64).map(|number| async move {
        let name = number.to_string();
        environment.put(&name, Content::synthetic(SIZE));
        let (handle, object) =
            (tree.open(tree.number(&name).await.unwrap()).unwrap(), environment.expected(&name));
        for offset in (0..SIZE).step_by(128 << 10) {
            let read = tree.read(handle, offset, 128 << 10).await.unwrap().concat();
            assert!(
                read == object.read(offset..offset + (128 << 10)).unwrap()[..],
                "{name} at {offset}"
            );
            assert!(tree.held() <= BUDGET + 4 * MIB, "{} bytes held", tree.held());
        }
        tree.release(handle);
    })))
    .await;
    let sent = environment.archive.stats().sent;
    assert!(
        sent < 64 * SIZE * 102 / 100 && tree.held() <= BUDGET,
        "{sent} bytes sent, {} held",
        tree.held()
    );
}

/// 64 parallel reads of 1 MiB in a budget of 16 MiB: all are right, and no more than one run over
/// it is ever held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demand_waits_for_the_budget_and_is_answered() {
    let environment =
        TestEnvironment::with(|knobs| knobs.first_byte_latency = Duration::from_millis(20));
    environment.put("f", Content::synthetic(256 * MIB));
    let tree = environment.tree_caching(16 << 20);
    let handle = tree.open(soon(tree.number("f")).await.unwrap()).unwrap();
    let object = environment.expected("f");
    let (tree, object) = (&tree, &object);
    soon(join_all((0..64).map(|number| async move {
        let offset = number * 4 * MIB + 1000;
        let read = tree.read(handle, offset, MIB as u32).await.unwrap();
        assert!(tree.held() <= 20 * MIB, "{} bytes held", tree.held());
        assert!(read.concat() == object.read(offset..offset + MIB).unwrap()[..]);
    })))
    .await;
    assert!(tree.held() <= 16 * MIB);
}

/// Fetches that nobody waits for any more end, give their bytes back, and do not stand in the way
/// of the next reader.
#[tokio::test]
async fn a_fetch_that_stands_still_ends_when_its_readers_have_gone() {
    let environment = TestEnvironment::new();
    environment.put("f", Content::synthetic(8 * MIB));
    let tree = environment.tree();
    let handle = tree.open(soon(tree.number("f")).await.unwrap()).unwrap();
    environment.archive.fault(Fault::new(Failure::SlowDown).on(Kind::Get));
    for offset in [0, MIB / 2, MIB] {
        assert!(
            tokio::time::timeout(Duration::from_millis(50), tree.read(handle, offset, 4096))
                .await
                .is_err()
        );
    }
    assert!(tree.held() > 0);
    soon(async {
        while tree.held() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    environment.archive.set(|knobs| knobs.faults.clear());
    assert!(soon(tree.bytes("f")).await.unwrap() == environment.bytes("f"));
}

/// What comes along with a read makes room for itself: small files cost one GET each, however full
/// the cache is.
#[tokio::test]
async fn small_files_cost_one_get_each_also_when_the_cache_is_full() {
    let environment = TestEnvironment::new();
    environment.put("big", Content::synthetic(40 * MIB));
    let tree = environment.tree_caching(16 << 20);
    soon(tree.bytes("big")).await.unwrap();
    assert!(tree.held() > 15 << 20, "{} held", tree.held());
    // Each in a directory of its own: what reads ahead in a directory has no part in this.
    let names: Vec<String> = (0..20).map(|number| format!("{number}/small")).collect();
    for name in &names {
        environment.put(name, Content::synthetic(300_000));
    }
    environment.archive.reset_stats();
    for name in &names {
        assert!(soon(tree.bytes(name)).await.unwrap() == environment.bytes(name), "{name}");
    }
    assert_eq!(environment.archive.stats().gets, 20);
}
