//! Recognises the streams among the reads of an object. How far ahead of each to fetch is up to its
//! cursor.

use std::ops::Range;
use std::sync::Arc;

use super::cursor::Cursor;
use super::read_ahead_quota::ReadAheadQuota;

/// The positions where an object is being read.
#[derive(Debug)]
pub(super) struct Streams {
    quota: Arc<ReadAheadQuota>,
    /// Last used first.
    cursors: Vec<Cursor>,
}

impl Streams {
    /// The most readers of one object that are distinguished.
    const MOST: usize = 8;

    pub(super) fn new(quota: Arc<ReadAheadQuota>) -> Self {
        Self { quota, cursors: Vec::new() }
    }

    /// Returns whether `read` goes on from another one, or starts within what is prefetched.
    pub(super) fn are_continued_by(&self, read: &Range<u64>) -> bool {
        let continues =
            |cursor: &Cursor| cursor.is_continued_by(read) || cursor.has_prefetched(read);
        self.cursors.iter().any(continues)
    }

    /// Returns the bytes to be ahead of the last read.
    pub(super) fn window(&self) -> u64 {
        self.cursors.first().map_or(0, Cursor::window)
    }

    /// Records a read of an object of `size` bytes. Where more should be prefetched, `fetch`
    /// gets the range of bytes, and returns up to where it could.
    pub(super) fn record(
        &mut self,
        read: &Range<u64>,
        size: u64,
        fetch: impl FnOnce(Range<u64>) -> u64,
    ) {
        let cursors = self.cursors.iter().enumerate();
        let nearest = cursors
            .filter(|(_, cursor)| cursor.is_continued_by(read))
            .min_by_key(|(_, cursor)| cursor.distance(read))
            .map(|(index, _)| index);
        let cursor = if let Some(index) = nearest {
            let mut cursor = self.cursors.remove(index);
            cursor.advance(read, size, &self.quota, fetch);
            cursor
        } else {
            let mut cursors = self.cursors.iter_mut();
            let skipped = cursors.find(|cursor| cursor.has_prefetched(read));
            let cursor =
                skipped.map_or_else(|| Cursor::new(read.end), |cursor| cursor.skip_to(read));
            self.cursors.truncate(Self::MOST - 1);
            cursor
        };
        self.cursors.insert(0, cursor);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    /// Bytes of one read-ahead request of the kernel.
    const STEP: u64 = 512 * KIB;
    const HUGE: u64 = 10_000 * MIB;

    fn streams() -> Streams {
        Streams::new(ReadAheadQuota::new(1024 * MIB))
    }

    /// Returns what is prefetched at a read.
    fn ahead(streams: &mut Streams, read: Range<u64>, size: u64) -> Option<Range<u64>> {
        let mut ahead = None;
        streams.record(&read, size, |range| ahead.insert(range).end);
        ahead
    }

    proptest! {
        #[test]
        fn interleaved_streams_are_fetched_once_each_and_without_gaps(
            count in 1..=Streams::MOST as u64, step in 4 * KIB..2 * MIB,
            length in MIB..100 * MIB, turns in prop::collection::vec(0..8_u64, 1..50),
        ) {
            // Far enough apart that none is fetched ahead of another.
            let (distance, mut streams) = (length + Cursor::LARGEST_WINDOW + MIB, streams());
            let size = distance * count;
            let mut fetched = vec![None; count as usize];
            let mut done = vec![0; count as usize];
            let mut order = turns.into_iter().cycle();
            while done.iter().any(|done| *done < length) {
                let turn = order.next().unwrap_or(0) % count;
                let unfinished = (0..count).filter(|stream| done[*stream as usize] < length);
                let stream =
                    unfinished.min_by_key(|stream| (*stream + count - turn) % count).unwrap();
                let (done, fetched) =
                    (&mut done[stream as usize], &mut fetched[stream as usize]);
                let start = stream * distance + *done;
                let read = start..start + step;
                if let Some(range) = ahead(&mut streams, read.clone(), size) {
                    prop_assert!(range.end <= size);
                    prop_assert!(range.end - read.end <= Cursor::LARGEST_WINDOW);
                    prop_assert!(fetched.is_none_or(|fetched| range.start >= fetched), "twice");
                    prop_assert!(range.start <= read.end.max(fetched.unwrap_or(0)), "a gap");
                    *fetched = Some(range.end);
                }
                *done += step;
                // After every read but the first, bytes beyond it are prefetched.
                let is_ahead = fetched.is_some_and(|fetched| fetched > read.end);
                prop_assert!(*done == step || read.end >= size || is_ahead);
            }
        }

        /// The kernel asks for nothing that it has in its page cache.
        #[test]
        fn a_stream_that_leaves_parts_out_goes_on(
            skips in prop::collection::vec((2..50_u64, 0..12 * MIB), 20..60),
        ) {
            let (mut streams, mut position, mut fetched) = (streams(), 0, 0);
            // Long enough for the largest window.
            for (reads, skip) in [(256, 0)].into_iter().chain(skips) {
                for number in 0..reads {
                    let read = position..position + STEP;
                    let is_continued = streams.are_continued_by(&read);
                    prop_assert!(position == 0 || is_continued, "at {position}");
                    if let Some(range) = ahead(&mut streams, read.clone(), HUGE) {
                        prop_assert_eq!(range.start, fetched.max(read.end));
                        fetched = range.end;
                    }
                    let is_far = fetched >= read.end + 32 * MIB;
                    let is_young = number == 0 || position < 64 * MIB;
                    prop_assert!(is_young || is_far, "{fetched} at {position}");
                    position = read.end;
                }
                position += skip;
            }
        }

        /// Somebody else who reads here and there within what is fetched ahead of a stream does not
        /// stop it.
        #[test]
        fn a_stream_goes_on_whatever_is_read_beside_it(
            distances in prop::collection::vec(0..40 * MIB, 100),
        ) {
            let (mut streams, mut position, mut fetched) = (streams(), 0, 0);
            for distance in [None; 256].into_iter().chain(distances.into_iter().map(Some)) {
                let mut record = |read: Range<u64>| {
                    if let Some(range) = ahead(&mut streams, read, HUGE) {
                        fetched = fetched.max(range.end);
                    }
                };
                if let Some(start) = distance.map(|distance| position + 3 * MIB + distance) {
                    record(start..start + 4 * KIB);
                }
                record(position..position + STEP);
                position += STEP;
                let is_far = fetched >= position + 32 * MIB;
                prop_assert!(distance.is_none() || is_far, "{fetched} at {position}");
            }
        }

        #[test]
        fn random_reads_fetch_nothing_ahead(
            starts in prop::collection::vec(0..100_000_u64, 1..50), length in 1..4 * KIB,
        ) {
            let mut streams = streams();
            // Some are as close to each other as 76 KiB.
            for start in starts.into_iter().map(|start| start * 76 * KIB) {
                prop_assert_eq!(ahead(&mut streams, start..start + length, 8000 * MIB), None);
            }
        }

        #[test]
        fn the_kernels_chunks_are_one_stream_also_out_of_order(
            swaps in prop::collection::vec(0..6_usize, 400),
        ) {
            let mut chunks: Vec<u64> = (0..400).collect();
            for (index, swap) in swaps.into_iter().enumerate() {
                let other = (index + swap).min(399);
                // None comes later than 6 chunks after its turn.
                if chunks[index] + 6 > other as u64 && chunks[other] + 6 > other as u64 {
                    chunks.swap(index, other);
                }
            }
            let (mut streams, mut fetched) = (streams(), 0);
            for chunk in chunks {
                let start = chunk * 128 * KIB;
                if let Some(range) = ahead(&mut streams, start..start + 128 * KIB, 50 * MIB) {
                    prop_assert!(range.start >= fetched, "twice");
                    fetched = range.end;
                }
            }
            prop_assert_eq!((streams.cursors.len(), fetched), (1, 50 * MIB));
        }

        #[test]
        fn what_could_not_be_fetched_is_asked_for_again(
            reached in prop::collection::vec(0..4 * MIB, 1..200),
        ) {
            let (mut streams, size, step) = (streams(), 200 * MIB, 128 * KIB);
            let (mut fetched, mut position) = (0, 0);
            for reached in reached {
                streams.record(&(position..position + step), size, |range| {
                    assert!(range.start <= fetched.max(position + step), "a gap from {fetched}");
                    fetched = range.end.min(range.start + reached);
                    fetched
                });
                position += step;
            }
        }

        #[test]
        fn streams_of_many_objects_stay_within_the_quota(
            count in 1..40_usize, steps in prop::collection::vec(0..40_usize, 1..500),
        ) {
            let (total, size) = (32 * MIB, 1000 * MIB);
            let quota = ReadAheadQuota::new(total);
            let mut objects: Vec<(Streams, u64, u64)> =
                (0..count).map(|_| (Streams::new(quota.clone()), 0, 0)).collect();
            for step in steps {
                let (streams, position, fetched) = &mut objects[step % count];
                let read = *position..*position + 256 * KIB;
                *position = read.end;
                if let Some(range) = ahead(streams, read, size) {
                    *fetched = range.end;
                }
                let positions = objects.iter().map(|(_, position, fetched)| (position, fetched));
                let unread: u64 =
                    positions.map(|(position, fetched)| fetched.saturating_sub(*position)).sum();
                prop_assert!(unread <= total, "{unread} bytes ahead");
            }
        }
    }
}
