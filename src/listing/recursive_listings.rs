//! Listings of whole subtrees, without delimiter: each page fills many directories.
//!
//! Where the children of one prefix are read one after the other, the subtree below it is listed
//! from there on, a page at a time, as far as somebody walks. The pages are kept as they came: a
//! directory is filled from those that its keys lie on when it is read, and again when it is read
//! again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::key_interpolation::just_before;
use super::sibling_predictor::SiblingPredictor;
use super::subtree_page::{SubtreePage, names_of};
use super::{Directory, MetadataCache};
use crate::error::{Error, Problem};
use crate::object::Prefix;
use crate::s3::{Bucket, Position};
use crate::single_flight::SingleFlight;
use crate::weighted_lru::WeightedLru;

/// How many prefixes are remembered whose children are read.
const REMEMBERED: usize = 1000;
/// For how many pages a directory waits. Its keys may lie across the end of one page; where they
/// lie across two, it is better listed by itself.
const MAX_PAGES_TO_WAIT: usize = 2;
/// From how many pages a directory is filled at most.
const MAX_PAGES: usize = 16;

/// The pages of subtrees of one bucket.
#[derive(Debug)]
pub(super) struct RecursiveListings {
    bucket: Bucket,
    tree: usize,
    cache: Arc<MetadataCache>,
    state: Arc<Mutex<State>>,
    /// By the prefix whose subtree is listed, the key behind which the page starts, and the number
    /// of refreshes: a page from before a refresh does not answer anybody who asks after it.
    in_flight: SingleFlight<(Prefix, String, u64), ()>,
}

#[derive(Debug)]
struct State {
    siblings: WeightedLru<Prefix, SiblingPredictor>,
    /// The numbers of pages by the prefix whose subtree they are of, and the key behind which they
    /// start. The cache may have dropped them.
    pages: BTreeMap<(Prefix, String), u64>,
    /// With so many pages, those are taken out that the cache has dropped.
    prune_at: usize,
    refreshes: u64,
}

/// Consecutive pages on which keys of one directory lie, from the first one on.
struct Chain {
    top: Prefix,
    pages: Vec<Arc<SubtreePage>>,
    /// Whether they have all its keys.
    is_whole: bool,
}

impl RecursiveListings {
    pub(super) fn new(bucket: Bucket, tree: usize, cache: Arc<MetadataCache>) -> Self {
        let state = Arc::new(Mutex::new(State::new(0)));
        Self { bucket, tree, cache, state, in_flight: SingleFlight::default() }
    }

    /// Fills a directory of which nothing is known, and which is read now, where its keys are on
    /// pages that are there, or where a walk has come to it and the next pages have them.
    pub(super) async fn fill(&self, directory: &Arc<Directory>) {
        let prefix = directory.prefix();
        let walked = self.state.lock().record(prefix, Instant::now());
        let mut chain = self.chain(prefix);
        for _ in 0..MAX_PAGES_TO_WAIT {
            let Some(top) = walked.as_ref().filter(|_| !is_whole(chain.as_ref())) else { break };
            let (top, start) = match &chain {
                None => (top.clone(), just_before(prefix.as_str())),
                Some(Chain { top, pages, .. }) => {
                    let end = pages.last().and_then(|last| last.end()).unwrap_or_default();
                    (top.clone(), end.to_owned())
                }
            };
            if let Err(error) = self.fetch(&top, start).await {
                tracing::debug!(%error, "a recursive listing failed");
                return self.state.lock().with_siblings(&top, SiblingPredictor::mark_wasted);
            }
            chain = self.chain(prefix);
        }
        let Some(chain) = chain else { return };
        self.take(directory, &chain);
        let mut state = self.state.lock();
        if chain.is_whole {
            state.with_siblings(&chain.top, |siblings| siblings.mark_useful(Instant::now()));
            drop(state);
            self.prefetch(&chain, walked.is_some());
        } else if walked.is_some() && !chain.pages.iter().any(|page| page.is_one_directory()) {
            // It is of use only if its subdirectories are read as well.
            state.with_siblings(&chain.top, SiblingPredictor::mark_wasted);
        }
    }

    /// Fills a directory of which nothing is known where all its keys are on pages that are there.
    /// Returns whether they are.
    pub(super) fn fill_from_known(
        &self,
        prefix: &Prefix,
        directory: impl FnOnce() -> Arc<Directory>,
    ) -> bool {
        let Some(chain) = self.chain(prefix).filter(|chain| chain.is_whole) else { return false };
        self.take(&directory(), &chain);
        true
    }

    fn take(&self, directory: &Arc<Directory>, chain: &Chain) {
        let Some(began) = chain.pages.iter().map(|page| page.asked).min() else { return };
        let names = names_of(chain.pages.iter().map(|page| &**page), directory.prefix());
        if chain.is_whole || !names.names.is_empty() {
            directory.fill(names, began);
        }
        if chain.is_whole {
            self.cache.mark_filled(self.tree, directory);
        }
    }

    /// Fetches the page behind the last one, as soon as a walk comes to that one.
    fn prefetch(&self, chain: &Chain, is_walked: bool) {
        let [last] = &chain.pages[..] else { return };
        let Some(end) = last.end().filter(|_| is_walked && !last.is_one_directory()) else {
            return;
        };
        let is_known = self.state.lock().page_behind(&chain.top, end, &self.pages()).is_some();
        if !is_known && !self.is_in_flight(&chain.top, end) {
            let page = self.fetch(&chain.top, end.to_owned());
            // Nobody waits for this page. Whoever needs it asks again, and is told of a failure.
            tokio::spawn(async move { drop(page.await) });
        }
    }

    /// Forgets all pages.
    pub(super) fn refresh(&self) {
        let mut state = self.state.lock();
        *state = State::new(state.refreshes + 1);
    }

    /// Forgets the pages that tell of an object.
    pub(super) fn forget(&self, key: &str) {
        let mut state = self.state.lock();
        state.refreshes += 1;
        for top in tops(key) {
            let at = (top.clone(), String::new())..(top, key.to_owned());
            if let Some((at, number)) = state.pages.range(at).next_back() {
                let (at, number) = (at.clone(), *number);
                state.pages.remove(&at);
                self.cache.forget_page(self.tree, number);
            }
        }
    }

    /// Returns the pages that are there of a directory: all of them, or the first ones.
    fn chain(&self, prefix: &Prefix) -> Option<Chain> {
        let mut state = self.state.lock();
        let mut best: Option<Chain> = None;
        for top in tops(prefix.as_str()) {
            let Some(chain) = state.chain(top, prefix, &self.pages()) else { continue };
            if chain.is_whole {
                return Some(chain);
            }
            best = best.or(Some(chain));
        }
        best
    }

    /// Returns how pages are got by their numbers: those that are kept and may be believed.
    fn pages(&self) -> impl Fn(u64) -> Option<Arc<SubtreePage>> {
        |number| {
            let page = self.cache.page(self.tree, number)?;
            let is_fresh = !self.cache.ttl().of_presence(page.asked).is_zero();
            is_fresh.then_some(page)
        }
    }

    fn is_in_flight(&self, top: &Prefix, start: &str) -> bool {
        let refreshes = self.state.lock().refreshes;
        self.in_flight.is_in_flight(&(top.clone(), start.to_owned(), refreshes))
    }

    /// Fetches the page of what is below `top` and behind the key `start`, and keeps it.
    fn fetch(
        &self,
        top: &Prefix,
        start: String,
    ) -> impl Future<Output = Result<(), Error>> + use<> {
        let refreshes = self.state.lock().refreshes;
        self.in_flight.join((top.clone(), start.clone(), refreshes), || {
            let (bucket, state, cache) =
                (self.bucket.clone(), self.state.clone(), self.cache.clone());
            let (tree, top) = (self.tree, top.clone());
            async move {
                let page = fetch(&bucket, &top, start, &cache).await?;
                let mut state = state.lock();
                if state.refreshes == refreshes {
                    let at = (top, page.start().to_owned());
                    state.insert(at, cache.insert_page(tree, &Arc::new(page)), |number| {
                        cache.page(tree, number).is_some()
                    });
                }
                drop(state);
                cache.make_room();
                Ok(())
            }
        })
    }
}

async fn fetch(
    bucket: &Bucket,
    top: &Prefix,
    start: String,
    cache: &MetadataCache,
) -> Result<SubtreePage, Error> {
    let asked = Instant::now();
    let mut page = bucket.subtree_page(top, &Position::After(start.clone())).await?;
    // A page may be empty and not the last.
    while page.is_empty()
        && let Some(token) = page.next
    {
        page = bucket.subtree_page(top, &Position::Token(token)).await?;
    }
    if page.undecodable > 0 {
        // Nobody knows which directory they are missing from.
        let problem = Problem::new("some keys below are not UTF-8");
        return Err(Error::store(problem.about(bucket.url(top.as_str()))));
    }
    Ok(SubtreePage::new(top.clone(), start, &page, asked, cache.memory()))
}

fn is_whole(chain: Option<&Chain>) -> bool {
    chain.is_some_and(|chain| chain.is_whole)
}

/// Returns the prefixes whose subtrees `key` is in, the largest subtree first; for a prefix all but
/// itself.
fn tops(key: &str) -> impl Iterator<Item = Prefix> {
    let within = key.strip_suffix('/').unwrap_or(key);
    let ends = within.match_indices('/').map(|(at, _)| at + 1);
    std::iter::once(0).chain(ends).map(|end| Prefix::new(&key[..end]))
}

impl State {
    fn new(refreshes: u64) -> Self {
        Self {
            siblings: WeightedLru::new(REMEMBERED),
            pages: BTreeMap::new(),
            prune_at: MAX_PAGES,
            refreshes,
        }
    }

    /// Records that the directory `prefix` is read. Returns the largest subtree around it that
    /// somebody walks through.
    fn record(&mut self, prefix: &Prefix, now: Instant) -> Option<Prefix> {
        self.with_siblings(&prefix.parent(), |siblings| siblings.record(now));
        tops(prefix.as_str())
            .find(|top| self.siblings.get(top).is_some_and(|siblings| siblings.is_walk(now)))
    }

    fn with_siblings<T>(
        &mut self,
        parent: &Prefix,
        change: impl FnOnce(&mut SiblingPredictor) -> T,
    ) -> T {
        let mut siblings = self.siblings.remove(parent).unwrap_or_default();
        let answer = change(&mut siblings);
        self.siblings.insert(parent.clone(), siblings, 1);
        answer
    }

    fn insert(&mut self, at: (Prefix, String), number: u64, is_kept: impl Fn(u64) -> bool) {
        self.pages.insert(at, number);
        if self.pages.len() >= self.prune_at {
            self.pages.retain(|_, number| is_kept(*number));
            self.prune_at = (2 * self.pages.len()).max(MAX_PAGES);
        }
    }

    /// Returns the page below `top` that tells of the keys just behind `key`.
    fn page_behind(
        &mut self,
        top: &Prefix,
        key: &str,
        page: &impl Fn(u64) -> Option<Arc<SubtreePage>>,
    ) -> Option<Arc<SubtreePage>> {
        let at = (top.clone(), String::new())..=(top.clone(), key.to_owned());
        let (at, number) = self.pages.range(at).next_back()?;
        let Some(page) = page(*number) else {
            let at = at.clone();
            self.pages.remove(&at);
            return None;
        };
        Some(page).filter(|page| page.end().is_none_or(|end| end > key))
    }

    fn chain(
        &mut self,
        top: Prefix,
        prefix: &Prefix,
        page: &impl Fn(u64) -> Option<Arc<SubtreePage>>,
    ) -> Option<Chain> {
        let mut chain = Chain { top, pages: Vec::new(), is_whole: false };
        let mut behind = just_before(prefix.as_str());
        while !chain.is_whole
            && chain.pages.len() < MAX_PAGES
            && let Some(page) = self.page_behind(&chain.top, &behind, page)
        {
            chain.is_whole = page.is_beyond(prefix);
            page.end().unwrap_or_default().clone_into(&mut behind);
            chain.pages.push(page);
        }
        (!chain.pages.is_empty()).then_some(chain)
    }
}
