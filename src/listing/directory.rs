//! One directory: the names that are known of it, and who reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::EscapedKeys;
use super::ordered_entries::OrderedEntries;
use super::packed_page::PackedPage;
use super::page_fetcher::PageFetcher;
use super::page_times::PageTimes;
use super::partitioned::PartitionedListing;
use crate::error::Error;
use crate::object::{Entry, NamedEntry, Object, Prefix};
use crate::s3::Bucket;

/// How many names are given out at once: a few of the kernel's buffers full.
const BATCH: usize = 512;
/// How many names are fetched beyond those that were asked for: one page.
const READ_AHEAD: usize = 1000;
/// A reader past this many names is assumed to read all of them, so all pages are fetched.
const READS_ALL: usize = 3000;

/// A listing that began at one moment. Whoever holds it sees each name once, at one index.
#[derive(Debug)]
pub struct Directory {
    bucket: Bucket,
    prefix: Prefix,
    /// The lock is fair, so that a lookup gets it between two of the hundreds of pages that may be
    /// taken in one after the other.
    state: Mutex<State>,
    /// Whether the kernel has names of this very listing, and their attributes too.
    is_in_kernel: AtomicBool,
    /// How many handles are open.
    readers: watch::Sender<usize>,
    /// Changes whenever the state has changed.
    changed: watch::Sender<()>,
}

/// What a listing tells of a name.
#[derive(Debug)]
pub(super) struct ListedName {
    /// `None`: there is no such name.
    pub(super) entry: Option<Entry>,
    /// When that was so.
    pub(super) at: Instant,
    /// When names of the listing were shown last.
    pub(super) shown: Instant,
}

#[derive(Debug)]
pub(super) struct State {
    times: PageTimes,
    /// When names were given out last.
    shown: Instant,
    pub(super) entries: OrderedEntries,
    pub(super) pages: PartitionedListing,
    /// Pages are fetched until there are so many names.
    target: usize,
    /// Whether a [`PageFetcher`] is at work.
    is_fetching: bool,
    failures: u64,
    last_failure: Option<Error>,
}

impl Directory {
    pub(super) fn new(bucket: Bucket, prefix: Prefix) -> Self {
        let began = Instant::now();
        let state = State {
            times: PageTimes::new(began),
            shown: began,
            entries: OrderedEntries::new(bucket.name().clone(), prefix.clone()),
            pages: PartitionedListing::new(prefix.clone()),
            target: 0,
            is_fetching: false,
            failures: 0,
            last_failure: None,
        };
        Self {
            bucket,
            prefix,
            state: Mutex::new(state),
            is_in_kernel: AtomicBool::new(false),
            readers: watch::Sender::new(0),
            changed: watch::Sender::new(()),
        }
    }

    /// Takes all names at once, from a listing of more than this directory that began at `began`.
    pub(super) fn fill(&self, names: PackedPage, began: Instant) {
        let mut state = self.state();
        state.times = PageTimes::new(began);
        state.pages.finish();
        state.entries.add(names);
        state.entries.complete();
    }

    /// Ends a listing that is refused with those names that are known otherwise.
    pub(super) fn complete_partially(&self, entries: Vec<NamedEntry>) {
        let mut state = self.state();
        state.pages.finish();
        state.entries.complete_partially(entries);
    }

    /// Returns which directory it is.
    #[must_use]
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    pub(super) fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Returns when the listing began.
    pub(super) fn began(&self) -> Instant {
        self.state().times.began()
    }

    /// Returns what `name` stands for, if that is known.
    pub(super) fn find(&self, name: &str) -> Option<Entry> {
        self.state().entries.find(name)
    }

    /// Returns what is known of `name`.
    pub(super) fn look_up(&self, name: &str) -> Option<ListedName> {
        let state = self.state();
        let entry = state.entries.find(name);
        if entry.is_none() && !state.entries.lacks(name) {
            return None;
        }
        let at = state.entries.index_of(name).map_or(state.times.began(), |i| state.times.of(i));
        Some(ListedName { entry, at, shown: state.shown })
    }

    /// Returns when the name at `index` was there.
    pub(super) fn listed_at(&self, index: usize) -> Instant {
        self.state().times.of(index)
    }

    /// Returns at most `count` objects behind the object `name`, as far as they are known: those of
    /// the same kind, as a pattern like `*.nc` matches them.
    pub(super) fn following(&self, name: &str, count: usize) -> Vec<Arc<Object>> {
        // A granule has a handful of files of other kinds beside it.
        const SIDECARS: usize = 8;
        let state = self.state();
        let following = state.entries.following(name).take(count * SIDECARS);
        let alike = following.filter_map(|named| match named.entry {
            // Only a version can be asked for ahead of time.
            Entry::File(object) => Some(object).filter(|object| {
                object.id.has_version() && extension(&named.name) == extension(name)
            }),
            Entry::Directory(_) => None,
        });
        alike.take(count).collect()
    }

    /// Returns whether listing is not allowed, and these are the names that were known otherwise.
    pub(super) fn is_partial(&self) -> bool {
        self.state().entries.is_partial()
    }

    /// Returns whether nothing is known and nobody has asked for a page yet.
    pub(super) fn is_untouched(&self) -> bool {
        let state = self.state();
        state.target == 0 && !state.entries.is_complete()
    }

    /// Returns whether no name can be given out yet.
    pub(super) fn is_empty(&self) -> bool {
        self.state().entries.available() == 0
    }

    /// Returns the bytes of memory that its names take.
    pub(super) fn bytes(&self) -> usize {
        self.state().entries.bytes()
    }

    pub(super) fn escaped(&self) -> EscapedKeys {
        self.state().entries.escaped()
    }

    /// Returns whether what the kernel may have of this directory is of this very listing, with
    /// attributes, and records that it will be: what it has otherwise it is told to forget.
    pub(super) fn mark_opened(&self) -> bool {
        self.is_in_kernel.swap(true, Ordering::Relaxed)
    }

    /// Records that the kernel was told names without their attributes. As long as it kept them,
    /// it would ask for the attributes name by name, and otherwise it asks for all together.
    pub fn mark_read_without_attributes(&self) {
        self.is_in_kernel.store(false, Ordering::Relaxed);
    }

    /// Returns names from `index` on; none at the end. Waits for pages as long as it takes.
    ///
    /// # Errors
    /// Those of [`Bucket::page`] that came since the call.
    pub(super) async fn names(self: &Arc<Self>, index: usize) -> Result<Vec<NamedEntry>, Error> {
        let mut changed = self.changed.subscribe();
        let failures = self.state().failures;
        loop {
            changed.mark_unchanged();
            {
                let mut state = self.state();
                let names = state.entries.names(index, BATCH);
                let (now, available) = (Instant::now(), state.entries.available());
                state.times.record(available, now);
                state.shown = now;
                state.target = state.target.max(index + names.len() + READ_AHEAD);
                if !state.is_fetching {
                    if names.is_empty()
                        && !state.entries.is_complete()
                        && state.failures > failures
                        && let Some(error) = &state.last_failure
                    {
                        return Err(error.clone());
                    }
                    if state.needs_pages() {
                        state.is_fetching = true;
                        tokio::spawn(PageFetcher::new(self.clone()).run());
                    }
                }
                if !names.is_empty() || state.entries.is_complete() {
                    return Ok(names);
                }
            }
            // This fails only without a sender, and the directory holds one.
            let _ = changed.changed().await;
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Returns the number of open handles, for whoever waits for it to change.
    pub(super) fn readers(&self) -> watch::Receiver<usize> {
        self.readers.subscribe()
    }

    /// Lets those who wait look at the state again.
    pub(super) fn notify(&self) {
        self.changed.send_replace(());
    }
}

impl State {
    /// Returns whether more pages are to be fetched.
    pub(super) fn needs_pages(&self) -> bool {
        !self.entries.is_complete() && (self.reads_all() || self.entries.available() < self.target)
    }

    /// Returns whether all pages are to be fetched.
    pub(super) fn reads_all(&self) -> bool {
        self.target > READS_ALL
    }

    /// Records that nobody fetches pages any more.
    pub(super) fn stop_fetching(&mut self) {
        self.pages.cancel_in_flight();
        self.is_fetching = false;
    }

    /// Records that pages cannot be fetched. Those who wait now are told; who comes later tries
    /// again.
    pub(super) fn fail(&mut self, error: Error) {
        self.failures += 1;
        self.last_failure = Some(error);
        self.stop_fetching();
    }
}

/// Returns what is behind the last dot of a name.
fn extension(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, extension)| extension)
}

/// A directory that somebody reads. Pages are fetched only as long as one of these lives.
#[derive(Debug)]
pub struct DirectoryReader(Arc<Directory>);

impl DirectoryReader {
    pub(super) fn new(directory: Arc<Directory>) -> Self {
        directory.readers.send_modify(|readers| *readers += 1);
        Self(directory)
    }

    /// Returns what is read.
    #[must_use]
    pub fn directory(&self) -> &Arc<Directory> {
        &self.0
    }
}

impl Drop for DirectoryReader {
    fn drop(&mut self) {
        self.0.readers.send_modify(|readers| *readers -= 1);
    }
}
