//! One directory: its pages, fetched as far as somebody reads, and side by side when there are
//! many.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::Escaped;
use super::ordering::OrderedNames;
use super::partitioned::{Job, Landed, PartitionedListing};
use crate::error::{Error, Refusal};
use crate::object::{Entry, NamedEntry, Object, Page, Prefix};
use crate::s3::Bucket;

/// Names handed out at once: what fills a few of the kernel's buffers.
const BATCH: usize = 512;
/// Pages are fetched until this many names are there beyond what was asked for: one page ahead.
const AHEAD: usize = 1000;
/// Whoever has read this far is going to read all, so that everything is worth fetching.
const WHOLE: usize = 3000;

/// A listing as it stood from one moment on. Whoever holds it sees each name once, at one position.
#[derive(Debug)]
pub struct Directory {
    bucket: Bucket,
    prefix: Prefix,
    /// Its lock is fair: whoever looks a name up gets it between two of hundreds of pages that are
    /// taken in.
    state: Mutex<State>,
    was_opened: AtomicBool,
    /// How many handles are open.
    readers: watch::Sender<usize>,
    /// Changes whenever the state has.
    news: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    began: Instant,
    ordered: OrderedNames,
    segments: PartitionedListing,
    /// Up to where names were asked for.
    wanted: usize,
    is_driven: bool,
    failures: u64,
    last_failure: Option<Error>,
}

impl Directory {
    pub(super) fn new(bucket: Bucket, prefix: Prefix) -> Self {
        let state = State {
            began: Instant::now(),
            ordered: OrderedNames::new(bucket.name().clone(), prefix.clone()),
            segments: PartitionedListing::new(prefix.clone()),
            wanted: 0,
            is_driven: false,
            failures: 0,
            last_failure: None,
        };
        Self {
            bucket,
            prefix,
            state: Mutex::new(state),
            was_opened: AtomicBool::new(false),
            readers: watch::Sender::new(0),
            news: watch::Sender::new(()),
        }
    }

    /// Takes all names at once, from a listing of more than this directory that began at `began`.
    pub(super) fn fill(&self, names: Page, began: Instant) {
        let landed = Landed::of_page(&self.prefix, names);
        let mut state = self.state();
        state.began = began;
        state.segments.clear();
        state.ordered.absorb(landed);
        state.ordered.finish();
    }

    /// Which directory it is.
    #[must_use]
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    pub(super) fn began(&self) -> Instant {
        self.state().began
    }

    pub(super) fn find(&self, name: &str) -> Option<Entry> {
        self.state().ordered.find(name)
    }

    /// The objects behind the object `name`, as far as they are known: at most `count`, of the next
    /// few times as many names, and only those of the same kind, as a pattern like `*.nc` takes
    /// them.
    pub(super) fn following(&self, name: &str, count: usize) -> Vec<Arc<Object>> {
        // A granule has a handful of sidecars.
        const SIDECARS: usize = 8;
        let state = self.state();
        let alike = state.ordered.following(name).take(count * SIDECARS).filter_map(|shown| {
            match shown.entry {
                Entry::File(object) if kind(&shown.name) == kind(name) => Some(object),
                _ => None,
            }
        });
        alike.take(count).collect()
    }

    /// Whether a name that is not here does not exist.
    pub(super) fn is_whole(&self) -> bool {
        self.state().ordered.is_whole()
    }

    /// Whether listing is not allowed, and these are the names that were known at the time.
    pub(super) fn is_partial(&self) -> bool {
        self.state().ordered.is_partial()
    }

    /// Whether nobody has asked for a page yet.
    pub(super) fn is_cold(&self) -> bool {
        let state = self.state();
        state.wanted == 0 && !state.ordered.is_complete()
    }

    /// Whether no name has come yet.
    pub(super) fn is_empty(&self) -> bool {
        self.state().ordered.available() == 0
    }

    /// MetadataCache, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.state().ordered.bytes()
    }

    pub(super) fn escaped(&self) -> Escaped {
        self.state().ordered.escaped()
    }

    /// Ends a listing that is refused with what is known of it.
    pub(super) fn settle_for(&self, names: Vec<NamedEntry>) {
        let mut state = self.state();
        state.segments.clear();
        state.ordered.settle_for(names);
    }

    /// Whether this very listing was opened before, so that what the kernel keeps of it is right.
    pub fn open_again(&self) -> bool {
        self.was_opened.swap(true, Ordering::Relaxed)
    }

    /// Names from position `from` on; none at the end.
    pub(super) async fn names(self: &Arc<Self>, from: usize) -> Result<Vec<NamedEntry>, Error> {
        let mut news = self.news.subscribe();
        let failures = self.state().failures;
        loop {
            news.mark_unchanged();
            {
                let mut state = self.state();
                let names = state.ordered.names(from, BATCH);
                state.wanted = state.wanted.max(from + names.len() + AHEAD);
                if !state.ordered.is_complete() && !state.is_driven {
                    if let Some(error) = state
                        .last_failure
                        .clone()
                        .filter(|_| state.failures > failures && names.is_empty())
                    {
                        return Err(error);
                    }
                    if state.is_short() {
                        state.is_driven = true;
                        tokio::spawn(self.clone().drive());
                    }
                }
                if !names.is_empty() || state.ordered.is_complete() {
                    return Ok(names);
                }
            }
            // The directory holds the sender.
            let _ = news.changed().await;
        }
    }

    /// Fetches pages until there are enough, or nobody reads any more. There is one of these at a
    /// time.
    async fn drive(self: Arc<Self>) {
        let _landing = Driven(self.clone());
        let mut aloft = FuturesUnordered::new();
        let mut readers = self.readers.subscribe();
        loop {
            let jobs = {
                let mut state = self.state();
                if !state.is_short() {
                    return state.rest();
                }
                let most = if state.wanted > WHOLE { self.bucket.pages_at_once() } else { 1 };
                state.segments.jobs(most)
            };
            aloft.extend(jobs.into_iter().map(|job| self.fetch(job)));
            let fetched = tokio::select! {
                fetched = aloft.next() => fetched,
                _ = readers.wait_for(|readers| *readers == 0) => None,
            };
            let Some((job, fetched)) = fetched else { return self.state().rest() };
            let landed = match fetched {
                Ok(page) => self.land(&job, page).await,
                Err(error) => Err(error),
            };
            if let Err(error) = landed {
                return self.state().fail(error);
            }
            self.news.send_replace(());
        }
    }

    async fn fetch(&self, job: Job) -> (Job, Result<Page, Error>) {
        let page = self.bucket.page(&self.prefix, &job.at).await;
        (job, page)
    }

    async fn land(&self, job: &Job, page: Page) -> Result<(), Error> {
        self.state().segments.land(job, page);
        let (mut is_read, mut is_progress) = (false, false);
        // Hundreds of pages may have waited for this one, so other tasks come in between.
        while let Some(absorbed) = self.absorb_next() {
            is_read |= absorbed.is_read;
            is_progress |= absorbed.is_progress;
            tokio::task::yield_now().await;
        }
        let is_stuck = is_read && !is_progress && !self.state().ordered.is_complete();
        let mut held_back = if is_stuck { self.state().ordered.first_open_stem() } else { None };
        // All names so far start alike, and a directory of just that start would come first. Rather
        // than reading on for a million names, ask.
        while let Some(stem) = held_back {
            let is_directory = match self.bucket.has_keys(&self.prefix.child(&stem)).await {
                Err(Error::Refused(Refusal::Forbidden { .. })) => false,
                answer => answer?,
            };
            let mut state = self.state();
            held_back = if state.ordered.close_stem(stem, is_directory) {
                None
            } else {
                state.ordered.first_open_stem()
            };
        }
        Ok(())
    }

    /// Takes in the next page in order, if it is there.
    fn absorb_next(&self) -> Option<Absorbed> {
        let mut state = self.state();
        let Some(landed) = state.segments.next() else {
            if state.segments.is_empty() && !state.ordered.is_complete() {
                state.ordered.finish();
            }
            return None;
        };
        let is_read = !landed.names.is_empty();
        Some(Absorbed { is_read, is_progress: state.ordered.absorb(landed) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// What a page brought.
struct Absorbed {
    is_read: bool,
    /// Whether more names can be handed out.
    is_progress: bool,
}

impl State {
    fn is_short(&self) -> bool {
        !self.ordered.is_complete()
            && (self.wanted > WHOLE || self.ordered.available() < self.wanted)
    }

    fn rest(&mut self) {
        self.segments.abandon();
        self.is_driven = false;
    }

    /// Those who wait now hear of it; those who come later ask again.
    fn fail(&mut self, error: Error) {
        self.failures += 1;
        self.last_failure = Some(error);
        self.rest();
    }
}

/// What a name ends in, behind its last dot.
fn kind(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, kind)| kind)
}

/// Lets waiters look again when the driver is gone, also after a panic.
struct Driven(Arc<Directory>);

impl Drop for Driven {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state().fail(Error::Defect("a listing".into()));
        }
        self.0.news.send_replace(());
    }
}

/// A directory that somebody reads: pages are fetched only as long as one of these lives.
#[derive(Debug)]
pub struct Reading(Arc<Directory>);

impl Reading {
    pub(super) fn new(directory: Arc<Directory>) -> Self {
        directory.readers.send_modify(|readers| *readers += 1);
        Self(directory)
    }

    /// What is read.
    #[must_use]
    pub fn directory(&self) -> &Arc<Directory> {
        &self.0
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.readers.send_modify(|readers| *readers -= 1);
    }
}
