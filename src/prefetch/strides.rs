//! Reads at regular distances, as those of a slice through a large array are.

use std::ops::Range;

/// Equal distances in a row that are no accident.
const ENOUGH: u32 = 2;
/// Reads fetched ahead, as a power of two: they are far apart, so each is a GET.
const MOST_AHEAD: u32 = 4;

/// The distance between the last reads of an object that follow no stream.
#[derive(Debug, Default)]
pub(crate) struct Strides {
    last: u64,
    distance: i64,
    /// How often the distance was the same again.
    repeats: u32,
    /// How many of the reads to come are fetched.
    ahead: i64,
}

impl Strides {
    /// Takes note of a read. Answers whether it comes at the distance of those before it.
    pub(crate) fn note(&mut self, read: &Range<u64>) -> bool {
        let distance = read.start.cast_signed().wrapping_sub(self.last.cast_signed());
        self.last = read.start;
        if distance == self.distance && distance != 0 {
            self.repeats += 1;
            self.ahead = (self.ahead - 1).max(0);
        } else {
            *self = Self { last: read.start, distance, repeats: 0, ahead: 0 };
        }
        self.repeats >= ENOUGH
    }

    /// The reads, of an object of `size` bytes, that will come after the last one, which was
    /// `read`: each told once.
    pub(crate) fn coming(&mut self, read: &Range<u64>, size: u64) -> Vec<Range<u64>> {
        let known = self.ahead;
        self.ahead = 1 << self.repeats.min(MOST_AHEAD);
        let length = read.end - read.start;
        let places = (known + 1..=self.ahead)
            .filter_map(|step| read.start.checked_add_signed(self.distance.checked_mul(step)?));
        places
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
            first in 0..1000 * MIB, distance in MIB as i64..20 * MIB as i64, is_backward: bool, count in 4..60_u64, length in 1..MIB,
        ) {
            let (size, distance) = (5000 * MIB, if is_backward { -distance } else { distance });
            let start = if is_backward { 4000 * MIB } else { first };
            prop_assume!(start != distance.unsigned_abs());
            let (mut strides, mut fetched) = (Strides::default(), Vec::new());
            for number in 0..count {
                let at = start.checked_add_signed(distance * number as i64).unwrap();
                let read = at..at + length;
                let is_fetched = fetched.contains(&read);
                prop_assert_eq!(strides.note(&read), number > 2);
                prop_assert!(is_fetched || number < 4, "read {number}");
                if number > 2 {
                    for ahead in strides.coming(&read, size) {
                        prop_assert!(!fetched.contains(&ahead), "twice");
                        fetched.push(ahead);
                    }
                }
            }
            prop_assert!(fetched.len() as u64 <= count + 16);
        }
    }

    #[test]
    fn a_broken_pattern_is_one_no_more_and_nothing_lies_outside() {
        let mut strides = Strides::default();
        let read = |number: u64| number * 10..number * 10 + 5;
        assert_eq!(
            [1, 2, 3, 4].map(|number| strides.note(&read(number))),
            [false, false, true, true]
        );
        assert_eq!(strides.coming(&read(4), 73), [50..55, 60..65, 70..73]);
        assert!(
            !strides.note(&read(9))
                && !strides.note(&read(10))
                && !strides.note(&read(10))
                && !strides.note(&read(10))
        );
        let mut strides = Strides::default();
        assert_eq!(
            [50, 40, 30, 20].map(|number| strides.note(&read(number))),
            [false, false, false, true]
        );
        assert_eq!(strides.coming(&read(20), 1000), [100..105, 0..5]);
    }
}
