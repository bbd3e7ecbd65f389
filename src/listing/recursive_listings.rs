//! The walks under way, and who is led to one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::recursive_listing::{Filled, Habit, RecursiveListing};
use crate::error::Error;
use crate::object::Prefix;
use crate::s3::Bucket;
use crate::single_flight::SingleFlight;
use crate::weighted_lru::WeightedLru;

/// Prefixes whose children are counted, and directories that call for the next page.
const REMEMBERED: usize = 1000;
/// RecursiveListings at once; each holds a few pages at most.
const WALKS: usize = 8;
/// Pages that a directory waits for: its keys may lie across the end of one, and what lies across
/// two is better listed alone.
const PATIENCE: usize = 2;

/// The walks of one bucket.
#[derive(Debug)]
pub(super) struct RecursiveListings {
    bucket: Bucket,
    state: Arc<Mutex<State>>,
    pages: SingleFlight<Prefix, Arc<Vec<Filled>>>,
}

#[derive(Debug)]
struct State {
    habits: WeightedLru<Prefix, Habit>,
    /// By what they walk.
    walks: WeightedLru<Prefix, Arc<Mutex<RecursiveListing>>>,
    /// Directories in the middle of what a page filled: when one is read, the next page will be
    /// wanted.
    halfway: WeightedLru<Prefix, Arc<Mutex<RecursiveListing>>>,
}

impl RecursiveListings {
    pub(super) fn new(bucket: Bucket) -> Self {
        Self { bucket, state: Arc::new(Mutex::new(State::new())), pages: SingleFlight::default() }
    }

    /// Takes note that `prefix`, of which nothing is known, is read next among the children of
    /// `parent`. Where a walk comes by, waits for it; `put` gets the directories that it fills.
    pub(super) async fn lead_to(&self, parent: &Prefix, prefix: &Prefix, put: impl Fn(&Filled)) {
        let Some(walk) = self.coming_to(parent, prefix) else { return };
        for _ in 0..PATIENCE {
            match self.page(&walk).await {
                Ok(filled) => {
                    filled.iter().for_each(&put);
                    if filled.iter().any(|filled| filled.prefix == *prefix) {
                        return;
                    }
                }
                Err(error) => tracing::debug!(%error, "a walk failed"),
            }
            // Where the page did not come as far, whoever asks does not follow the keys.
            if !lock(&walk).is_in(prefix) {
                break;
            }
        }
        let top = lock(&walk).top().clone();
        let mut state = lock(&self.state);
        state.walks.remove(&top);
        state.habit(&top, Habit::disappointed);
    }

    /// Ends all walks. What they still bring tells of the time before.
    pub(super) fn refresh(&self) {
        *lock(&self.state) = State::new();
    }

    /// Whether reading `prefix` calls for the next page of a walk.
    pub(super) fn is_halfway(&self, prefix: &Prefix) -> bool {
        lock(&self.state).halfway.contains(prefix)
    }

    /// Fetches the next page when `prefix`, which is read now, lies halfway to it.
    pub(super) async fn pass(&self, prefix: &Prefix, put: impl Fn(&Filled)) {
        let walk = lock(&self.state).halfway.remove(prefix);
        // Its failure is nobody's: who needs the page asks again.
        if let Some(walk) = walk
            && let Ok(filled) = self.page(&walk).await
        {
            filled.iter().for_each(put);
        }
    }

    /// The walk that will fill `prefix`; a new one where the children of `parent` are read one
    /// after the other.
    fn coming_to(&self, parent: &Prefix, prefix: &Prefix) -> Option<Arc<Mutex<RecursiveListing>>> {
        let mut state = lock(&self.state);
        let is_habit = state.habit(parent, |habit| habit.note(Instant::now()));
        let coming = state
            .walks
            .iter()
            .map(|(_, walk)| walk)
            .find(|walk| lock(walk).will_fill(prefix))
            .cloned();
        coming.or_else(|| {
            let walk = is_habit
                .then(|| Arc::new(Mutex::new(RecursiveListing::new(parent.clone(), prefix))))?;
            state.walks.insert(parent.clone(), walk.clone(), 1);
            Some(walk)
        })
    }

    fn page(
        &self,
        walk: &Arc<Mutex<RecursiveListing>>,
    ) -> impl Future<Output = Result<Arc<Vec<Filled>>, Error>> + use<> {
        let top = lock(walk).top().clone();
        self.pages.join(top.clone(), || {
            let (walk, bucket, state) = (walk.clone(), self.bucket.clone(), self.state.clone());
            async move {
                let Some(at) = lock(&walk).next().cloned() else { return Ok(Arc::default()) };
                let asked = Instant::now();
                let page = bucket.subtree_page(&top, &at).await?;
                if page.undecodable > 0 {
                    // Nobody knows which directory they are missing from.
                    return Err(Error::store(format!(
                        "{}: keys that are not UTF-8",
                        bucket.url(top.as_str())
                    )));
                }
                let filled = lock(&walk).absorb(page, asked);
                if let Some(middle) = filled.get(filled.len() / 2) {
                    lock(&state).halfway.insert(middle.prefix.clone(), walk, 1);
                }
                Ok(Arc::new(filled))
            }
        })
    }
}

impl State {
    fn new() -> Self {
        Self {
            habits: WeightedLru::new(REMEMBERED),
            walks: WeightedLru::new(WALKS),
            halfway: WeightedLru::new(REMEMBERED),
        }
    }

    fn habit<T>(&mut self, parent: &Prefix, change: impl FnOnce(&mut Habit) -> T) -> T {
        let mut habit = self.habits.remove(parent).unwrap_or_default();
        let answer = change(&mut habit);
        self.habits.insert(parent.clone(), habit, 1);
        answer
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
