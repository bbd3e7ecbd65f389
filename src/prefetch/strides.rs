//! Reads at equal distances, as those of a slice through a large array are.

use std::ops::Range;

/// Repetitions of a distance from which on it is a pattern and not chance.
const MIN_REPEATS: u32 = 2;
/// The most reads that are prefetched, as a power of two: they are far apart, so each is a GET.
const MAX_AHEAD_LOG2: u32 = 4;

/// The distance between the last reads of an object that continue no stream.
#[derive(Debug, Default)]
pub(super) struct Strides {
    /// Where the last read started.
    last: u64,
    distance: i64,
    /// How often in a row the distance was the same again.
    repeats: u32,
    /// How many of the reads to come are prefetched.
    ahead: i64,
}

impl Strides {
    /// Records a read. Returns whether it comes at the distance of those before it.
    pub(super) fn record(&mut self, read: &Range<u64>) -> bool {
        let distance = read.start.cast_signed().wrapping_sub(self.last.cast_signed());
        self.last = read.start;
        if distance == self.distance && distance != 0 {
            self.repeats += 1;
            self.ahead = (self.ahead - 1).max(0);
        } else {
            *self = Self { last: read.start, distance, repeats: 0, ahead: 0 };
        }
        self.repeats >= MIN_REPEATS
    }

    /// Returns the reads, of an object of `size` bytes, that are expected after the last one, which
    /// was `read`, and were not returned before.
    pub(super) fn next_reads(&mut self, read: &Range<u64>, size: u64) -> Vec<Range<u64>> {
        let prefetched = self.ahead;
        self.ahead = 1 << self.repeats.min(MAX_AHEAD_LOG2);
        let length = read.end - read.start;
        let starts = (prefetched + 1..=self.ahead)
            .filter_map(|step| read.start.checked_add_signed(self.distance.checked_mul(step)?));
        starts
            .filter(|start| *start < size)
            .map(|start| start..(start + length).min(size))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    proptest! {
        #[test]
        fn regular_reads_are_fetched_once_each_and_before_they_come(
            first in 0..1000 * MIB, distance in MIB as i64..20 * MIB as i64, is_backward: bool,
            count in 4..60_u64, length in 1..MIB,
        ) {
            let size = 5000 * MIB;
            let distance = if is_backward { -distance } else { distance };
            let start = if is_backward { 4000 * MIB } else { first };
            prop_assume!(start != distance.unsigned_abs());
            let (mut strides, mut fetched) = (Strides::default(), Vec::new());
            for number in 0..count {
                let at = start.checked_add_signed(distance * number as i64).unwrap();
                let read = at..at + length;
                let is_fetched = fetched.contains(&read);
                prop_assert_eq!(strides.record(&read), number > 2);
                prop_assert!(is_fetched || number < 4, "read {number}");
                if number > 2 {
                    for ahead in strides.next_reads(&read, size) {
                        prop_assert!(!fetched.contains(&ahead), "twice");
                        fetched.push(ahead);
                    }
                }
            }
            prop_assert!(fetched.len() as u64 <= count + 16);
        }
    }

    #[test]
    fn a_broken_pattern_ends_and_nothing_lies_outside_of_the_object() {
        let mut strides = Strides::default();
        let read = |number: u64| number * 10..number * 10 + 5;
        assert_eq!(
            [1, 2, 3, 4].map(|number| strides.record(&read(number))),
            [false, false, true, true]
        );
        assert_eq!(strides.next_reads(&read(4), 73), [50..55, 60..65, 70..73]);
        assert!(
            !strides.record(&read(9))
                && !strides.record(&read(10))
                && !strides.record(&read(10))
                && !strides.record(&read(10))
        );
        let mut strides = Strides::default();
        assert_eq!(
            [50, 40, 30, 20].map(|number| strides.record(&read(number))),
            [false, false, false, true]
        );
        assert_eq!(strides.next_reads(&read(20), 1000), [100..105, 0..5]);
    }
}
