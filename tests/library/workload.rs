//! Reads of files as the kernel sends them, and what they cost.

use std::collections::HashSet;

use fake_daac::Object;
use futures_util::future::join_all;

use crate::environment::{TestEnvironment, in_time};
use crate::path_filesystem::PathFilesystem;

const PAGE: u64 = 4096;
/// The largest request of the kernel, in pages: 128 KiB.
const LONGEST_REQUEST: u64 = 32;

/// Returns pseudo-random numbers, the same in each run (SplitMix64).
pub(crate) fn random(count: u64) -> impl Iterator<Item = u64> {
    (1..=count).map(|number| {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    })
}

/// GETs, the bytes sent for them, and the most of them that were under way at once. A hedged GET
/// counts once, but for the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) gets: u64,
    pub(crate) sent: u64,
    pub(crate) most_in_flight: u64,
}

/// Waits until no request is under way, and returns and resets what was counted.
pub(crate) async fn take_cost(environment: &TestEnvironment) -> Cost {
    environment.wait_for_stats(|stats| stats.in_flight == 0).await;
    let (gets, sent) = environment.unhedged_gets();
    let most_in_flight = environment.fake_daac.stats().most_gets_in_flight;
    environment.fake_daac.reset_stats();
    Cost { gets, sent, most_in_flight }
}

/// The same as [`take_cost`] without the GETs under way: the GETs and their bytes.
pub(crate) async fn take_counts(environment: &TestEnvironment) -> (u64, u64) {
    let Cost { gets, sent, .. } = take_cost(environment).await;
    (gets, sent)
}

/// A file that a program has opened and reads through the kernel, which rounds reads to pages, cuts
/// them, and keeps the pages.
#[derive(Debug)]
pub(crate) struct OpenFile<'f> {
    filesystem: &'f PathFilesystem,
    handle: u64,
    object: Object,
    pages: HashSet<u64>,
}

impl<'f> OpenFile<'f> {
    pub(crate) async fn open(
        environment: &TestEnvironment,
        filesystem: &'f PathFilesystem,
        key: &str,
    ) -> Self {
        let number = in_time(filesystem.number(key)).await.unwrap();
        let handle = filesystem.open(number).await.unwrap().handle;
        Self { filesystem, handle, object: environment.expected(key), pages: HashSet::new() }
    }

    /// Reads `length` bytes from `offset` on, and checks what the kernel gets.
    pub(crate) async fn read(&mut self, (offset, length): (u64, u64)) {
        let end = (offset + length).min(self.object.size);
        let mut requests: Vec<(u64, u64)> = Vec::new();
        for page in offset / PAGE..end.div_ceil(PAGE) {
            if self.pages.insert(page) {
                match requests.last_mut() {
                    Some((first, count)) if *first + *count == page && *count < LONGEST_REQUEST => {
                        *count += 1;
                    }
                    _ => requests.push((page, 1)),
                }
            }
        }
        let (filesystem, handle) = (self.filesystem, self.handle);
        let ranges = requests
            .into_iter()
            .map(|(first, count)| first * PAGE..((first + count) * PAGE).min(self.object.size));
        let ranges: Vec<_> = ranges.collect();
        let reads = ranges.iter().map(|range| {
            let length = u32::try_from(range.end - range.start).unwrap();
            filesystem.read(handle, range.start, length)
        });
        for (read, range) in in_time(join_all(reads)).await.into_iter().zip(ranges) {
            let expected = self.object.read(range.clone()).unwrap();
            assert!(read.unwrap().concat() == expected[..], "{range:?}");
        }
    }

    pub(crate) fn close(self) {
        self.filesystem.release(self.handle);
    }
}

/// Opens a file, reads these ranges of it one after the other, and closes it.
pub(crate) async fn read_of(
    environment: &TestEnvironment,
    filesystem: &PathFilesystem,
    key: &str,
    reads: impl IntoIterator<Item = (u64, u64)>,
) {
    let mut file = OpenFile::open(environment, filesystem, key).await;
    for read in reads {
        file.read(read).await;
    }
    file.close();
}
