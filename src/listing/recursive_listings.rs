//! The recursive listings of one bucket, and which directories they fill.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::recursive_listing::{ListedDirectory, RecursiveListing};
use super::sibling_predictor::SiblingPredictor;
use crate::error::{Error, Problem};
use crate::object::Prefix;
use crate::s3::Bucket;
use crate::single_flight::SingleFlight;
use crate::weighted_lru::WeightedLru;

/// How many prefixes are remembered, and how many directories at which the next page is fetched.
const REMEMBERED: usize = 1000;
/// How many recursive listings there are at once. Each holds a few pages at most.
const LISTINGS: usize = 8;
/// For how many pages a directory waits. Its keys may lie across the end of one page; where they
/// lie across two, it is better listed by itself.
const MAX_PAGES_TO_WAIT: usize = 2;

/// The recursive listings of one bucket.
#[derive(Debug)]
pub(super) struct RecursiveListings {
    bucket: Bucket,
    state: Arc<Mutex<State>>,
    /// Pages in flight, by the prefix whose subtree is listed; which directories they completed.
    in_flight: SingleFlight<Prefix, Arc<[Prefix]>>,
}

#[derive(Debug)]
struct State {
    siblings: WeightedLru<Prefix, SiblingPredictor>,
    /// By the prefix whose subtree is listed.
    listings: WeightedLru<Prefix, SharedListing>,
    /// Directories in the middle of those that a page completed: when one of them is read, the
    /// next page will be wanted.
    triggers: WeightedLru<Prefix, SharedListing>,
}

type SharedListing = Arc<Mutex<RecursiveListing>>;

impl RecursiveListings {
    pub(super) fn new(bucket: Bucket) -> Self {
        Self {
            bucket,
            state: Arc::new(Mutex::new(State::new())),
            in_flight: SingleFlight::default(),
        }
    }

    /// Records that `prefix`, of which nothing is known, is read among the children of `parent`. If
    /// a recursive listing will reach it, waits until that has filled it. Whatever is completed on
    /// the way goes to `keep`.
    pub(super) async fn fill<F>(&self, parent: &Prefix, prefix: &Prefix, keep: F)
    where
        F: Fn(ListedDirectory) + Clone + Send + 'static,
    {
        let Some(listing) = self.listing_that_reaches(parent, prefix) else { return };
        for _ in 0..MAX_PAGES_TO_WAIT {
            match self.next_page(&listing, keep.clone()).await {
                Ok(complete) if complete.contains(prefix) => return,
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a recursive listing failed"),
            }
            // If the page did not even come to the directory, the reader does not follow the keys.
            if !listing.lock().is_in(prefix) {
                break;
            }
        }
        let top = listing.lock().top().clone();
        let mut state = self.state.lock();
        state.listings.remove(&top);
        state.with_siblings(&top, SiblingPredictor::mark_wasted);
    }

    /// Ends all recursive listings.
    pub(super) fn refresh(&self) {
        *self.state.lock() = State::new();
    }

    /// Returns whether reading `prefix` calls for the next page of a recursive listing.
    pub(super) fn is_trigger(&self, prefix: &Prefix) -> bool {
        self.state.lock().triggers.contains(prefix)
    }

    /// Fetches the next page of the recursive listing that `prefix`, which is read now, calls for.
    pub(super) async fn prefetch<F>(&self, prefix: &Prefix, keep: F)
    where
        F: Fn(ListedDirectory) + Send + 'static,
    {
        let listing = self.state.lock().triggers.remove(prefix);
        if let Some(listing) = listing {
            // Nobody waits for this page. Whoever needs it asks again, and is told of a failure.
            let _ = self.next_page(&listing, keep).await;
        }
    }

    /// Returns the listing that will fill `prefix`: a new one where the children of `parent` are
    /// read one after the other.
    fn listing_that_reaches(&self, parent: &Prefix, prefix: &Prefix) -> Option<SharedListing> {
        let mut state = self.state.lock();
        let is_predicted = state.with_siblings(parent, |siblings| siblings.record(Instant::now()));
        let mut listings = state.listings.iter().map(|(_, listing)| listing);
        if let Some(listing) = listings.find(|listing| listing.lock().will_fill(prefix)) {
            return Some(listing.clone());
        }
        drop(listings);
        is_predicted.then(|| {
            let listing = RecursiveListing::new(parent.clone(), prefix);
            let listing = Arc::new(Mutex::new(listing));
            state.listings.insert(parent.clone(), listing.clone(), 1);
            listing
        })
    }

    /// Fetches the next page of a listing. Returns the directories that it completes, once they
    /// went to `keep`: to that of whoever asked first.
    fn next_page<F>(
        &self,
        listing: &SharedListing,
        keep: F,
    ) -> impl Future<Output = Result<Arc<[Prefix]>, Error>> + use<F>
    where
        F: Fn(ListedDirectory) + Send + 'static,
    {
        let top = listing.lock().top().clone();
        self.in_flight.join(top.clone(), || {
            let (listing, bucket, state) =
                (listing.clone(), self.bucket.clone(), self.state.clone());
            async move {
                let Some(at) = listing.lock().next().cloned() else { return Ok(Arc::default()) };
                let asked = Instant::now();
                let page = bucket.subtree_page(&top, &at).await?;
                if page.undecodable > 0 {
                    // Nobody knows which directory they are missing from.
                    let problem = Problem::new("some keys below are not UTF-8");
                    return Err(Error::store(problem.about(bucket.url(top.as_str()))));
                }
                let complete = listing.lock().add(page, asked);
                if let Some(middle) = complete.get(complete.len() / 2) {
                    state.lock().triggers.insert(middle.prefix.clone(), listing, 1);
                }
                let prefixes = complete.iter().map(|directory| directory.prefix.clone()).collect();
                complete.into_iter().for_each(keep);
                Ok(prefixes)
            }
        })
    }
}

impl State {
    fn new() -> Self {
        Self {
            siblings: WeightedLru::new(REMEMBERED),
            listings: WeightedLru::new(LISTINGS),
            triggers: WeightedLru::new(REMEMBERED),
        }
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
}
