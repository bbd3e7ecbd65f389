//! The names of a directory that may not be listed, as far as the records of collections state
//! prefixes below it.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Ttl;
use crate::catalog::BucketPrefixes;
use crate::error::{Error, Problem};
use crate::object::Prefix;
use crate::single_flight::SingleFlight;

/// The answer is worth waiting for this long. Without it the directory is refused, as it would be
/// if nobody knew any names.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is known of the prefixes that records state, and whom to ask for them.
#[derive(Debug, Default)]
pub(super) struct StatedPrefixes {
    /// `None`: nobody.
    catalog: OnceLock<BucketPrefixes>,
    cached: Mutex<Option<Cached>>,
    in_flight: SingleFlight<(), Arc<[Prefix]>>,
}

#[derive(Debug)]
struct Cached {
    at: Instant,
    /// `None`: there was no answer.
    prefixes: Option<Arc<[Prefix]>>,
}

impl StatedPrefixes {
    /// Sets whom to ask. Only the first one counts.
    pub(super) fn ask_from(&self, catalog: BucketPrefixes) {
        let _ = self.catalog.set(catalog);
    }

    /// Forgets the answer.
    pub(super) fn refresh(&self) {
        *self.cached.lock() = None;
    }

    /// Returns the components below `directory` that lead to stated prefixes. Asks for these once,
    /// and again when the time to live is over; after a failure when that of an absence is.
    pub(super) async fn children_of(&self, directory: &Prefix, ttl: Ttl) -> BTreeSet<String> {
        let Some(prefixes) = self.prefixes(ttl).await else { return BTreeSet::new() };
        let below = prefixes.iter().filter_map(|prefix| {
            let rest = prefix.as_str().strip_prefix(directory.as_str())?;
            rest.split_once('/').map(|(component, _)| component)
        });
        below.filter(|component| !component.is_empty()).map(str::to_owned).collect()
    }

    async fn prefixes(&self, ttl: Ttl) -> Option<Arc<[Prefix]>> {
        let catalog = self.catalog.get()?;
        if let Some(cached) = &*self.cached.lock() {
            let fresh_for = match cached.prefixes {
                Some(_) => ttl.of_presence(cached.at),
                None => ttl.of_absence(cached.at),
            };
            if !fresh_for.is_zero() {
                return cached.prefixes.clone();
            }
        }
        let at = Instant::now();
        let question = self.in_flight.join((), || {
            let catalog = catalog.clone();
            async move {
                let asked = tokio::time::timeout(TIMEOUT, catalog.ask()).await;
                let late = || Error::transient(Problem::new("CMR does not answer in time"));
                asked.map_err(|_| late())?.map(Into::into)
            }
        });
        let answer = question.await;
        if let Err(error) = &answer {
            tracing::warn!(%error, "nobody says which directories there are");
        }
        let prefixes = answer.ok();
        *self.cached.lock() = Some(Cached { at, prefixes: prefixes.clone() });
        prefixes
    }
}
