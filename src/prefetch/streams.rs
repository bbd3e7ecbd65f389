//! Recognises the streams among the reads of an object. How far ahead of each to fetch is up to its
//! cursor.

use std::ops::Range;
use std::sync::Arc;

use super::cursor::Cursor;
use crate::governor::Account;

/// The positions where an object is being read.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Last used first.
    cursors: Vec<Cursor>,
}

impl Streams {
    /// The most readers of one object that are distinguished.
    const MOST: usize = 8;

    /// Returns whether `read` goes on from another one.
    pub(super) fn are_continued_by(&self, read: &Range<u64>) -> bool {
        self.cursors.iter().any(|cursor| cursor.is_continued_by(read))
    }

    /// Returns whether `read` starts within what is prefetched.
    pub(super) fn have_prefetched(&self, read: &Range<u64>) -> bool {
        self.cursors.iter().any(|cursor| cursor.has_prefetched(read))
    }

    /// Returns the bytes to be ahead of the last read.
    pub(super) fn window(&self) -> u64 {
        self.cursors.first().map_or(0, Cursor::window)
    }

    /// Records a read of an object of `size` bytes. Where more should be prefetched, `fetch` gets
    /// the range of bytes, and returns up to where it could. `may_open`: this read may make those
    /// that it goes on from a stream, which gets its own `account`. Returns the bytes that the
    /// reader of a stream has passed over.
    pub(super) fn record(
        &mut self,
        read: &Range<u64>,
        size: u64,
        may_open: bool,
        account: impl FnOnce() -> Arc<Account>,
        fetch: impl FnOnce(&Arc<Account>, Range<u64>) -> u64,
    ) -> Option<Range<u64>> {
        let cursors = self.cursors.iter().enumerate();
        let nearest = cursors
            .filter(|(_, cursor)| cursor.is_continued_by(read))
            .min_by_key(|(_, cursor)| cursor.distance(read))
            .map(|(index, _)| index);
        let (cursor, passed) = if let Some(index) = nearest {
            let mut cursor = self.cursors.remove(index);
            let passed = cursor.advance(read, size, may_open, account, fetch);
            (cursor, passed)
        } else {
            let mut cursors = self.cursors.iter_mut();
            let skipped = cursors.find(|cursor| cursor.has_prefetched(read));
            let cursor =
                skipped.map_or_else(|| Cursor::new(read.end), |cursor| cursor.skip_to(read));
            self.cursors.truncate(Self::MOST - 1);
            (cursor, None)
        };
        self.cursors.insert(0, cursor);
        passed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::governor::{Governor, Guess, Kind, Product};
    use crate::object::ObjectId;

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    /// Bytes of one read-ahead request of the kernel.
    const STEP: u64 = 512 * KIB;
    const HUGE: u64 = 10_000 * MIB;

    /// Streams, and a governor that has learned that they are read to their ends.
    struct Reads {
        streams: Streams,
        governor: Arc<Governor>,
    }

    fn streams() -> Reads {
        Reads { streams: Streams::default(), governor: proven(1024 * MIB) }
    }

    fn account(governor: &Arc<Governor>) -> Arc<Account> {
        let id = ObjectId { bucket: "b".into(), key: "k".into(), etag: "e".into() };
        governor.account(Kind::Stream, &Product::of(&id))
    }

    fn proven(limit: u64) -> Arc<Governor> {
        let governor = Governor::new(limit);
        let account = account(&governor);
        let _ = account.limit();
        account.note(512 * MIB).read();
        governor
    }

    /// Returns what is prefetched at a read, when no more than `reached` bytes can be.
    fn ahead_up_to(
        reads: &mut Reads,
        read: Range<u64>,
        size: u64,
        reached: u64,
    ) -> Option<Range<u64>> {
        let (mut ahead, governor) = (None, reads.governor.clone());
        let fetch = |_: &Arc<Account>, range: Range<u64>| {
            let end = range.end.min(range.start + reached);
            ahead.insert(range.start..end).end
        };
        reads.streams.record(&read, size, true, || account(&governor), fetch);
        ahead
    }

    /// Returns what is prefetched at a read.
    fn ahead(reads: &mut Reads, read: Range<u64>, size: u64) -> Option<Range<u64>> {
        ahead_up_to(reads, read, size, u64::MAX / 2)
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
                    let is_continued = streams.streams.are_continued_by(&read)
                        || streams.streams.have_prefetched(&read);
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
            prop_assert_eq!((streams.streams.cursors.len(), fetched), (1, 50 * MIB));
        }

        #[test]
        fn what_could_not_be_fetched_is_asked_for_again(
            reached in prop::collection::vec(0..4 * MIB, 1..200),
        ) {
            let (mut streams, size, step) = (streams(), 200 * MIB, 128 * KIB);
            let (mut fetched, mut position) = (0, 0);
            for reached in reached {
                let read = position..position + step;
                if let Some(range) = ahead_up_to(&mut streams, read, size, reached) {
                    prop_assert!(range.start <= fetched.max(position + step), "a gap");
                    fetched = range.end;
                }
                position += step;
            }
        }

        #[test]
        fn streams_of_many_objects_stay_within_the_limit(
            count in 1..40_usize, steps in prop::collection::vec(0..40_usize, 1..500),
        ) {
            let (total, size) = (32 * MIB, 1000 * MIB);
            let governor = proven(total);
            let new = || (Streams::default(), 0, VecDeque::new());
            let mut objects: Vec<(Streams, u64, VecDeque<Guess>)> =
                (0..count).map(|_| new()).collect();
            for step in steps {
                let (streams, position, unread) = &mut objects[step % count];
                let read = *position..*position + 256 * KIB;
                *position = read.end;
                if let Some(guess) = unread.pop_front() {
                    guess.read();
                }
                streams.record(&read, size, true, || account(&governor), |account, range| {
                    let steps = account.allowance(range.end - range.start).granted / (256 * KIB);
                    unread.extend((0..steps).map(|_| account.fetch(256 * KIB)));
                    range.start + steps * 256 * KIB
                });
                let unread: usize = objects.iter().map(|(.., unread)| unread.len()).sum();
                prop_assert!(unread as u64 * 256 * KIB <= total, "{unread} steps ahead");
            }
        }
    }

    #[test]
    fn a_stream_whose_purse_is_empty_is_proposed_and_earns_it_back() {
        let governor = Governor::new(1024 * MIB);
        let first = account(&governor);
        let _ = first.limit();
        first.note(16 * MIB).waste();
        let (mut streams, mut is_proposed) = (Streams::default(), false);
        for number in 0..4 {
            let read = number * STEP..(number + 1) * STEP;
            streams.record(
                &read,
                HUGE,
                true,
                || account(&governor),
                |_, range| {
                    is_proposed = true;
                    range.start
                },
            );
        }
        assert!(is_proposed);
    }
}
