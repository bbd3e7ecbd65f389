//! How much to fetch around the reads of an object that continue no stream, and when to fetch all
//! of it.

use std::ops::Range;
use std::time::Duration;

use super::whole_pages;
use crate::cache::{BLOCK_SIZE, Throughput};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// An object of up to this size is fetched whole as quickly as in part.
pub(super) const SMALL_OBJECT: u64 = MIB;
/// Reads of larger objects are fetched by themselves when they are far from each other.
const MEDIUM_OBJECT: u64 = 64 * MIB;
/// Formats keep what describes a file at its head.
pub(super) const HEAD_SIZE: u64 = 256 * KIB;
/// From here on, reading on and waiting for another request cost about the same at 30 ms and 90
/// MiB/s.
const MAX_READ_AROUND: u64 = MIB;
/// Over how many connections all of an object is fetched.
pub(super) const WHOLE_OBJECT_CONNECTIONS: u64 = 24;
/// Below a block, a read is fetched by itself.
const MIN_READ_AROUND: u64 = 4 * KIB;
/// What the random reads of one object have shown so far.
#[derive(Debug, Default)]
pub(super) struct RandomAccess {
    /// Bytes worth fetching at a miss: halved by a miss far from the last one, increased by misses
    /// close to each other and by reads of what was fetched around others.
    read_around: u64,
    misses: u32,
    /// What the misses have cost so far, but for that of the head: every reader pays it.
    rent: Duration,
    /// Where the last miss started.
    last_miss: u64,
}

impl RandomAccess {
    /// Returns what to fetch if `read`, of an object of `size` bytes, is missing.
    pub(super) fn extent(&self, read: &Range<u64>, size: u64) -> Range<u64> {
        let around = if self.misses == 0 { Self::initial(size) } else { self.read_around };
        let start = read.start / BLOCK_SIZE * BLOCK_SIZE;
        let end = match read.start {
            _ if size <= SMALL_OBJECT => size,
            0 => HEAD_SIZE.max(read.end),
            _ if around < BLOCK_SIZE && size > MEDIUM_OBJECT => {
                return whole_pages(read, size);
            }
            _ => (start + around).max(read.end),
        };
        start..end.next_multiple_of(BLOCK_SIZE).min(size)
    }

    /// Records that `read` was missing. Returns whether the misses have cost as much as all of the
    /// object would: then it is likely to cost less to fetch it than to go on. Where it is not
    /// granted, the next misses pay anew: to ask costs as much as the object has blocks.
    pub(super) fn record_miss(
        &mut self,
        read: &Range<u64>,
        size: u64,
        throughput: &Throughput,
    ) -> bool {
        let is_near = self.misses > 0 && self.last_miss.abs_diff(read.start) <= MAX_READ_AROUND;
        self.read_around = match self.read_around {
            0 => Self::initial(size),
            around if is_near => (around * 4).clamp(BLOCK_SIZE, MAX_READ_AROUND),
            around => (around / 2).max(MIN_READ_AROUND),
        };
        if read.start > 0 {
            self.rent += throughput.fetch_time(read.end - read.start, 1);
        }
        self.misses += 1;
        self.last_miss = read.start;
        let is_paid = self.rent >= throughput.fetch_time(size, WHOLE_OBJECT_CONNECTIONS);
        if is_paid {
            self.rent = Duration::ZERO;
        }
        is_paid
    }

    /// Records that a read was not missing: what was fetched around others was read.
    pub(super) fn record_hit(&mut self) {
        self.read_around = (self.read_around * 2).min(MAX_READ_AROUND);
    }

    fn initial(size: u64) -> u64 {
        if size > MEDIUM_OBJECT { BLOCK_SIZE } else { HEAD_SIZE }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HUGE: u64 = 4096 * MIB;

    fn length(range: &Range<u64>) -> u64 {
        range.end - range.start
    }

    proptest! {
        /// Uniformly random reads of a huge object fetch nothing but themselves once the pattern is
        /// known.
        #[test]
        fn random_reads_of_a_huge_object_soon_fetch_nothing_but_themselves(
            pages in prop::collection::vec(600..1_000_000_u64, 20..200),
        ) {
            let (mut random_access, throughput) = (RandomAccess::default(), Throughput::default());
            let mut distances = pages.windows(2).map(|pair| pair[0].abs_diff(pair[1]));
            prop_assume!(distances.all(|pages| pages > 256));
            for (number, page) in pages.into_iter().enumerate() {
                let read = page * 4 * KIB..(page + 1) * 4 * KIB;
                let extent = random_access.extent(&read, HUGE);
                prop_assert!(number < 5 || extent == read, "read {number}: {extent:?}");
                prop_assert!(length(&extent) <= 2 * BLOCK_SIZE);
                random_access.record_miss(&read, HUGE, &throughput);
            }
        }

        /// What a miss fetches holds the read, and ends with the object.
        #[test]
        fn what_is_fetched_holds_the_read(
            size in 1..200 * MIB, starts in prop::collection::vec(any::<u64>(), 1..50),
            hits in any::<u64>(),
        ) {
            let (mut random_access, throughput) = (RandomAccess::default(), Throughput::default());
            for (number, start) in starts.into_iter().enumerate() {
                let start = start % size;
                let read = start..(start + 128 * KIB).min(size);
                let extent = random_access.extent(&read, size);
                prop_assert!(extent.start <= read.start && read.end <= extent.end);
                prop_assert!(extent.end <= size);
                prop_assert!(extent.end - start <= MAX_READ_AROUND.max(HEAD_SIZE) + BLOCK_SIZE);
                if hits >> (number % 64) & 1 == 0 {
                    random_access.record_hit();
                } else {
                    random_access.record_miss(&read, size, &throughput);
                }
            }
        }

        /// Whatever the size, no more time is lost with misses before an object is fetched whole
        /// than that takes, and one miss.
        #[test]
        fn an_object_is_fetched_whole_when_its_misses_have_cost_as_much(
            size in 2 * MIB..500 * MIB, length in 4 * KIB..MIB,
        ) {
            let (mut random_access, throughput) = (RandomAccess::default(), Throughput::default());
            let whole = throughput.fetch_time(size, WHOLE_OBJECT_CONNECTIONS);
            let miss = throughput.fetch_time(length, 1);
            let mut rent = Duration::ZERO;
            prop_assert!(!random_access.record_miss(&(0..length), size, &throughput));
            while !random_access.record_miss(&(MIB..MIB + length), size, &throughput) {
                rent += miss;
                prop_assert!(rent < whole);
            }
            prop_assert!(rent + miss >= whole);
            let asks_again = random_access.record_miss(&(MIB..MIB + length), size, &throughput);
            prop_assert_eq!(asks_again, miss >= whole);
        }
    }

    #[test]
    fn neighbouring_misses_increase_the_read_around_also_after_random_reads() {
        let (mut random_access, throughput) = (RandomAccess::default(), Throughput::default());
        let read = |at: u64| at..at + 4 * KIB;
        for number in 1..9 {
            random_access.record_miss(&read(number * 100 * MIB), HUGE, &throughput);
        }
        assert_eq!(random_access.extent(&read(MIB), HUGE), read(MIB));
        random_access.record_miss(&read(900 * MIB + 200 * KIB), HUGE, &throughput);
        random_access.record_miss(&read(900 * MIB + 400 * KIB), HUGE, &throughput);
        let at = 901 * MIB;
        assert_eq!(random_access.extent(&read(at), HUGE), at..at + BLOCK_SIZE);
        random_access.record_hit();
        assert_eq!(random_access.extent(&read(at), HUGE), at..at + 2 * BLOCK_SIZE);
    }
}
