//! What the habits of scientific readers may cost in bytes and GETs, read as the kernel reads. The
//! times are measured by `scripts/bench patterns`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::time::Duration;

use bytes::Bytes;
use fake_daac::Content;
use granulefs::inodes::ROOT;

use crate::environment::{TestEnvironment, in_time};
use crate::path_filesystem::PathFilesystem;
use crate::workload::{Cost, OpenFile, random, read_of, take_cost};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const MB: u64 = 1_000_000;
/// What is read at once of a file that is looked into.
const HEAD: (u64, u64) = (0, 16 * KIB);

/// GETs take so long that they overlap, on a busy machine as well.
const FAR: Duration = Duration::from_millis(40);
const NEAR: Duration = Duration::from_millis(5);

fn environment(first_byte_latency: Duration) -> TestEnvironment {
    TestEnvironment::with_knobs(|knobs| knobs.first_byte_latency = first_byte_latency)
}

/// Lists a directory of `count` new files, opens those of `order`, and reads `reads(number)` of
/// each. Returns the cost of each file.
async fn costs_of_files(
    latency: Duration,
    extension: &str,
    count: u64,
    size: u64,
    order: impl Iterator<Item = u64>,
    reads: impl Fn(u64) -> Vec<(u64, u64)>,
) -> Vec<Cost> {
    let environment = environment(latency);
    let key = |number| format!("d/{number:03}.{extension}");
    for number in 0..count {
        environment.put(&key(number), Content::synthetic(size));
    }
    let filesystem = environment.filesystem_with_cache(256 << 20);
    in_time(filesystem.names("d")).await.unwrap();
    take_cost(&environment).await;
    let mut costs = Vec::new();
    for number in order {
        read_of(&environment, &filesystem, &key(number), reads(number)).await;
        costs.push(take_cost(&environment).await);
    }
    costs
}

/// Returns the numbers below `count`, which shares no factor with 17, in an order without runs.
fn shuffled(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |number| number * 17 % count)
}

fn sent(costs: &[Cost]) -> u64 {
    costs.iter().map(|cost| cost.sent).sum()
}

/// One value of one variable from each of many granules: h5py reads the head, some metadata, and
/// one chunk at about the same place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_point_of_each_granule_does_not_cost_the_granules() {
    const SIZE: u64 = 40 * MB;
    let reads = |number: u64| {
        let chunk = 21 * MB + random(24).nth(number as usize).unwrap() % 10_000;
        let metadata = [(32 * KIB, 4 * KIB), (36 * KIB, 16 * KIB), (SIZE - 100_000, 4 * KIB)];
        [[HEAD].as_slice(), &metadata, &[(chunk, 190_000)]].concat()
    };
    let costs = costs_of_files(FAR, "nc", 24, SIZE, 0..24, reads).await;
    assert!(sent(&costs) <= 140 * MB, "{costs:?}");
    // The kernel cuts the chunk in two, which may be the start of a stream: its first window is 2
    // MiB. One or two granules may be fetched whole before it is understood.
    let mut sent: Vec<u64> = costs.iter().map(|cost| cost.sent).collect();
    sent.sort_unstable();
    assert!(sent[..22].iter().all(|sent| *sent <= 3 * MIB), "{costs:?}");
}

/// Files that are looked into in the order of their directory cost little more than in any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_looked_into_cost_what_is_read() {
    let directory = vec![(50 * MB - 22, 22), (50 * MB - 9000, 9000)];
    // The files, what is read of each, the most bytes for each and beside, and how many times the
    // bytes of shuffled files.
    let rows = [
        ("zip", 12, 50 * MB, directory, 0, 2 * MIB, 1),
        ("bin", 60, 60 * MIB, vec![(0, 4 * KIB), (59 * MIB, 4 * KIB)], MIB, 0, 2),
        ("dat", 60, 60 * MIB, vec![HEAD], 64 * KIB, 2 * MIB, 2),
    ];
    for (extension, files, size, reads, each, beside, times) in rows {
        let reads = |_| reads.clone();
        let costs = costs_of_files(NEAR, extension, files, size, shuffled(files), reads).await;
        let in_order = costs_of_files(NEAR, extension, files, size, 0..files, reads).await;
        let (in_order, shuffled) = (sent(&in_order), sent(&costs));
        assert!(in_order <= each * files + beside, "{extension}: {in_order}");
        assert!(in_order <= times * shuffled + beside, "{extension}: {in_order}, {shuffled}");
    }
}

/// Reads `reads` of a new object of `size` bytes and returns the cost.
async fn cost(size: u64, reads: impl IntoIterator<Item = (u64, u64)>) -> Cost {
    let environment = environment(FAR);
    environment.put("f", Content::synthetic(size));
    let filesystem = environment.filesystem_with_cache(256 << 20);
    in_time(filesystem.number("f")).await.unwrap();
    take_cost(&environment).await;
    read_of(&environment, &filesystem, "f", reads).await;
    take_cost(&environment).await
}

/// Reads at a distance that is no multiple of a page, in either direction, are fetched many at a
/// time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_at_any_constant_distance_overlap() {
    const LENGTH: u64 = 64 * KIB;
    // What the kernel asks for.
    const PAGES: u64 = 17 * 4 * KIB;
    for (distance, is_backwards) in
        [(MIB, false), (1_100_000, false), (3_300_000, false), (1_100_000, true)]
    {
        let numbers: Vec<u64> =
            if is_backwards { (0..200).rev().collect() } else { (0..200).collect() };
        let reads = numbers.into_iter().map(|number| (12_345 + number * distance, LENGTH));
        let cost = cost(4096 * MIB, reads).await;
        assert!(cost.gets <= 200 + 32, "{distance}: {cost:?}");
        assert!(cost.sent <= 200 * PAGES * 13 / 10, "{distance}: {cost:?}");
        assert!(cost.most_in_flight >= 8, "{distance}: {cost:?}");
    }
}

/// A plane of a contiguous grid, and a cube of which rows of planes are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planes_of_a_contiguous_grid_overlap() {
    const PLANE: u64 = 4_147_200;
    let plane = (0..240).map(|number| (2048 + 4 * (300 * 1440 + 200) + number * PLANE, 4));
    let cost_of_plane = cost(2048 + 240 * PLANE, plane).await;
    assert!(cost_of_plane.gets <= 260, "{cost_of_plane:?}");
    assert!(cost_of_plane.sent <= 4 * MB, "{cost_of_plane:?}");
    assert!(cost_of_plane.most_in_flight >= 8, "{cost_of_plane:?}");

    let environment = environment(FAR);
    environment.put("f", Content::synthetic(4096 * MIB));
    let filesystem = environment.filesystem_with_cache(256 << 20);
    let mut file = OpenFile::open(&environment, &filesystem, "f").await;
    for plane in 0..16 {
        if plane == 2 {
            take_cost(&environment).await;
        }
        for row in 0..32 {
            file.read((plane * 90_000_000 + row * 1_234_567, 16 * KIB)).await;
        }
    }
    file.close();
    let cost = take_cost(&environment).await;
    assert!(cost.gets <= 14 * 32 + 32, "{cost:?}");
    assert!(cost.sent <= (14 * 32 + 32) * 7 * 4 * KIB, "{cost:?}");
    assert!(cost.most_in_flight >= 8, "{cost:?}");
}

/// Returns the file that `scattered.segments` describes.
fn scattered() -> Bytes {
    let mut rest = include_bytes!("../../src/prefetch/hdf5/fixtures/scattered.segments").as_slice();
    let mut file = Vec::new();
    while let Some((offset, after)) = rest.split_first_chunk() {
        let (length, after) = after.split_first_chunk().unwrap();
        file.resize(u64::from_le_bytes(*offset) as usize, 0);
        let (bytes, after) = after.split_at(u32::from_le_bytes(*length) as usize);
        file.extend(bytes);
        rest = after;
    }
    file.into()
}

/// Returns what h5py reads of it to visit all objects and their attributes.
fn reads_of_scattered() -> Vec<(u64, u64)> {
    let trace = include_str!("../../src/prefetch/hdf5/fixtures/scattered.trace");
    let number = |text: &str| text.parse().unwrap();
    let reads = trace.lines().map(|line| line.split_once(' ').unwrap());
    let reads = reads.map(|(offset, length)| (number(offset), number(length)));
    [HEAD].into_iter().chain(reads).collect()
}

/// All attributes of all objects of an HDF5 file, which name each other and lie far apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scattered_metadata_of_hdf5_overlaps() {
    let environment = environment(FAR);
    let content = scattered();
    for key in ["d/1.h5", "d/2.h5"] {
        environment.put(key, content.clone());
    }
    // Half of the cache is less than the file: it cannot be fetched whole.
    let filesystem = environment.filesystem_with_cache(16 << 20);
    in_time(filesystem.names("d")).await.unwrap();
    let reads = reads_of_scattered();
    for key in ["d/1.h5", "d/2.h5"] {
        take_cost(&environment).await;
        read_of(&environment, &filesystem, key, reads.iter().copied()).await;
        let cost = take_cost(&environment).await;
        assert!(cost.gets <= 90 && cost.sent <= 3 * MB, "{key}: {cost:?}");
        assert!(cost.most_in_flight >= 8, "{key}: {cost:?}");
    }
}

/// A scan of a variable whose chunks lie behind each other, with small gaps, as of ATL03 granules.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_with_gaps_costs_what_is_read() {
    let (mut position, mut asked) = (5000 * MIB, 0);
    let mut reads = Vec::new();
    for number in random(1500) {
        // The index of the chunks is read in between.
        let length = 32_000 + number % 20_000;
        match number >> 32 & 127 {
            0 => reads.push((4000 * MIB + (number >> 40) % 40 * 300_000, 2097)),
            1 => position += (number >> 40) % 200_000,
            2..=4 => position += 2095,
            _ => {}
        }
        reads.push((position, length));
        position += length;
        asked += length;
    }
    // No stream can go beyond the end.
    let cost = cost(position + MIB, reads).await;
    assert!(cost.sent <= asked * 115 / 100, "{cost:?} for {asked}");
    assert!(cost.gets <= asked / 1_300_000, "{cost:?} for {asked}");
}

/// What became of the guesses of each kind that has any: granted, read, wasted, in bytes.
fn guesses(filesystem: &PathFilesystem) -> BTreeMap<String, [u64; 3]> {
    let statistics = filesystem.xattr(ROOT, OsStr::new("user.granulefs.statistics")).unwrap();
    let mut guesses: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for line in statistics.lines() {
        let (name, value) = line.split_once(' ').unwrap();
        if let Some((kind, what)) = name.strip_prefix("guess.").and_then(|s| s.split_once('.')) {
            let index = ["granted", "read", "wasted"].iter().position(|known| *known == what);
            guesses.entry(kind.into()).or_default()[index.unwrap()] = value.parse().unwrap();
        }
    }
    guesses.retain(|_, totals| *totals != [0; 3]);
    guesses
}

/// A file that is closed half way is no longer fetched, and every guess is booked as read or as
/// wasted in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_end_with_their_file_and_are_accounted_for() {
    let environment = environment(FAR);
    environment.put("d/stream", Content::synthetic(400 * MIB));
    environment.put("d/stride", Content::synthetic(400 * MIB));
    environment.put("d/1.nc", Content::synthetic(40 * MIB));
    environment.put("d/2.h5", scattered());
    let filesystem = environment.filesystem_with_cache(256 << 20);
    environment.fake_daac.set(|knobs| knobs.bandwidth = MIB);
    let mut file = OpenFile::open(&environment, &filesystem, "d/stream").await;
    for number in 0..64 {
        file.read((number * 128 * KIB, 128 * KIB)).await;
    }
    let before = environment.fake_daac.stats().sent;
    file.close();
    environment.wait_for_stats(|stats| stats.in_flight == 0).await;
    let sent = environment.fake_daac.stats().sent;
    environment.fake_daac.set(|knobs| knobs.bandwidth = 0);
    assert!(sent <= before + 2 * MIB, "{before} bytes sent before it was closed, {sent} in all");
    let [granted, read, wasted] = guesses(&filesystem)["stream"];
    assert!(granted == read + wasted, "{granted} granted, {read} read, {wasted} wasted");
    assert!(granted > sent + 4 * MIB, "all of {granted} was sent when the file was closed");

    let stride = (0..40).map(|number| (12_345 + number * 1_100_000, 64 * KIB));
    read_of(&environment, &filesystem, "d/stride", stride).await;
    read_of(&environment, &filesystem, "d/1.nc", [HEAD, (10 * MIB, 190_000)]).await;
    read_of(&environment, &filesystem, "d/2.h5", reads_of_scattered()[..90].to_vec()).await;
    take_cost(&environment).await;
    let guesses = guesses(&filesystem);
    for kind in ["stream", "stride", "read_around", "file_tail", "hdf5_metadata"] {
        assert!(guesses.contains_key(kind), "{kind}: {guesses:?}");
    }
    for (kind, [granted, read, wasted]) in &guesses {
        assert_eq!(*granted, read + wasted, "{kind}: {guesses:?}");
    }
}
