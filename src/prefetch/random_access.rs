//! How much to fetch around the reads of an object that continue no stream.

use std::ops::Range;

use crate::cache::BLOCK_SIZE;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// An object of up to this size is fetched whole as quickly as in part.
const SMALL_OBJECT: u64 = MIB;
/// The largest object that is fetched whole when its reads prove dense.
const MEDIUM_OBJECT: u64 = 64 * MIB;
/// Formats keep what describes a file at its head.
const HEAD_SIZE: u64 = 256 * KIB;
/// From here on, reading on and waiting for another request cost about the same at 30 ms and 90
/// MiB/s.
const MAX_READ_AROUND: u64 = MIB;
/// Below a block, a read is fetched by itself.
const MIN_READ_AROUND: u64 = 4 * KIB;
/// Misses before an object may prove dense, and the part of it that must have been missed by then:
/// many small reads of what describes it do not mean that its data is read.
const DENSE_MISSES: u32 = 2;
const DENSE_DIVISOR: u64 = 256;

/// What the random reads of one object have shown so far.
#[derive(Debug, Default)]
pub(super) struct RandomAccess {
    /// Bytes worth fetching at a miss: halved by a miss far from the last one, increased by misses
    /// close to each other and by reads of what was fetched around others.
    read_around: u64,
    misses: u32,
    /// Bytes of all misses.
    missed: u64,
    /// Where the last miss started.
    last_miss: u64,
    was_dense: bool,
}

/// What to fetch for a read that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The blocks that the read touches, and those up to this byte.
    Until(u64),
    /// The bytes of the read by themselves, without caching them.
    Uncached,
}

impl RandomAccess {
    /// Returns what to fetch if `read`, of an object of `size` bytes, is missing.
    pub(super) fn extent(&self, read: &Range<u64>, size: u64) -> Extent {
        let around = if self.misses == 0 { Self::initial(size) } else { self.read_around };
        match read.start {
            _ if size <= SMALL_OBJECT => Extent::Until(size),
            0 => Extent::Until(HEAD_SIZE.max(read.end).min(size)),
            _ if around < BLOCK_SIZE && size > MEDIUM_OBJECT => Extent::Uncached,
            start => {
                let end = start / BLOCK_SIZE * BLOCK_SIZE + around;
                Extent::Until(end.clamp(read.end, size))
            }
        }
    }

    /// Records that `read` was missing. Returns true once, when the object proves dense, so that
    /// the rest of it is worth fetching.
    pub(super) fn record_miss(&mut self, read: &Range<u64>, size: u64) -> bool {
        let is_near = self.misses > 0 && self.last_miss.abs_diff(read.start) <= MAX_READ_AROUND;
        self.read_around = match self.read_around {
            0 => Self::initial(size),
            around if is_near => (around * 4).clamp(BLOCK_SIZE, MAX_READ_AROUND),
            around => (around / 2).max(MIN_READ_AROUND),
        };
        self.misses += 1;
        self.missed += read.end - read.start;
        self.last_miss = read.start;
        let is_dense = size <= MEDIUM_OBJECT
            && self.misses >= DENSE_MISSES
            && self.missed >= size / DENSE_DIVISOR;
        is_dense && !std::mem::replace(&mut self.was_dense, true)
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

    fn fetched(extent: Extent, read: &Range<u64>) -> u64 {
        match extent {
            Extent::Uncached => read.end - read.start,
            Extent::Until(end) => {
                end.div_ceil(BLOCK_SIZE) * BLOCK_SIZE - read.start / BLOCK_SIZE * BLOCK_SIZE
            }
        }
    }

    proptest! {
        /// Uniformly random reads of a huge object fetch less than three times their bytes once
        /// the pattern is known.
        #[test]
        fn random_reads_of_a_huge_object_soon_fetch_little_more_than_themselves(
            pages in prop::collection::vec(600..1_000_000_u64, 20..200),
        ) {
            let mut random_access = RandomAccess::default();
            let mut distances = pages.windows(2).map(|pair| pair[0].abs_diff(pair[1]));
            prop_assume!(distances.all(|pages| pages > 256));
            for (number, page) in pages.into_iter().enumerate() {
                let read = page * 4 * KIB..(page + 1) * 4 * KIB;
                let extent = random_access.extent(&read, HUGE);
                let fetched = fetched(extent, &read);
                prop_assert!(number < 5 || fetched < 3 * 4 * KIB, "read {number}: {extent:?}");
                prop_assert!(fetched <= 2 * BLOCK_SIZE);
                prop_assert!(!random_access.record_miss(&read, HUGE));
            }
        }

        /// What a miss fetches holds the read, and ends with the object.
        #[test]
        fn what_is_fetched_holds_the_read(
            size in 1..200 * MIB, starts in prop::collection::vec(any::<u64>(), 1..50),
            hits in any::<u64>(),
        ) {
            let mut random_access = RandomAccess::default();
            for (number, start) in starts.into_iter().enumerate() {
                let start = start % size;
                let read = start..(start + 128 * KIB).min(size);
                if let Extent::Until(end) = random_access.extent(&read, size) {
                    prop_assert!(read.end <= end && end <= size);
                    prop_assert!(end - start <= MAX_READ_AROUND.max(HEAD_SIZE));
                }
                if hits >> (number % 64) & 1 == 0 {
                    random_access.record_hit();
                } else {
                    random_access.record_miss(&read, size);
                }
            }
        }
    }

    #[test]
    fn a_medium_object_proves_dense_once_by_its_data_and_not_by_its_description() {
        let size = 49 * MIB;
        let chunk = |number: u64| number * 7 * MIB + 17..number * 7 * MIB + 17 + 190 * KIB;
        let mut random_access = RandomAccess::default();
        let is_dense: Vec<bool> =
            (0..6).map(|number| random_access.record_miss(&chunk(number), size)).collect();
        assert_eq!(is_dense, [false, true, false, false, false, false]);
        let mut random_access = RandomAccess::default();
        assert!(!(0..20).any(|number| {
            random_access.record_miss(&(number * 2 * MIB..number * 2 * MIB + 4 * KIB), size)
        }));
        let mut random_access = RandomAccess::default();
        assert!(!(0..20).any(|number| random_access.record_miss(&chunk(number), HUGE)));
    }

    #[test]
    fn neighbouring_misses_increase_the_read_around_also_after_random_reads() {
        let mut random_access = RandomAccess::default();
        let read = |at: u64| at..at + 4 * KIB;
        for number in 1..9 {
            random_access.record_miss(&read(number * 100 * MIB), HUGE);
        }
        assert_eq!(random_access.extent(&read(MIB), HUGE), Extent::Uncached);
        random_access.record_miss(&read(900 * MIB + 200 * KIB), HUGE);
        random_access.record_miss(&read(900 * MIB + 400 * KIB), HUGE);
        assert_eq!(
            random_access.extent(&read(901 * MIB), HUGE),
            Extent::Until(901 * MIB + BLOCK_SIZE)
        );
        random_access.record_hit();
        assert_eq!(
            random_access.extent(&read(901 * MIB), HUGE),
            Extent::Until(901 * MIB + 2 * BLOCK_SIZE)
        );
    }
}
