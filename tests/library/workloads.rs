//! What the reads of issue 4's table may cost at S3 in requests and bytes ("Done when", second
//! item: "request budgets per workload as tests"). Times are the benchmark's.

use std::collections::HashMap;

use fake_daac::{Content, Kind};
use futures_util::future::join_all;

use crate::environment::{TestEnvironment, soon};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Numbers without a pattern, the same in each run (SplitMix64).
fn random(count: u64) -> impl Iterator<Item = u64> {
    (1..=count).map(|number| {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    })
}

/// GETs and their bytes since the last look, when nothing is on its way any more. A GET that was
/// sent twice because S3 was late counts once, and such are few: 3 %, and 4 that are saved up.
async fn spent(environment: &TestEnvironment) -> (u64, u64) {
    environment.counts(|stats| stats.in_flight == 0).await;
    let mut gets: HashMap<_, u64> = HashMap::new();
    let log: Vec<_> =
        environment.archive.log().into_iter().filter(|request| request.kind == Kind::Get).collect();
    for get in &log {
        let sent = gets.entry((&get.key, &get.range)).or_default();
        *sent = get.sent.max(*sent);
    }
    assert!(
        log.len() <= gets.len() * 103 / 100 + 4,
        "{} GETs, {} different ones",
        log.len(),
        gets.len()
    );
    environment.archive.reset_stats();
    (gets.len() as u64, gets.values().sum())
}

/// What reading these places of a new file of `size` bytes cost, after a look at its bytes.
async fn cost(name: &str, size: u64, reads: impl Iterator<Item = (u64, u64)>) -> (u64, u64) {
    let environment = TestEnvironment::new();
    environment.put(name, Content::synthetic(size));
    let (tree, object) = (environment.tree(), environment.expected(name));
    let handle = tree.open(soon(tree.number(name)).await.unwrap()).unwrap();
    spent(&environment).await;
    for (offset, length) in reads {
        let read =
            soon(tree.read(handle, offset, u32::try_from(length).unwrap())).await.unwrap().concat();
        assert!(read == object.read(offset..(offset + length).min(size)).unwrap()[..], "{offset}");
    }
    tree.release(handle);
    spent(&environment).await
}

/// One file, cold: the start of it, random reads, the description of a granule, dense chunks, and
/// streams side by side.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_of_one_file_cost_no_more_than_their_budgets() {
    const FOUR_GIB: u64 = 4096 * MIB;
    let pages: Vec<_> =
        random(100).map(|number| (number % (FOUR_GIB / 4096) * 4096, 4 * KIB)).collect();
    let mebibytes: Vec<_> =
        random(60).map(|number| (number % 4090 * MIB + number % 1000 * 512, MIB)).collect();
    let head: Vec<_> = [0, 8, 96, 512, 2048, 40_000].map(|offset| (offset, 4 * KIB)).into();
    let tail = [(49 * MIB - 4 * KIB, 4 * KIB), (49 * MIB - 100 * KIB, 16 * KIB)];
    let chunks: Vec<_> =
        random(45).map(|number| (number % 200 * 250_000 % (49 * MIB), 250_000)).collect();
    // Eight parts of 4 MiB, far apart, read in turn.
    let interleaved: Vec<_> = (0..32)
        .flat_map(|step| (0..8).map(move |part| (part * 40 * MIB + step * 128 * KIB, 128 * KIB)))
        .collect();
    let whole: Vec<_> = (0..8)
        .flat_map(|step| {
            (0..32).map(move |part| {
                ((part % 8) * 3 * MIB + (step * 4 + part / 8) * 96 * KIB, 96 * KIB)
            })
        })
        .collect();
    // Two of the mebibytes are within one of each other, which looks like a stream: 4 GETs more.
    // What is read, of which file, and the most GETs and bytes that it may cost.
    let rows = [
        ("the first 4 KiB", "f", 100 * MIB, vec![(0, 4 * KIB)], 1, 256 * KIB),
        ("the first 4 KiB of a granule", "f.nc", 100 * MIB, vec![(0, 4 * KIB)], 2, 448 * KIB),
        ("100 random pages of 4 GiB", "f", FOUR_GIB, pages, 100, 3 * 100 * 4 * KIB),
        ("60 random mebibytes of 4 GiB", "f", FOUR_GIB, mebibytes, 124, 72 * MIB),
        ("what ncdump -h reads", "f.nc", 49 * MIB, [head, tail.into()].concat(), 2, 448 * KIB),
        ("45 chunks of a granule", "f.nc", 49 * MIB, chunks, 80, 2 * 49 * MIB),
        ("8 streams on one handle, to the end", "f", 24 * MIB, whole, 60, 24 * MIB * 11 / 10),
        ("8 streams on one handle, part of the way", "f", 320 * MIB, interleaved, 80, 2 * 32 * MIB),
    ];
    for (what, name, size, reads, gets, bytes) in rows {
        let (asked, sent) = cost(name, size, reads.into_iter()).await;
        assert!(
            asked <= gets && sent <= bytes,
            "{what}: {asked} GETs of {gets}, {sent} bytes of {bytes}"
        );
    }
}

/// "45 scattered chunk reads by h5py": once an object has proved dense it is there, whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dense_object_is_there_whole() {
    let environment = TestEnvironment::new();
    environment.put("f", Content::synthetic(20 * MIB));
    let tree = environment.tree();
    let handle = tree.open(soon(tree.number("f")).await.unwrap()).unwrap();
    for number in [3, 9, 15] {
        soon(tree.read(handle, number * MIB + 17, 190_000)).await.unwrap();
    }
    assert!(spent(&environment).await.1 < 2 * 20 * MIB);
    assert!(soon(tree.bytes("f")).await.unwrap() == environment.bytes("f"));
    assert_eq!(spent(&environment).await, (0, 0));
}

/// "4 streams": each byte once, in GETs that are worth their latency.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_streams_cost_what_four_files_cost() {
    const SIZE: u64 = 16 * MIB;
    let environment = TestEnvironment::new();
    let names = ["a", "b", "c", "d"];
    for name in names {
        environment.put(name, Content::synthetic(SIZE));
    }
    let tree = environment.tree_caching(256 << 20);
    for (read, name) in
        soon(join_all(names.map(|name| tree.bytes(name)))).await.into_iter().zip(names)
    {
        assert!(read.unwrap() == environment.bytes(name), "{name}");
    }
    let (gets, sent) = spent(&environment).await;
    assert!(gets <= 4 * (SIZE / (4 * MIB) + 24) && sent <= 4 * SIZE, "{gets} GETs, {sent} bytes");
    for name in names {
        soon(tree.bytes(name)).await.unwrap();
    }
    assert_eq!(spent(&environment).await, (0, 0));
}

/// "100 files of 300 kB" and "10 files of 64 MiB (here 12), one after the other"; and orders in
/// which the guess is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_directory_cost_their_bytes_in_any_order() {
    let backwards: Vec<usize> = (0..30).rev().collect();
    let shuffled: Vec<usize> = (0..30).map(|number| number * 7 % 30).collect();
    // Files, the size of each, which are read, the most GETs for each, and per cent of what is read
    // that may be sent.
    let rows = [
        ("small ones", 100_u64, 300_000, (0..100).collect(), 1, 100),
        ("large ones", 10, 12 * MIB, (0..10).collect(), 20, 100),
        ("backwards", 30, 300_000, backwards, 1, 150),
        ("every third", 30, 300_000, (0..30).step_by(3).collect(), 1, 150),
        ("shuffled", 30, 300_000, shuffled, 1, 150),
    ];
    for (what, files, size, order, gets, percent) in rows {
        let environment = TestEnvironment::new();
        for number in 0..files {
            environment.put(&format!("d/{number:03}"), Content::synthetic(size));
        }
        let tree = environment.tree();
        soon(tree.names("d")).await.unwrap();
        spent(&environment).await;
        for number in &order {
            let key = format!("d/{number:03}");
            assert!(soon(tree.bytes(&key)).await.unwrap() == environment.bytes(&key), "{key}");
        }
        let (count, (asked, sent)) = (order.len() as u64, spent(&environment).await);
        assert!(asked <= gets * count, "{what}: {asked} GETs");
        assert!(
            sent <= count * size * percent / 100,
            "{what}: {sent} bytes sent for {count} files of {size}"
        );
    }
}
