//! Reads at distances that repeat: slices through arrays, one level or two (rows of a plane, planes
//! of a cube), forwards and backwards.
//!
//! The kernel rounds reads to pages, so that equal distances differ by a page from one read to the
//! next. What is predicted is therefore the union of where a read may lie.

use std::collections::VecDeque;
use std::ops::Range;

/// What the kernel rounds reads to, bytes.
pub(super) const PAGE: u64 = 4096;
/// Reads that are remembered.
const REMEMBERED: usize = 256;
/// Longer reads are streams, each of them.
const LONGEST_READ: u64 = 4 << 20;
/// The longest pattern that is looked for: so many reads before the distances repeat.
const LONGEST_PERIOD: usize = REMEMBERED / 2 - 2;
/// How often the distance to the read one period earlier must have been the same again, beside
/// once for each read of the period, before it is a pattern and not chance.
const MIN_REPEATS: usize = 2;
/// How far from where it is predicted a read may lie, bytes.
const MAX_UNCERTAINTY: u64 = PAGE;
/// The most reads that are predicted before they come, as a power of two: they are far apart, so
/// each is a GET.
const MAX_AHEAD_LOG2: usize = 4;

/// The last reads of an object.
#[derive(Debug, Default)]
pub(super) struct Strides {
    /// The last one at the back. Neighbouring reads are one: the kernel cuts large ones.
    reads: VecDeque<Range<u64>>,
    /// How many reads there were.
    count: u64,
    /// How many reads in a row each period has held, by period - 1.
    held: Vec<u32>,
    /// The same before the last read, which may not be complete.
    held_before: Vec<u32>,
    predicted: Predicted,
    /// Whether the last request was a further part of a read.
    is_cut: bool,
}

/// What was predicted last.
#[derive(Clone, Copy, Debug, Default)]
struct Predicted {
    period: usize,
    /// How many reads there were then.
    at: u64,
    /// Up to which read.
    until: u64,
}

impl Strides {
    /// Records a read. Returns whether it goes on as the reads before it.
    pub(super) fn record(&mut self, read: &Range<u64>) -> bool {
        let last = self.reads.back_mut();
        let last = last.filter(|last| last.start <= read.end && read.start <= last.end);
        self.is_cut = last.is_some();
        if let Some(last) = last {
            *last = last.start.min(read.start)..last.end.max(read.end);
        } else {
            self.reads.push_back(read.clone());
            self.count += 1;
            if self.reads.len() > REMEMBERED {
                self.reads.pop_front();
            }
            self.held.resize(LONGEST_PERIOD, 0);
            self.held_before.clone_from(&self.held);
        }
        for period in 1..=LONGEST_PERIOD {
            let is_same = match (self.shift(period, 0), self.shift(period, 1)) {
                (Some(last), Some(before)) => last.abs_diff(before) <= PAGE && last != 0,
                _ => false,
            };
            self.held[period - 1] = if is_same { self.held_before[period - 1] + 1 } else { 0 };
        }
        let Some(period) = self.period() else { return false };
        // Whoever reads on from there does something else.
        let length = |earlier| self.read(earlier).map_or(0, length);
        length(0) <= (2 * length(period)).min(LONGEST_READ)
    }

    /// Returns whether the request that was recorded last is a further part of the read before it.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Predicts what is read next of an object of `size` bytes, and was not fetched for an earlier
    /// prediction. `fetch` gets one read after the other, until it returns that it could not fetch
    /// all of one.
    pub(super) fn predict(&mut self, size: u64, mut fetch: impl FnMut(Range<u64>) -> bool) {
        let Some(period) = self.period() else { return };
        let Some(shift) = self.mean_shift(period) else { return };
        let before = self.predicted;
        // A prediction is right as long as its pattern has held ever since.
        let is_valid = before.period == period && self.count - before.at <= self.held(period);
        let mut until = if is_valid { before.until.max(self.count) } else { self.count };
        let ahead = 1_u64 << self.repeats(period).min(MAX_AHEAD_LOG2);
        // What lies further ahead could be too far from where it is predicted.
        let ahead = ahead.min((MAX_UNCERTAINTY / shift.uncertainty + 1) * period as u64);
        while until < self.count + ahead {
            let expected = self.expected(until + 1 - self.count, period, shift);
            let expected = expected.map(|read| read.start..read.end.min(size));
            if !expected.filter(|read| !read.is_empty()).is_none_or(&mut fetch) {
                break;
            }
            until += 1;
        }
        self.predicted = Predicted { period, at: self.count, until };
    }

    /// Returns where the `ahead`th read after the last one may lie, rounded to pages.
    fn expected(&self, ahead: u64, period: usize, shift: Shift) -> Option<Range<u64>> {
        // The last read may not be complete, so it is never counted from.
        let periods = ahead / period as u64 + 1;
        let earlier = usize::try_from(periods * period as u64 - ahead).ok()?;
        let read = self.read(earlier)?;
        let start = read.start.checked_add_signed(shift.bytes.checked_mul(periods as i64)?)?;
        let uncertainty = shift.uncertainty * periods;
        let end = (start + length(read)).checked_add(uncertainty)?;
        Some(start.saturating_sub(uncertainty) / PAGE * PAGE..end.next_multiple_of(PAGE))
    }

    /// Returns the mean distance from one read to the one a period later.
    fn mean_shift(&self, period: usize) -> Option<Shift> {
        // Over the reads that lie whole periods apart and belong to the pattern.
        let periods = (self.repeats(period) / period + 1).min((self.reads.len() - 1) / period);
        let (last, first) = (self.read(0)?, self.read(periods * period)?);
        let total = last.start.cast_signed().checked_sub(first.start.cast_signed())?;
        let bytes = total.checked_div(periods as i64)?;
        // Of the rounding to pages, and of the division.
        Some(Shift { bytes, uncertainty: PAGE.div_ceil(periods as u64) + 1 })
    }

    /// Returns the shortest of the periods that have held longest, if any has held long enough.
    fn period(&self) -> Option<usize> {
        (1..=self.held.len())
            .filter(|period| self.repeats(*period) >= MIN_REPEATS)
            .max_by_key(|period| (self.held[period - 1], std::cmp::Reverse(*period)))
    }

    /// Returns how many reads in a row a period has held.
    fn held(&self, period: usize) -> u64 {
        self.held.get(period - 1).map_or(0, |held| u64::from(*held))
    }

    /// Returns how often a period has held beyond once for each of its reads.
    fn repeats(&self, period: usize) -> usize {
        (self.held(period) as usize + 1).saturating_sub(period)
    }

    /// Returns the distance to the read that came `earlier` before the last one from the one a
    /// period before it.
    fn shift(&self, period: usize, earlier: usize) -> Option<i64> {
        let (later, before) = (self.read(earlier)?, self.read(earlier + period)?);
        later.start.cast_signed().checked_sub(before.start.cast_signed())
    }

    /// Returns the read that came `earlier` before the last one.
    fn read(&self, earlier: usize) -> Option<&Range<u64>> {
        self.reads.get(self.reads.len().checked_sub(earlier + 1)?)
    }
}

/// The distance between reads that lie a period apart.
#[derive(Clone, Copy, Debug)]
struct Shift {
    bytes: i64,
    /// By how many bytes it may be wrong.
    uncertainty: u64,
}

fn length(read: &Range<u64>) -> u64 {
    read.end - read.start
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;
    const HUGE: u64 = 1 << 40;

    /// What the kernel asks for when somebody reads `range`.
    fn pages(range: Range<u64>) -> Range<u64> {
        range.start / PAGE * PAGE..range.end.next_multiple_of(PAGE)
    }

    /// The requests that the kernel makes of a read, in the order that `shuffle` tells.
    fn requests(read: &Range<u64>, shuffle: u64) -> Vec<Range<u64>> {
        let cut = 128 << 10;
        let starts = (read.start..read.end).step_by(cut);
        let mut requests: Vec<_> =
            starts.map(|start| start..(start + cut as u64).min(read.end)).collect();
        if shuffle.is_multiple_of(2) {
            requests.reverse();
        }
        requests
    }

    fn next_reads(strides: &mut Strides, size: u64) -> Vec<Range<u64>> {
        let mut reads = Vec::new();
        strides.predict(size, |read| {
            reads.push(read);
            true
        });
        reads
    }

    fn holds(predicted: &[Range<u64>], read: &Range<u64>) -> bool {
        predicted.iter().any(|known| known.start <= read.start && read.end <= known.end)
    }

    proptest! {
        #[test]
        fn reads_at_a_distance_are_predicted_as_the_kernel_rounds_and_cuts_them(
            distance in MIB..20 * MIB, is_backward: bool, offset in 0..PAGE,
            count in 8..100_u64, length in 1..MIB / 2, shuffle: u64,
        ) {
            let (mut strides, mut predicted) = (Strides::default(), Vec::new());
            let mut bytes = (0, 0);
            for number in 0..count {
                let place = if is_backward { 4000 - number } else { number + 1 };
                let read = pages(place * distance + offset..place * distance + offset + length);
                prop_assert!(number < 5 || holds(&predicted, &read), "{number}: {read:?}");
                for request in requests(&read, shuffle) {
                    strides.record(&request);
                    predicted.extend(next_reads(&mut strides, HUGE));
                }
                bytes.1 += read.end - read.start;
            }
            bytes.0 = predicted.iter().map(super::length).sum::<u64>();
            // Two pages on either side, and what was predicted beyond the last one.
            let most = (bytes.1 / count + 4 * PAGE) * (count + 16);
            prop_assert!(bytes.0 <= most, "{bytes:?}");
        }

        #[test]
        fn rows_of_planes_are_predicted_beyond_the_end_of_a_plane(
            row in MIB..3 * MIB, rows in 2..40_u64, gap in 10 * MIB..50 * MIB,
            length in 1..100_000_u64,
        ) {
            let plane = row * rows + gap;
            let (mut strides, mut predicted, mut missed) = (Strides::default(), Vec::new(), 0);
            for number in 0..5 * rows {
                let start = number / rows * plane + number % rows * row;
                let read = pages(start..start + length);
                missed += u64::from(number >= 3 * rows && !holds(&predicted, &read));
                strides.record(&read);
                predicted.extend(next_reads(&mut strides, HUGE));
            }
            prop_assert_eq!(missed, 0);
        }

        #[test]
        fn reads_anywhere_are_no_pattern(
            pages in prop::collection::btree_set(0..1_000_000_u64, 3..60), shuffle in 1..1000_usize,
        ) {
            let mut pages: Vec<u64> = pages.into_iter().collect();
            let count = pages.len();
            for index in 0..count {
                pages.swap(index, index * shuffle % count);
            }
            let mut distances = pages.windows(3).map(|pages| {
                let distance = |at: usize| pages[at + 1].cast_signed() - pages[at].cast_signed();
                distance(1).abs_diff(distance(0))
            });
            prop_assume!(distances.all(|difference| difference > 1));
            let mut strides = Strides::default();
            for page in pages {
                prop_assert!(!strides.record(&(page * PAGE..(page + 1) * PAGE)) || count > 10);
            }
        }
    }

    #[test]
    fn whoever_reads_on_from_there_does_something_else() {
        let mut strides = Strides::default();
        let read = |start: u64| start * MIB..start * MIB + 100 * PAGE;
        let goes_on: Vec<bool> = (0..5).map(|number| strides.record(&read(number * 4))).collect();
        assert_eq!(goes_on, [false, false, false, true, true]);
        let on = |from: u64| 16 * MIB + from * PAGE..16 * MIB + (from + 100) * PAGE;
        assert!(strides.record(&on(100)) && !strides.record(&on(200)));
        assert!(!strides.record(&read(100)) && next_reads(&mut strides, HUGE).is_empty());
    }

    #[test]
    fn what_could_not_be_fetched_is_predicted_again() {
        let mut strides = Strides::default();
        for number in 0..6 {
            strides.record(&(number * MIB..number * MIB + PAGE));
        }
        let mut refused = Vec::new();
        strides.predict(HUGE, |read| {
            refused.push(read);
            false
        });
        assert_eq!(refused.len(), 1);
        assert_eq!(next_reads(&mut strides, HUGE)[0], refused[0]);
        assert!(next_reads(&mut strides, HUGE).is_empty());
    }

    #[test]
    fn nothing_is_predicted_outside_of_the_object() {
        for backwards in [false, true] {
            let mut strides = Strides::default();
            for number in 0..4 {
                let place = if backwards { 5 - number } else { number };
                strides.record(&(place * MIB..place * MIB + PAGE));
            }
            let next = next_reads(&mut strides, 5 * MIB + 100);
            let inside = if backwards { [MIB, 0] } else { [4 * MIB, 5 * MIB] };
            assert!(inside.iter().all(|at| holds(&next, &(*at..at + 100))), "{next:?}");
            assert_eq!(next.len(), 2);
            assert!(next.iter().all(|read| read.end <= 5 * MIB + 100));
        }
    }
}
