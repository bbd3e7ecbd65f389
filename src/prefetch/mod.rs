//! What to fetch beside what was asked for.
//!
//! A [`Prefetcher`] belongs to one open object, however many handles are open on it. It is told
//! what is read and whether that was missing, and its predictors propose what to fetch before it is
//! read:
//!
//! | predictor | expects |
//! |---|---|
//! | `streams` | reads that go on where another one ended, by up to eight readers at once |
//! | `strides` | reads at distances that repeat |
//! | `random_access` | reads around other reads; all of an object whose misses cost as much |
//! | `file_tail` | reads of the end, in formats that keep something there |
//! | `first_reads` | reads of the places that were read first of files of the same product |
//! | `hdf5_follower` | reads of the places that describe an HDF5 file, which name each other |
//! | `next_files` | files that are read one after the other, in the order of the listing |
//!
//! What is fetched of a proposal is up to the [`governor`](crate::governor), which knows what such
//! guesses were worth so far. All of them pass `Prefetch::request`, except what lies behind a
//! missing read and is a part of that read's own GET: it passes [`ObservedRead::around`].

mod cursor;
mod file_tail;
mod first_reads;
mod hdf5;
mod hdf5_follower;
mod next_files;
mod prefetcher;
mod random_access;
mod streams;
mod strides;

use std::ops::Range;
use std::sync::Arc;

pub use prefetcher::{ObservedRead, Prefetcher};

use crate::cache::{BLOCK_SIZE, BlockCache, RemoteObject};
use crate::governor::{Account, Governor, Kind};
use crate::object::Object;
use first_reads::FirstReads;
use next_files::NextFiles;
pub use next_files::UpcomingFiles;
use random_access::WHOLE_OBJECT_CONNECTIONS;
use strides::PAGE;

/// Over how many connections a guess is spread that is not about a whole object.
const CONNECTIONS: u64 = 8;

/// What the prefetchers of a mount share.
#[derive(Debug)]
pub struct Prefetch {
    cache: Arc<BlockCache>,
    governor: Arc<Governor>,
    next_files: NextFiles,
    first_reads: FirstReads,
}

impl Prefetch {
    /// Returns a mount's prefetching into `cache`, before anything was opened.
    #[must_use]
    pub fn new(cache: Arc<BlockCache>) -> Arc<Self> {
        // The other half is for what was read.
        let governor = Governor::new(cache.capacity() as u64 / 2);
        let (next_files, first_reads) = (NextFiles::new(), FirstReads::new());
        Arc::new(Self { cache, governor, next_files, first_reads })
    }

    /// Records that `object` is opened. Returns the files that are probably read after it, if any.
    /// `following(count)` returns up to `count` objects of the same bucket that a reader of one
    /// file after the other would open next.
    #[must_use]
    pub fn record_open(
        &self,
        object: &Object,
        following: impl FnOnce(usize) -> Vec<Arc<Object>>,
    ) -> Option<UpcomingFiles> {
        self.next_files.record_open(object, following)
    }

    /// Returns what decides about guesses.
    #[must_use]
    pub fn governor(&self) -> &Governor {
        &self.governor
    }

    /// Asks the cache for `bytes` of `remote`, as far as `account` covers them and there is room.
    /// Returns up to which byte they are in memory or in flight now.
    fn request(&self, account: &Arc<Account>, remote: &RemoteObject, bytes: &Range<u64>) -> u64 {
        let connections = match account.kind() {
            Kind::WholeObject => WHOLE_OBJECT_CONNECTIONS,
            _ => CONNECTIONS,
        };
        let bytes = match account.kind() {
            // These are small, and apart from each other.
            Kind::Stride | Kind::FirstReads | Kind::Hdf5Metadata => bytes.clone(),
            _ => whole_blocks(bytes, remote.size()),
        };
        self.cache.prefetch(remote, &bytes, connections, account)
    }
}

/// Returns the bytes of all blocks that `bytes` touch, in an object of `size` bytes.
fn whole_blocks(bytes: &Range<u64>, size: u64) -> Range<u64> {
    bytes.start / BLOCK_SIZE * BLOCK_SIZE..bytes.end.next_multiple_of(BLOCK_SIZE).min(size)
}

/// Returns the bytes of all pages that `bytes` touch, in an object of `size` bytes.
fn whole_pages(bytes: &Range<u64>, size: u64) -> Range<u64> {
    bytes.start / PAGE * PAGE..bytes.end.next_multiple_of(PAGE).min(size)
}
