//! How one open object is read, and what is prefetched for it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::first_reads::FileReads;
use super::hdf5_follower::Hdf5Follower;
use super::next_files::UpcomingFiles;
use super::random_access::{RandomAccess, SMALL_OBJECT};
use super::streams::Streams;
use super::strides::Strides;
use super::{Prefetch, file_tail, whole_blocks, whole_pages};
use crate::cache::{BLOCK_SIZE, Piece, RemoteObject};
use crate::governor::{Account, Kind, Product};

/// A file of which all but this part was read was read through: `tail` and checks of magic numbers
/// leave more out.
const LEFT_OUT: u64 = 16;

/// How far ahead of the end of a file the next ones are proposed at least, bytes.
const MIN_AHEAD: u64 = 1 << 20;

/// Prefetches for one open object.
#[derive(Debug)]
pub struct Prefetcher {
    prefetch: Arc<Prefetch>,
    remote: RemoteObject,
    product: Product,
    predictors: Mutex<Predictors>,
}

#[derive(Debug, Default)]
struct Predictors {
    streams: Streams,
    strides: Strides,
    random_access: RandomAccess,
    first_reads: FileReads,
    follower: Option<Hdf5Follower>,
    /// What is read after this object, when it is one of several that are read in order.
    upcoming: Option<UpcomingFiles>,
    /// Bytes that were read.
    consumed: u64,
    /// The guesses of all predictors, except for streams: each of these has an account of its own.
    accounts: HashMap<Kind, Arc<Account>>,
}

/// What a read continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    Stream,
    Stride,
    Random,
}

impl Prefetcher {
    /// Returns a prefetcher for an object that is being opened, after which `upcoming` is expected.
    #[must_use]
    pub fn new(
        prefetch: &Arc<Prefetch>,
        remote: &RemoteObject,
        upcoming: Option<UpcomingFiles>,
    ) -> Self {
        let predictors = Predictors { upcoming, ..Predictors::default() };
        Self {
            prefetch: prefetch.clone(),
            remote: remote.clone(),
            product: Product::of(&remote.id),
            predictors: Mutex::new(predictors),
        }
    }

    /// Prefetches what was read first of other files of the same product.
    pub fn begin(&self) {
        // The kernel may have kept the head from an earlier open.
        let head = self.prefetch.cache.peek(&self.remote, &(0..self.remote.size().min(8)));
        if let Some([Piece::Ready(head)]) = head.as_deref() {
            self.record_head(head);
        }
        let expected = self.prefetch.first_reads.expected(&self.product, self.remote.size());
        // A smaller object comes whole with the first read.
        if !expected.is_empty() && self.remote.size() > SMALL_OBJECT {
            let account = self.account(&mut self.predictors.lock(), Kind::FirstReads);
            for bytes in expected {
                self.prefetch.request(&account, &self.remote, &bytes);
            }
        }
    }

    /// Recognises how `read`, which is not empty and lies within the object, goes on from those
    /// before it. Other reads of the object wait until the answer is finished.
    pub fn observe(&self, read: &Range<u64>) -> ObservedRead<'_> {
        let mut predictors = self.predictors.lock();
        let is_stride = predictors.strides.record(read);
        let streams = &predictors.streams;
        let is_continued = streams.are_continued_by(read);
        let pattern = if is_continued && !predictors.strides.is_cut() {
            Pattern::Stream
        } else if is_stride {
            Pattern::Stride
        } else if is_continued || streams.have_prefetched(read) {
            Pattern::Stream
        } else {
            Pattern::Random
        };
        ObservedRead { prefetcher: self, predictors, pattern, read: read.clone() }
    }

    /// Looks at the object's first bytes, `head`, for a format that tells what is read next.
    pub fn record_head(&self, head: &[u8]) {
        let tail = file_tail::of_head(head, self.remote.size());
        let mut predictors = self.predictors.lock();
        self.request_tail(&mut predictors, tail);
        if predictors.follower.is_none() && Hdf5Follower::is_hdf5(head) {
            let account = self.account(&mut predictors, Kind::Hdf5Metadata);
            predictors.follower = Some(Hdf5Follower::spawn(&self.prefetch, &self.remote, account));
        }
    }

    /// Records that nobody has the object open any more.
    pub fn close(&self) {
        let mut predictors = self.predictors.lock();
        predictors.follower = None;
        let size = self.remote.size();
        self.prefetch.first_reads.learn(&self.product, &predictors.first_reads, size);
        self.prefetch.cache.close(&self.remote);
    }

    fn request_tail(&self, predictors: &mut Predictors, tail: Option<Range<u64>>) {
        if let Some(tail) = tail {
            let account = self.account(predictors, Kind::FileTail);
            self.prefetch.request(&account, &self.remote, &tail);
        }
    }

    fn account(&self, predictors: &mut Predictors, kind: Kind) -> Arc<Account> {
        let new = || self.prefetch.governor.account(kind, &self.product);
        predictors.accounts.entry(kind).or_insert_with(new).clone()
    }
}

/// A read that was recognised, and is to be fetched by the caller before it is finished.
#[derive(Debug)]
#[must_use = "prefetches when it is finished"]
pub struct ObservedRead<'p> {
    prefetcher: &'p Prefetcher,
    predictors: MutexGuard<'p, Predictors>,
    pattern: Pattern,
    read: Range<u64>,
}

impl ObservedRead<'_> {
    /// Returns which bytes to fetch if the read is missing.
    #[must_use]
    pub fn extent(&self) -> Range<u64> {
        let (read, size) = (&self.read, self.prefetcher.remote.size());
        match self.pattern {
            Pattern::Stream => whole_blocks(read, size),
            Pattern::Stride => whole_pages(read, size),
            Pattern::Random => self.predictors.random_access.extent(read, size),
        }
    }

    /// Returns the account for what lies behind a missing read and is fetched with it.
    #[must_use]
    pub fn around(&mut self) -> Arc<Account> {
        self.prefetcher.account(&mut self.predictors, Kind::ReadAround)
    }

    /// Records whether the read was missing, and prefetches what will probably be read next.
    pub fn finish(mut self, is_miss: bool) {
        let (prefetcher, read, pattern) = (self.prefetcher, self.read.clone(), self.pattern);
        let (prefetch, remote) = (&prefetcher.prefetch, &prefetcher.remote);
        let size = remote.size();
        let predictors = &mut *self.predictors;
        if read.start == 0 {
            prefetcher.request_tail(predictors, file_tail::of_name(&remote.id.key, size));
        }
        match pattern {
            Pattern::Stream => {}
            Pattern::Stride => {
                let account = prefetcher.account(predictors, Kind::Stride);
                predictors
                    .strides
                    .predict(size, |next| prefetch.request(&account, remote, &next) >= next.end);
            }
            Pattern::Random if !is_miss => predictors.random_access.record_hit(),
            Pattern::Random => {
                let throughput = prefetch.cache.throughput();
                let is_dense = predictors.random_access.record_miss(&read, size, throughput);
                if is_dense && size <= prefetch.cache.capacity() as u64 / 2 {
                    let account = prefetcher.account(predictors, Kind::WholeObject);
                    prefetch.request(&account, remote, &(0..size));
                }
            }
        }
        if pattern != Pattern::Stride || !predictors.strides.is_cut() {
            // Small reads of what came with others are likely to stay there.
            let may_open = is_miss || read.end - read.start >= BLOCK_SIZE;
            let passed = predictors.streams.record(
                &read,
                size,
                may_open,
                || prefetch.governor.account(Kind::Stream, &prefetcher.product),
                |account, ahead| prefetch.request(account, remote, &ahead).min(ahead.end),
            );
            if let Some(passed) = passed {
                prefetch.cache.pass_over(remote, &passed);
            }
        }
        predictors.first_reads.record(&read);
        let before = predictors.consumed;
        predictors.consumed = before.saturating_add(read.end - read.start);
        let end = size - size / LEFT_OUT;
        if (before + 1..=predictors.consumed).contains(&end) {
            prefetch.next_files.record_end(&remote.id);
        }
        if let Some(follower) = &predictors.follower {
            follower.record_read();
        }
        prefetcher.prefetch_upcoming(predictors);
    }
}

impl Prefetcher {
    /// Prefetches files that are probably read after this one, as the end of this one comes near.
    fn prefetch_upcoming(&self, predictors: &mut Predictors) {
        if predictors.upcoming.is_none() {
            return;
        }
        let account = self.account(predictors, Kind::NextFile);
        let Predictors { upcoming: Some(upcoming), streams, consumed, .. } = predictors else {
            return;
        };
        let rest = self.remote.size().saturating_sub(*consumed);
        // What is refused is proposed again with each read: no more of it than can be earned back.
        let limit = account.limit();
        let ahead = streams.window().clamp(limit, 2 * limit);
        upcoming.extend(rest, ahead.max(MIN_AHEAD), |object, id, ahead| {
            let bucket = self.remote.bucket.clone();
            let remote = RemoteObject { bucket, object: object.clone(), id: id.clone() };
            self.prefetch.request(&account, &remote, &ahead).min(ahead.end)
        });
    }
}
