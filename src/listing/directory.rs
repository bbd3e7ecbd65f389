//! One directory: the names that are known of it, and who reads it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::directory_state::State;
use super::memory::{Charge, Memory};
use super::name_table::{Interval, Known};
use super::ordered_entries::Batch;
use super::packed_names::PackedNames;
use super::packed_page::PackedPage;
use super::page_fetcher::PageFetcher;
use super::page_times::PageTimes;
use super::place::Place;
use super::ttl::Ttl;
use super::{EscapedKeys, MetadataCache};
use crate::error::Error;
use crate::object::{Entry, NamedEntry, Object, Prefix};
use crate::s3::Bucket;

/// How many names are given out at once: a few of the kernel's buffers full.
const BATCH: usize = 512;
/// How many parts are fetched again at once.
const PARTS_AT_ONCE: usize = 16;
/// Bytes of memory that a directory takes beside its names, rounded up.
const DIRECTORY_SIZE: usize = 1536;

/// A listing that began at one moment. Whoever holds it sees each name once, at one place.
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
    handles: AtomicUsize,
    /// Told whenever the state has changed, or who reads.
    changed: Notify,
    charge: Charge,
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

/// Names of one part of a directory, each with the place behind it; or the part that has to be
/// fetched again before there are any.
pub(super) enum Names {
    Given(Vec<(NamedEntry, Place)>),
    LetGo(usize),
}

impl Directory {
    pub(super) fn new(bucket: Bucket, prefix: Prefix, memory: &Arc<Memory>) -> Self {
        let state = State::new(bucket.name().clone(), &prefix);
        Self {
            bucket,
            prefix,
            state: Mutex::new(state),
            is_in_kernel: AtomicBool::new(false),
            handles: AtomicUsize::new(0),
            changed: Notify::new(),
            charge: Charge::new(memory, DIRECTORY_SIZE),
        }
    }

    /// Takes names from a listing of more than this directory that began at `began`: all of them,
    /// or those from which `page` says where to go on. Does nothing where somebody reads already.
    pub(super) fn fill(&self, page: PackedPage, began: Instant) {
        let mut state = self.state();
        if !state.is_untouched() {
            return;
        }
        state.times = PageTimes::new(began);
        state.pages.begin_with(page);
        while state.take_in_next().is_some() {}
        self.weigh(&state);
    }

    /// Ends a listing that is refused with those names that are known otherwise.
    pub(super) fn complete_partially(&self, entries: Vec<NamedEntry>) {
        let mut state = self.state();
        state.pages.finish();
        state.entries.complete_partially(entries);
        self.weigh(&state);
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

    /// Returns whether none of its names may be believed any more.
    pub(super) fn is_over(&self, ttl: Ttl) -> bool {
        let state = self.state();
        ttl.of_listed(state.times.of(usize::MAX), state.shown).is_zero()
    }

    /// Returns what is known of `name`.
    pub(super) fn find(&self, name: &str) -> Known<Entry> {
        self.state().entries.find(name)
    }

    /// Returns what is known of `name`.
    pub(super) fn look_up(&self, name: &str) -> Option<ListedName> {
        let state = self.state();
        let entry = match state.entries.find(name) {
            Known::Present(entry) => Some(entry),
            Known::Absent if state.entries.lacks(name) => None,
            Known::Absent | Known::LetGo => return None,
        };
        let at = state.entries.index_of(name).map_or(state.times.began(), |i| state.times.of(i));
        Some(ListedName { entry, at, shown: state.shown })
    }

    /// Returns when the name at `index` was there.
    pub(super) fn listed_at(&self, place: Place) -> Instant {
        let state = self.state();
        state.times.of(state.entries.position(place))
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
        self.state().is_untouched()
    }

    /// Returns whether no name can be given out yet.
    pub(super) fn is_empty(&self) -> bool {
        self.state().entries.available() == 0
    }

    /// Returns whether anybody has it open. Waits for no lock.
    pub(super) fn is_open(&self) -> bool {
        self.handles.load(Ordering::Relaxed) > 0
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

    /// Counts one more handle, and returns its number.
    pub(super) fn open(&self) -> u64 {
        self.handles.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        state.last_reader += 1;
        let number = state.last_reader;
        state.readers.push((number, Place::default()));
        number
    }

    /// Counts the handle with this number no more.
    pub(super) fn close(&self, reader: u64) {
        self.state().readers.retain(|(number, _)| *number != reader);
        self.handles.fetch_sub(1, Ordering::Relaxed);
        self.notify();
    }

    /// Returns names from `place` on to the reader with this number; none at the end. Waits for
    /// pages as long as it takes.
    ///
    /// # Errors
    /// Those of [`Bucket::page`] that came since the call.
    pub(super) async fn names(
        self: &Arc<Self>,
        reader: u64,
        place: Place,
        cache: &Arc<MetadataCache>,
    ) -> Result<Names, Error> {
        let failures = self.state().failures;
        let mut has_come = false;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = self.state();
                let (now, available) = (Instant::now(), state.entries.available());
                state.times.record(available, now);
                state.shown = now;
                let batch = state.entries.names(place, BATCH);
                state.move_reader(reader, batch.end().unwrap_or(place));
                if state.is_fetching {
                    // Readers that wait would go on to wake each other.
                    if !std::mem::replace(&mut has_come, true) {
                        self.changed.notify_waiters();
                    }
                } else {
                    if matches!(batch, Batch::Nothing)
                        && !state.entries.is_complete()
                        && state.failures > failures
                        && let Some(error) = &state.last_failure
                    {
                        return Err(error.clone());
                    }
                    if state.needs_pages(self.charge.memory()) {
                        state.is_fetching = true;
                        tokio::spawn(PageFetcher::new(self.clone(), cache.clone()).run());
                    }
                }
                match batch {
                    Batch::Names { names, part, indices } => {
                        drop(state);
                        return Ok(Names::Given(self.unpack(&names, part, indices)));
                    }
                    Batch::LetGo(part) => return Ok(Names::LetGo(part)),
                    Batch::Nothing if state.entries.is_complete() => {
                        return Ok(Names::Given(Vec::new()));
                    }
                    Batch::Nothing => {}
                }
            }
            changed.await;
        }
    }

    fn unpack(
        &self,
        names: &PackedNames,
        part: usize,
        indices: Range<usize>,
    ) -> Vec<(NamedEntry, Place)> {
        let bucket = self.bucket.name();
        let unpack = |index| {
            let place = Place { part, index };
            (names.unpack(index, &self.prefix, bucket), place.next())
        };
        indices.map(unpack).collect()
    }

    /// Returns this part, which was let go of and is wanted now, and more that a reader wants
    /// next who comes to one after the other.
    pub(super) fn parts_to_fetch(&self, part: usize) -> Range<usize> {
        let mut state = self.state();
        let is_next = part == state.fetched_again.end && self.memory().excess() == 0;
        let most =
            if is_next { (2 * state.fetched_again.len()).clamp(1, PARTS_AT_ONCE) } else { 1 };
        let count = (part..part + most).take_while(|part| state.entries.is_let_go(*part)).count();
        state.fetched_again = part..part + count;
        state.fetched_again.clone()
    }

    /// Returns the names that a part is for which was let go of.
    pub(super) fn interval(&self, part: usize) -> Interval {
        self.state().entries.interval(part)
    }

    /// Puts the names of a part back, which may be others by now.
    pub(super) fn restore(&self, part: usize, names: PackedNames) {
        let mut state = self.state();
        state.entries.restore(part, names);
        self.weigh(&state);
    }

    /// Lets go of names that were handed out, until so many `bytes` are free: first of those that
    /// no reader comes to, then of those that one comes to last.
    pub(super) fn let_go(&self, bytes: usize) {
        let mut state = self.state();
        let places: Vec<usize> = state.readers.iter().map(|(_, place)| place.part).collect();
        let front = places.iter().max().copied().unwrap_or(usize::MAX);
        let distance = |part: usize| {
            let before = places.iter().filter(|place| **place <= part);
            before.map(|place| part - place).min().unwrap_or(usize::MAX)
        };
        state.entries.let_go(bytes, front, distance);
        self.weigh(&state);
    }

    /// Counts what it takes against the limit.
    pub(super) fn weigh(&self, state: &State) {
        self.charge.set(DIRECTORY_SIZE + state.entries.bytes() + state.pages.bytes());
    }

    /// Returns the bytes that it was last weighed to take.
    pub(super) fn bytes(&self) -> usize {
        self.charge.bytes()
    }

    pub(super) fn memory(&self) -> &Memory {
        self.charge.memory()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Returns a future that is ready when the state has changed, or who reads.
    pub(super) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// Lets those who wait look at the state again.
    pub(super) fn notify(&self) {
        self.changed.notify_waiters();
    }
}

/// Returns what is behind the last dot of a name.
fn extension(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, extension)| extension)
}
