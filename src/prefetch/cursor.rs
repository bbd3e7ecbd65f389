//! One position where an object is being read, which is a stream once it is read on from there.

use std::ops::Range;
use std::sync::Arc;

use crate::cache::BLOCK_SIZE;
use crate::governor::Account;

/// A position where an object is being read.
#[derive(Debug)]
pub(super) struct Cursor {
    /// Where the last read ended.
    position: u64,
    /// Up to where the object is prefetched, never before `position`.
    prefetched: u64,
    /// Bytes to be ahead of `position`. Zero: no stream yet, or none that is granted anything.
    window: u64,
    /// Its guesses, if it is a stream that has not come to its end.
    account: Option<Arc<Account>>,
    /// Up to where guesses that were not read are given up.
    passed: u64,
}

impl Cursor {
    const FIRST_WINDOW: u64 = 2 * 1024 * 1024;
    /// By how much the window grows after half of it was read without a gap.
    const GROWTH: u64 = 4;
    /// Keeps 32 GETs of 4 MiB in flight, about 1.8 GB/s at 30 ms and 90 MiB/s each: more than a
    /// reader takes through FUSE.
    pub(super) const LARGEST_WINDOW: u64 = 128 * 1024 * 1024;
    /// A large window is refilled in steps of this size: eight GETs.
    const LARGEST_STEP: u64 = 32 * 1024 * 1024;
    /// The kernel's own read-ahead arrives out of order within this distance.
    const SLACK: u64 = 2 * 1024 * 1024;
    /// How close the second read of a stream must be to the first, as a multiple of its length:
    /// small reads are close to each other by chance more often, and a needless window costs more
    /// beside them.
    const FIRST_STEP_LENGTHS: u64 = 8;
    /// The same in bytes, at most.
    const LONGEST_FIRST_STEP: u64 = 1024 * 1024;

    pub(super) fn new(position: u64) -> Self {
        Self { position, prefetched: position, window: 0, account: None, passed: position }
    }

    /// Returns the bytes to be ahead of the last read.
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// Returns how far `read` starts from where the last one ended.
    pub(super) fn distance(&self, read: &Range<u64>) -> u64 {
        self.position.abs_diff(read.start)
    }

    /// Returns whether `read` goes on where the last one ended, or close to it.
    pub(super) fn is_continued_by(&self, read: &Range<u64>) -> bool {
        let is_stream = self.window > 0;
        let first_step =
            (Self::FIRST_STEP_LENGTHS * (read.end - read.start)).min(Self::LONGEST_FIRST_STEP);
        // Reading the same bytes again is no step.
        let overlaps = (read.start + 1..read.end).contains(&self.position);
        self.distance(read) <= if is_stream { Self::SLACK } else { first_step }
            && (is_stream || !overlaps)
    }

    /// Returns whether `read` starts within what is prefetched.
    pub(super) fn has_prefetched(&self, read: &Range<u64>) -> bool {
        (self.position..self.prefetched).contains(&read.start)
    }

    /// Returns a cursor that continues at `read`, whose reader has skipped some of what is
    /// prefetched: the kernel does that with what it still has cached. Nothing more is prefetched
    /// before the stream is read on from there. It may also be another reader, so this cursor goes
    /// on as well, up to `read`.
    pub(super) fn skip_to(&mut self, read: &Range<u64>) -> Self {
        let prefetched = std::mem::replace(&mut self.prefetched, read.start);
        Self {
            position: read.end,
            prefetched: prefetched.max(read.end),
            window: self.window,
            account: self.account.take(),
            passed: self.position,
        }
    }

    /// Goes on to the end of `read`, in an object of `size` bytes. `may_open`: this read may be the
    /// one that makes it a stream. Where more should be prefetched, `fetch` gets the range of
    /// bytes, and returns up to where it could. Returns the bytes that the reader has passed over
    /// since the last time.
    pub(super) fn advance(
        &mut self,
        read: &Range<u64>,
        size: u64,
        may_open: bool,
        account: impl FnOnce() -> Arc<Account>,
        fetch: impl FnOnce(&Arc<Account>, Range<u64>) -> u64,
    ) -> Option<Range<u64>> {
        if read.end <= self.position {
            return None;
        }
        self.position = read.end;
        self.prefetched = self.prefetched.max(read.end);
        if self.window == 0 && !may_open {
            return None;
        }
        if self.position >= size {
            self.account = None;
            return None;
        }
        let account = self.account.get_or_insert_with(account);
        // Prefetched in large steps, so that a GET is worth its latency.
        let lacking = self.window.saturating_sub(self.prefetched - self.position);
        if self.prefetched >= size || lacking < (self.window / 2).min(Self::LARGEST_STEP) {
            return None;
        }
        self.window = (self.window * Self::GROWTH)
            .clamp(Self::FIRST_WINDOW, Self::LARGEST_WINDOW)
            .min(account.share());
        let end = (self.position + self.window).min(size);
        if self.prefetched < end {
            self.prefetched = fetch(account, self.prefetched..end).clamp(self.prefetched, end);
        }
        let behind = self.position.saturating_sub(Self::SLACK) / BLOCK_SIZE * BLOCK_SIZE;
        let behind = behind.max(self.passed);
        Some(std::mem::replace(&mut self.passed, behind)..behind)
    }
}
