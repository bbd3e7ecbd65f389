//! How one open object is read, and what is prefetched for it.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::next_files::UpcomingFiles;
use super::random_access::{Extent, RandomAccess};
use super::streams::Streams;
use super::strides::Strides;
use super::{Kind, Prefetch, file_tail};
use crate::cache::RemoteObject;

/// Prefetches for one open object.
#[derive(Debug)]
pub struct Prefetcher {
    prefetch: Arc<Prefetch>,
    remote: RemoteObject,
    predictors: Mutex<Predictors>,
}

#[derive(Debug)]
struct Predictors {
    streams: Streams,
    strides: Strides,
    random_access: RandomAccess,
    /// What is read after this object, when it is one of several that are read in order.
    upcoming: Option<UpcomingFiles>,
}

/// What a read continues.
#[derive(Clone, Copy, Debug)]
enum Pattern {
    Stream,
    Stride,
    Random,
}

impl Prefetcher {
    pub(super) fn new(
        prefetch: Arc<Prefetch>,
        remote: RemoteObject,
        upcoming: Option<UpcomingFiles>,
    ) -> Self {
        let predictors = Predictors {
            streams: Streams::new(prefetch.quota.clone()),
            strides: Strides::default(),
            random_access: RandomAccess::default(),
            upcoming,
        };
        Self { prefetch, remote, predictors: Mutex::new(predictors) }
    }

    /// Recognises how `read`, which is not empty and lies within the object, goes on from those
    /// before it. Other reads of the object wait until the answer is finished.
    pub fn observe(&self, read: &Range<u64>) -> ObservedRead<'_> {
        let mut predictors = self.predictors.lock();
        let pattern = if predictors.streams.are_continued_by(read) {
            Pattern::Stream
        } else if predictors.strides.record(read) {
            Pattern::Stride
        } else {
            Pattern::Random
        };
        ObservedRead { prefetcher: self, predictors, pattern, read: read.clone() }
    }

    /// Looks at the object's first bytes, `head`, for a format that keeps something at the end.
    pub fn record_head(&self, head: &[u8]) {
        self.request_tail(file_tail::of_head(head, self.remote.size()));
    }

    fn request_tail(&self, tail: Option<Range<u64>>) {
        if let Some(tail) = tail {
            self.request(Kind::FileTail, &tail);
        }
    }

    fn request(&self, kind: Kind, bytes: &Range<u64>) -> u64 {
        self.prefetch.request(kind, &self.remote, bytes)
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
    /// Returns what to fetch if the read is missing.
    #[must_use]
    pub fn extent(&self) -> Extent {
        match self.pattern {
            Pattern::Stream | Pattern::Stride => Extent::Until(self.read.end),
            Pattern::Random => {
                self.predictors.random_access.extent(&self.read, self.prefetcher.remote.size())
            }
        }
    }

    /// Records whether the read was missing, and prefetches what will probably be read next.
    pub fn finish(mut self, is_miss: bool) {
        let (prefetcher, read) = (self.prefetcher, &self.read);
        let (prefetch, remote) = (&prefetcher.prefetch, &prefetcher.remote);
        let size = remote.size();
        let Predictors { streams, strides, random_access, upcoming } = &mut *self.predictors;
        if read.start == 0 {
            prefetcher.request_tail(file_tail::of_name(&remote.id.key, size));
        }
        match self.pattern {
            Pattern::Stream => {}
            Pattern::Stride => {
                for next in strides.next_reads(read, size) {
                    prefetcher.request(Kind::Stride, &next);
                }
            }
            Pattern::Random if !is_miss => random_access.record_hit(),
            Pattern::Random => {
                let is_dense = random_access.record_miss(read, size);
                if is_dense && size <= prefetch.cache.capacity() as u64 / 2 {
                    prefetcher.request(Kind::WholeObject, &(0..size));
                }
            }
        }
        streams.record(read, size, |ahead| prefetcher.request(Kind::Stream, &ahead));
        if let Some(upcoming) = upcoming {
            let rest = size.saturating_sub(read.end);
            upcoming.extend(rest, streams.window(), |object, id, ahead| {
                let (bucket, object, id) = (remote.bucket.clone(), object.clone(), id.clone());
                prefetch.request(Kind::NextFile, &RemoteObject { bucket, object, id }, &ahead)
            });
        }
    }
}
