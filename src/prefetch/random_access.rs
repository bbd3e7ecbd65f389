//! How much to fetch around the reads of an object that follow no stream.

use std::ops::Range;

use crate::cache::BLOCK;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// An object that is as quickly had whole as in part.
const SMALL: u64 = MIB;
/// The most that is fetched whole when its reads prove dense.
const MEDIUM: u64 = 64 * MIB;
/// Formats keep what describes a file at its head.
const HEAD: u64 = 256 * KIB;
/// From here on, reading on and waiting for another request cost about the same at 30 ms and 90
/// MB/s.
const LONGEST_REACH: u64 = MIB;
/// Below a block, a read is fetched alone.
const SHORTEST_REACH: u64 = 4 * KIB;
/// Misses before an object may prove dense, and the part of it that must have been asked for by
/// then: many small reads of what describes it are no reading of its data.
const DENSE_MISSES: u32 = 2;
const DENSE_PART: u64 = 256;

/// What the scattered reads of one object have shown so far.
#[derive(Debug, Default)]
pub(crate) struct RandomAccess {
    /// Bytes worth fetching at a miss: less after each that comes alone, more when what came along
    /// was read.
    reach: u64,
    misses: u32,
    asked: u64,
    last: u64,
    is_fetched: bool,
}

/// What to fetch at a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// The blocks that the read touches, and those up to this byte.
    Until(u64),
    /// The bytes themselves, for nobody else.
    Alone,
}

impl RandomAccess {
    /// What to fetch when `read`, of an object of `size` bytes, turns out to be missing.
    pub(crate) fn amount(&self, read: &Range<u64>, size: u64) -> Amount {
        let reach = if self.misses == 0 { Self::first_reach(size) } else { self.reach };
        match read.start {
            _ if size <= SMALL => Amount::Until(size),
            0 => Amount::Until(HEAD.max(read.end).min(size)),
            _ if reach < BLOCK && size > MEDIUM => Amount::Alone,
            start => Amount::Until((start / BLOCK * BLOCK + reach).clamp(read.end, size)),
        }
    }

    /// Takes note that `read` was missing. Answers whether the object has proved dense, so that the
    /// rest of it is worth fetching.
    pub(crate) fn missed(&mut self, read: &Range<u64>, size: u64) -> bool {
        let is_near = self.misses > 0 && self.last.abs_diff(read.start) <= LONGEST_REACH;
        self.reach = match self.reach {
            0 => Self::first_reach(size),
            reach if is_near => (reach * 4).clamp(BLOCK, LONGEST_REACH),
            reach => (reach / 2).max(SHORTEST_REACH),
        };
        self.misses += 1;
        self.asked += read.end - read.start;
        self.last = read.start;
        let is_dense =
            size <= MEDIUM && self.misses >= DENSE_MISSES && self.asked >= size / DENSE_PART;
        let is_news = is_dense && !self.is_fetched;
        self.is_fetched |= is_dense;
        is_news
    }

    /// Takes note that what came along with other reads was read.
    pub(crate) fn hit(&mut self) {
        self.reach = (self.reach * 2).min(LONGEST_REACH);
    }

    fn first_reach(size: u64) -> u64 {
        if size > MEDIUM { BLOCK } else { HEAD }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HUGE: u64 = 4096 * MIB;

    fn fetched(amount: Amount, read: &Range<u64>) -> u64 {
        match amount {
            Amount::Alone => read.end - read.start,
            Amount::Until(end) => end.div_ceil(BLOCK) * BLOCK - read.start / BLOCK * BLOCK,
        }
    }

    proptest! {
        /// "Below 3x the bytes asked for on uniformly random reads of a huge object once the
        /// pattern is known."
        #[test]
        fn random_reads_of_a_huge_object_soon_fetch_little_more_than_themselves(pages in prop::collection::vec(600..1_000_000_u64, 20..200)) {
            let mut scatter = RandomAccess::default();
            let mut distances = pages.windows(2).map(|pair| pair[0].abs_diff(pair[1]));
            prop_assume!(distances.all(|pages| pages > 256));
            for (number, page) in pages.into_iter().enumerate() {
                let read = page * 4 * KIB..(page + 1) * 4 * KIB;
                let amount = scatter.amount(&read, HUGE);
                prop_assert!(number < 5 || fetched(amount, &read) < 3 * 4 * KIB, "read {number}: {amount:?}");
                prop_assert!(fetched(amount, &read) <= 2 * BLOCK);
                prop_assert!(!scatter.missed(&read, HUGE));
            }
        }

        /// What a miss fetches holds the read, and ends with the object.
        #[test]
        fn what_is_fetched_holds_the_read(size in 1..200 * MIB, starts in prop::collection::vec(any::<u64>(), 1..50), hits in any::<u64>()) {
            let mut scatter = RandomAccess::default();
            for (number, start) in starts.into_iter().enumerate() {
                let start = start % size;
                let read = start..(start + 128 * KIB).min(size);
                if let Amount::Until(end) = scatter.amount(&read, size) {
                    prop_assert!(read.end <= end && end <= size && end - start <= LONGEST_REACH.max(HEAD));
                }
                if hits >> (number % 64) & 1 == 0 { scatter.hit() } else { scatter.missed(&read, size); }
            }
        }
    }

    #[test]
    fn a_medium_object_proves_dense_once_by_its_data_and_not_by_its_description() {
        let size = 49 * MIB;
        let chunk = |number: u64| number * 7 * MIB + 17..number * 7 * MIB + 17 + 190 * KIB;
        let mut scatter = RandomAccess::default();
        let told: Vec<bool> = (0..6).map(|number| scatter.missed(&chunk(number), size)).collect();
        assert_eq!(told, [false, true, false, false, false, false]);
        let mut scatter = RandomAccess::default();
        assert!(!(0..20).any(|number| scatter.missed(&(number * 2 * MIB..number * 2 * MIB + 4 * KIB), size)));
        let mut scatter = RandomAccess::default();
        assert!(!(0..20).any(|number| scatter.missed(&chunk(number), HUGE)));
    }

    #[test]
    fn neighbours_widen_the_reach_also_after_random_reads() {
        let mut scatter = RandomAccess::default();
        let read = |at: u64| at..at + 4 * KIB;
        for number in 1..9 {
            scatter.missed(&read(number * 100 * MIB), HUGE);
        }
        assert_eq!(scatter.amount(&read(MIB), HUGE), Amount::Alone);
        scatter.missed(&read(900 * MIB + 200 * KIB), HUGE);
        scatter.missed(&read(900 * MIB + 400 * KIB), HUGE);
        assert_eq!(scatter.amount(&read(901 * MIB), HUGE), Amount::Until(901 * MIB + BLOCK));
        scatter.hit();
        assert_eq!(scatter.amount(&read(901 * MIB), HUGE), Amount::Until(901 * MIB + 2 * BLOCK));
    }
}
