//! Recognises the streams among the reads of an object, and says how far ahead of each to fetch.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::read_ahead_quota::{ReadAheadQuota, Share};

/// The places where an object is being read, last used first.
#[derive(Debug)]
pub(crate) struct Streams {
    shares: Arc<ReadAheadQuota>,
    cursors: Vec<Cursor>,
}

#[derive(Debug)]
struct Cursor {
    /// Where it has come to, bytes.
    position: u64,
    /// Up to where it has been fetched.
    asked: u64,
    /// How far ahead to be, bytes.
    window: u64,
    /// It is a stream when it has one.
    share: Option<Share>,
}

impl Streams {
    /// Readers of one object at a time that are told apart.
    const MOST: usize = 8;

    pub(crate) fn new(shares: Arc<ReadAheadQuota>) -> Self {
        Self { shares, cursors: Vec::new() }
    }

    /// Whether `read` goes on where another one was.
    pub(crate) fn are_followed_by(&self, read: &Range<u64>) -> bool {
        self.cursors.iter().any(|cursor| cursor.is_followed_by(read) || cursor.has_fetched(read))
    }

    /// How far ahead of the last read to be, bytes.
    pub(crate) fn window(&self) -> u64 {
        self.cursors.first().map_or(0, |cursor| cursor.window)
    }

    /// Takes note of a read of an object of `size` bytes. Where that should be read ahead of,
    /// `fetch` is told which bytes, and answers up to where it could.
    pub(crate) fn note(
        &mut self,
        read: &Range<u64>,
        size: u64,
        fetch: impl FnOnce(Range<u64>) -> u64,
    ) {
        let followed =
            self.cursors.iter().enumerate().filter(|(_, cursor)| cursor.is_followed_by(read));
        match followed
            .min_by_key(|(_, cursor)| cursor.position.abs_diff(read.start))
            .map(|(index, _)| index)
        {
            Some(index) => {
                let mut cursor = self.cursors.remove(index);
                cursor.advance(read, size, &self.shares, fetch);
                self.cursors.insert(0, cursor);
            }
            None => {
                let skipped = self.cursors.iter_mut().find(|cursor| cursor.has_fetched(read));
                let cursor =
                    skipped.map_or_else(|| Cursor::at(read.end), |cursor| cursor.skip_to(read));
                self.cursors.truncate(Self::MOST - 1);
                self.cursors.insert(0, cursor);
            }
        }
    }
}

impl Cursor {
    const FIRST_WINDOW: u64 = 2 * 1024 * 1024;
    /// What half a window of reading without a gap makes of it.
    const GROWTH: u64 = 4;
    /// Keeps 32 GETs of 4 MiB under way, about 1.8 GB/s at 30 ms and 90 MB/s each: more than a
    /// reader takes through FUSE.
    const LARGEST_WINDOW: u64 = 128 * 1024 * 1024;
    /// Of a large window, what was read is made up for in steps of this: eight GETs.
    const WORTH_ASKING: u64 = 32 * 1024 * 1024;
    /// The kernel's own read-ahead arrives out of order within this distance.
    const SLACK: u64 = 2 * 1024 * 1024;
    /// How close the second read of a stream comes to the first, in lengths of it: small reads are
    /// close to each other by chance more easily than they are cheap to be wrong about.
    const FIRST_STEPS: u64 = 8;
    /// The same in bytes, at most.
    const LONGEST_FIRST_STEP: u64 = 1024 * 1024;

    fn at(position: u64) -> Self {
        Self { position, asked: position, window: 0, share: None }
    }

    fn is_followed_by(&self, read: &Range<u64>) -> bool {
        let first_step =
            (Self::FIRST_STEPS * (read.end - read.start)).min(Self::LONGEST_FIRST_STEP);
        // Looking at the same bytes again is no step.
        let overlaps = (read.start + 1..read.end).contains(&self.position);
        let longest = if self.window == 0 { first_step } else { Self::SLACK };
        self.position.abs_diff(read.start) <= longest && !(self.window == 0 && overlaps)
    }

    /// Whether `read` begins within what is fetched ahead.
    fn has_fetched(&self, read: &Range<u64>) -> bool {
        (self.position..self.asked).contains(&read.start)
    }

    /// The stream from `read` on, which leaves out some of what is fetched ahead: so does the
    /// kernel with what it still has of an earlier reading. Nothing more is fetched before it is
    /// read on there. What was here may be another reader, and goes on too.
    fn skip_to(&mut self, read: &Range<u64>) -> Self {
        let asked = std::mem::replace(&mut self.asked, read.start);
        Self {
            position: read.end,
            asked: asked.max(read.end),
            window: self.window,
            share: self.share.take(),
        }
    }

    fn advance(
        &mut self,
        read: &Range<u64>,
        size: u64,
        shares: &Arc<ReadAheadQuota>,
        fetch: impl FnOnce(Range<u64>) -> u64,
    ) {
        if read.end <= self.position {
            return;
        }
        self.position = read.end;
        self.asked = self.asked.max(read.end);
        if self.position >= size {
            self.share = None;
            return;
        }
        let now = Instant::now();
        let share = self.share.get_or_insert_with(|| shares.join());
        let limit = share.limit(self.asked - self.position, now);
        // Asked for in large steps, so that a GET is worth its latency.
        let used = self.window.saturating_sub(self.asked - self.position);
        if self.asked >= size || used < (self.window / 2).min(Self::WORTH_ASKING) {
            return;
        }
        self.window =
            (self.window * Self::GROWTH).clamp(Self::FIRST_WINDOW, Self::LARGEST_WINDOW).min(limit);
        let end = (self.position + self.window).min(size);
        if self.asked < end {
            self.asked = fetch(self.asked..end).clamp(self.asked, end);
            share.limit(self.asked - self.position, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;

    fn cursors() -> Streams {
        Streams::new(ReadAheadQuota::new(1024 * MIB))
    }

    /// What is fetched ahead at a read.
    fn ahead(cursors: &mut Streams, read: Range<u64>, size: u64) -> Option<Range<u64>> {
        let mut asked = None;
        cursors.note(&read, size, |range| asked.insert(range).end);
        asked
    }

    proptest! {
        #[test]
        fn interleaved_streams_are_fetched_once_each_and_without_gaps(
            streams in 1..=Streams::MOST as u64, step in 4 * KIB..2 * MIB, length in MIB..100 * MIB, turns in prop::collection::vec(0..8_u64, 1..50),
        ) {
            // Far enough apart that none is fetched ahead of another.
            let (apart, mut cursors) = (length + Cursor::LARGEST_WINDOW + MIB, cursors());
            let size = apart * streams;
            let mut asked = vec![None; streams as usize];
            let mut done = vec![0; streams as usize];
            let mut order = turns.into_iter().cycle();
            while done.iter().any(|done| *done < length) {
                let turn = order.next().unwrap_or(0) % streams;
                let behind = (0..streams).filter(|stream| done[*stream as usize] < length);
                let stream = behind.min_by_key(|stream| (*stream + streams - turn) % streams).unwrap();
                let (done, asked) = (&mut done[stream as usize], &mut asked[stream as usize]);
                let read = stream * apart + *done..stream * apart + *done + step;
                if let Some(range) = ahead(&mut cursors, read.clone(), size) {
                    prop_assert!(range.end <= size && range.end - read.end <= Cursor::LARGEST_WINDOW);
                    prop_assert!(asked.is_none_or(|asked| range.start >= asked), "twice");
                    prop_assert!(range.start <= read.end.max(asked.unwrap_or(0)), "a gap");
                    *asked = Some(range.end);
                }
                *done += step;
                // Every read but the first is ahead of, to half a window at least.
                prop_assert!(*done == step || read.end >= size || asked.is_some_and(|asked| asked > read.end));
            }
        }

        /// The kernel asks for nothing that it has in its page cache.
        #[test]
        fn a_stream_that_leaves_parts_out_goes_on(skips in prop::collection::vec((2..50_u64, 0..12 * MIB), 20..60)) {
            let (mut cursors, step, size) = (cursors(), 512 * KIB, 10_000 * MIB);
            let (mut position, mut asked) = (0, 0);
            // Long enough for the largest window.
            for (reads, skip) in [(256, 0)].into_iter().chain(skips) {
                for number in 0..reads {
                    let read = position..position + step;
                    prop_assert!(position == 0 || cursors.are_followed_by(&read), "at {position}");
                    if let Some(range) = ahead(&mut cursors, read.clone(), size) {
                        prop_assert_eq!(range.start, asked.max(read.end));
                        asked = range.end;
                    }
                    prop_assert!(number == 0 || asked >= read.end + 32 * MIB || position < 64 * MIB, "{} at {position}", asked);
                    position = read.end;
                }
                position += skip;
            }
        }

        /// Somebody else who reads here and there within what is fetched ahead of a stream does not
        /// stop it.
        #[test]
        fn a_stream_goes_on_whatever_is_read_beside_it(places in prop::collection::vec(0..40 * MIB, 100)) {
            let (mut cursors, step, size) = (cursors(), 512 * KIB, 10_000 * MIB);
            let (mut asked, mut position) = (0, 0);
            for place in [None; 256].into_iter().chain(places.into_iter().map(Some)) {
                if let Some(start) = place.map(|place| position + 3 * MIB + place) {
                    asked = ahead(&mut cursors, start..start + 4 * KIB, size).map_or(asked, |range| range.end.max(asked));
                }
                asked = ahead(&mut cursors, position..position + step, size).map_or(asked, |range| range.end.max(asked));
                position += step;
                prop_assert!(place.is_none() || asked >= position + 32 * MIB, "{asked} at {position}");
            }
        }

        #[test]
        fn scattered_reads_fetch_nothing_ahead(places in prop::collection::vec(0..100_000_u64, 1..50), length in 1..4 * KIB) {
            let mut cursors = cursors();
            // Some are as close to each other as 76 KiB.
            for start in places.into_iter().map(|place| place * 76 * KIB) {
                prop_assert_eq!(ahead(&mut cursors, start..start + length, 8000 * MIB), None);
            }
        }

        #[test]
        fn the_kernels_chunks_are_one_stream_also_out_of_order(swaps in prop::collection::vec(0..6_usize, 400)) {
            let mut chunks: Vec<u64> = (0..400).collect();
            for (index, swap) in swaps.into_iter().enumerate() {
                let other = (index + swap).min(399);
                // None comes later than 6 chunks after its turn.
                if chunks[index] + 6 > other as u64 && chunks[other] + 6 > other as u64 {
                    chunks.swap(index, other);
                }
            }
            let (mut cursors, mut fetched) = (cursors(), 0);
            for chunk in chunks {
                let start = chunk * 128 * KIB;
                if let Some(range) = ahead(&mut cursors, start..start + 128 * KIB, 50 * MIB) {
                    prop_assert!(range.start >= fetched, "twice");
                    fetched = range.end;
                }
            }
            prop_assert_eq!((cursors.cursors.len(), fetched), (1, 50 * MIB));
        }

        #[test]
        fn what_could_not_be_fetched_is_asked_for_again(reached in prop::collection::vec(0..4 * MIB, 1..200)) {
            let (mut cursors, size, step) = (cursors(), 200 * MIB, 128 * KIB);
            let (mut fetched, mut position) = (0, 0);
            for reached in reached {
                cursors.note(&(position..position + step), size, |range| {
                    assert!(range.start <= fetched.max(position + step), "a gap from {fetched}");
                    fetched = range.end.min(range.start + reached);
                    fetched
                });
                position += step;
            }
        }

        #[test]
        fn streams_of_many_objects_stay_within_what_there_is(streams in 1..40_usize, steps in prop::collection::vec(0..40_usize, 1..500)) {
            let (total, size) = (32 * MIB, 1000 * MIB);
            let shares = ReadAheadQuota::new(total);
            let mut objects: Vec<(Streams, u64, u64)> = (0..streams).map(|_| (Streams::new(shares.clone()), 0, 0)).collect();
            for step in steps {
                let (cursors, position, asked) = &mut objects[step % streams];
                let read = *position..*position + 256 * KIB;
                *position = read.end;
                if let Some(range) = ahead(cursors, read, size) {
                    *asked = range.end;
                }
                let unread: u64 = objects.iter().map(|(_, position, asked)| asked.saturating_sub(*position)).sum();
                prop_assert!(unread <= total, "{unread} bytes ahead");
            }
        }
    }
}
