//! How many GETs and bytes each workload of reads may cost. `scripts/bench` measures their times.

use fake_daac::Content;
use futures_util::future::join_all;

use crate::environment::{TestEnvironment, in_time};
use crate::workload::{random, take_counts};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Reads these ranges of a new file of `size` bytes, checks the bytes, and returns the cost.
async fn cost(name: &str, size: u64, reads: impl Iterator<Item = (u64, u64)>) -> (u64, u64) {
    let environment = TestEnvironment::new();
    environment.put(name, Content::synthetic(size));
    let (filesystem, object) = (environment.filesystem(), environment.expected(name));
    let handle =
        filesystem.open(in_time(filesystem.number(name)).await.unwrap()).await.unwrap().handle;
    take_counts(&environment).await;
    for (offset, length) in reads {
        let read = in_time(filesystem.read(handle, offset, u32::try_from(length).unwrap()))
            .await
            .unwrap()
            .concat();
        assert!(read == object.read(offset..(offset + length).min(size)).unwrap()[..], "{offset}");
    }
    filesystem.release(handle);
    take_counts(&environment).await
}

/// Reads of one uncached file: its start, random offsets, the metadata of a granule, dense chunks,
/// and concurrent streams.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_of_one_file_stay_within_their_budgets() {
    const FOUR_GIB: u64 = 4096 * MIB;
    let pages: Vec<_> =
        random(100).map(|number| (number % (FOUR_GIB / 4096) * 4096, 4 * KIB)).collect();
    let mebibytes: Vec<_> =
        random(60).map(|number| (number % 4090 * MIB + number % 1000 * 512, MIB)).collect();
    let head: Vec<_> = [0, 8, 96, 512, 2048, 40_000].map(|offset| (offset, 4 * KIB)).into();
    let tail = [(49 * MIB - 4 * KIB, 4 * KIB), (49 * MIB - 100 * KIB, 16 * KIB)];
    let chunks: Vec<_> =
        random(45).map(|number| (number % 200 * 250_000 % (49 * MIB), 250_000)).collect();
    // Eight ranges of 4 MiB, far apart, which are read in turn.
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
    // Two of the 60 mebibytes are next to each other and are taken for a stream, which costs 4 more
    // GETs.
    // The workload, its file, and the most GETs and bytes that it may cost.
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

/// An object below 64 MiB of which large scattered reads are made, as h5py does, is fetched whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_with_dense_reads_is_fetched_whole() {
    let environment = TestEnvironment::new();
    environment.put("f", Content::synthetic(20 * MIB));
    let filesystem = environment.filesystem();
    let handle =
        filesystem.open(in_time(filesystem.number("f")).await.unwrap()).await.unwrap().handle;
    for number in [3, 9, 15] {
        in_time(filesystem.read(handle, number * MIB + 17, 190_000)).await.unwrap();
    }
    // Its last GET may not have reached the store when the others are answered.
    in_time(async {
        while filesystem.cached_bytes() < 20 * MIB {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(take_counts(&environment).await.1 < 2 * 20 * MIB);
    assert!(in_time(filesystem.bytes("f")).await.unwrap() == environment.bytes("f"));
    assert_eq!(take_counts(&environment).await, (0, 0));
}

/// Four concurrent streams fetch each byte once, in few GETs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_streams_cost_as_much_as_four_files() {
    const SIZE: u64 = 16 * MIB;
    let environment = TestEnvironment::new();
    let names = ["a", "b", "c", "d"];
    for name in names {
        environment.put(name, Content::synthetic(SIZE));
    }
    let filesystem = environment.filesystem_with_cache(256 << 20);
    for (read, name) in
        in_time(join_all(names.map(|name| filesystem.bytes(name)))).await.into_iter().zip(names)
    {
        assert!(read.unwrap() == environment.bytes(name), "{name}");
    }
    let (gets, sent) = take_counts(&environment).await;
    assert!(gets <= 4 * (SIZE / (4 * MIB) + 24) && sent <= 4 * SIZE, "{gets} GETs, {sent} bytes");
    for name in names {
        in_time(filesystem.bytes(name)).await.unwrap();
    }
    assert_eq!(take_counts(&environment).await, (0, 0));
}

/// Many small files and some large ones, read in the order of the directory and in orders that the
/// prefetcher does not predict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_directory_cost_little_more_than_their_bytes_in_any_order() {
    let backwards: Vec<usize> = (0..30).rev().collect();
    let shuffled: Vec<usize> = (0..30).map(|number| number * 7 % 30).collect();
    // The number and the size of the files, which ones are read, the most GETs for each, and the
    // bytes sent in percent of the bytes read.
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
        let filesystem = environment.filesystem();
        in_time(filesystem.names("d")).await.unwrap();
        take_counts(&environment).await;
        for number in &order {
            let key = format!("d/{number:03}");
            assert!(
                in_time(filesystem.bytes(&key)).await.unwrap() == environment.bytes(&key),
                "{key}"
            );
        }
        let (count, (asked, sent)) = (order.len() as u64, take_counts(&environment).await);
        assert!(asked <= gets * count, "{what}: {asked} GETs");
        assert!(
            sent <= count * size * percent / 100,
            "{what}: {sent} bytes sent for {count} files of {size}"
        );
    }
}
