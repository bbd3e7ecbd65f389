//! What to fetch beside what was asked for.
//!
//! A [`Prefetcher`] belongs to one open object, however many handles are open on it. It is told
//! what is read and whether that was missing, and asks the cache for what its predictors expect to
//! be read next:
//!
//! | predictor | expects |
//! |---|---|
//! | `streams` | reads that go on where another one ended, by up to eight readers at once |
//! | `strides` | reads at equal distances |
//! | `random_access` | reads around other reads, as far as such bytes were read so far |
//! | `file_tail` | reads of the end, in formats that keep something there |
//! | `next_files` | files that are opened in the order of the listing |
//!
//! Whatever is prefetched passes `Prefetch::request` with its kind. What `random_access` adds to a
//! missing read is a part of that read's own GET, and passes [`ObservedRead::extent`] instead.

mod cursor;
mod file_tail;
#[cfg(test)]
mod hdf5;
mod next_files;
mod prefetcher;
mod random_access;
mod read_ahead_quota;
mod streams;
mod strides;

use std::ops::Range;
use std::sync::Arc;

pub use prefetcher::{ObservedRead, Prefetcher};
pub use random_access::Extent;

use crate::cache::{BLOCK_SIZE, BlockCache, RemoteObject, blocks_of};
use crate::object::Object;
use next_files::NextFiles;
use read_ahead_quota::ReadAheadQuota;

/// What the prefetchers of a mount share.
#[derive(Debug)]
pub struct Prefetch {
    cache: Arc<BlockCache>,
    quota: Arc<ReadAheadQuota>,
    next_files: NextFiles,
}

/// What a prefetch is based on.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Stream,
    Stride,
    /// All of an object whose reads proved dense.
    WholeObject,
    FileTail,
    NextFile,
}

impl Kind {
    /// Returns over how many connections a prefetch is spread.
    fn connections(self) -> u64 {
        match self {
            Self::Stream | Self::Stride | Self::FileTail | Self::NextFile => 8,
            Self::WholeObject => 24,
        }
    }
}

impl Prefetch {
    /// Returns a mount's prefetching into `cache`, before anything was opened.
    #[must_use]
    pub fn new(cache: Arc<BlockCache>) -> Arc<Self> {
        let capacity = cache.capacity() as u64;
        Arc::new(Self {
            cache,
            // The other half is for what was read.
            quota: ReadAheadQuota::new(capacity / 2),
            next_files: NextFiles::new(capacity / 4),
        })
    }

    /// Records that `remote` is opened, and returns its prefetcher. `following(count)` returns up
    /// to `count` objects of the same bucket that a reader of one file after the other would open
    /// next.
    #[must_use]
    pub fn open(
        self: &Arc<Self>,
        remote: &RemoteObject,
        following: impl FnOnce(usize) -> Vec<Arc<Object>>,
    ) -> Prefetcher {
        let upcoming = self.next_files.record(&remote.object, following);
        Prefetcher::new(self.clone(), remote.clone(), upcoming)
    }

    /// Asks the cache for `bytes` of `remote`, as far as there is room. Returns up to which byte
    /// they are in memory or in flight now.
    fn request(&self, kind: Kind, remote: &RemoteObject, bytes: &Range<u64>) -> u64 {
        let reached = self.cache.prefetch(remote, blocks_of(bytes), kind.connections());
        reached.saturating_mul(BLOCK_SIZE).min(bytes.end)
    }
}
