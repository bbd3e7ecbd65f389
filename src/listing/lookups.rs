//! Names looked up one by one, without a listing: asked for with one round trip, and remembered.

use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use futures_util::future::join;

use super::{MetadataCache, Ttl, lock};
use crate::error::{Error, Refusal};
use crate::object::{Entry, MAX_KEY, Name, NamedEntry, ObjectId, Prefix};
use crate::s3::Bucket;
use crate::single_flight::SingleFlight;
use crate::weighted_lru::WeightedLru;

/// Names that are remembered.
const REMEMBERED: usize = 100_000;

/// What was found out about a name.
#[derive(Clone, Debug)]
pub(super) struct CachedLookup {
    /// `None`: there is no such name.
    pub(super) entry: Option<Entry>,
    /// Nobody said that this directory exists; it is taken for one because it may be on the way to
    /// a key given in full.
    pub(super) is_assumed: bool,
    pub(super) at: Instant,
}

/// A tree, a directory in it, and a name there.
type Place = (usize, Prefix, Box<str>);

/// The names that were looked up in one bucket.
#[derive(Debug)]
pub(super) struct Lookups {
    bucket: Bucket,
    memory: Arc<MetadataCache>,
    tree: usize,
    /// By the refresh that they follow as well: a question from before it does not answer one from
    /// after it.
    flights: SingleFlight<(u64, Place), CachedLookup>,
}

/// The names that were looked up in all trees of a mount.
#[derive(Debug)]
pub(super) struct Names {
    names: WeightedLru<Place, CachedLookup>,
    /// How often names were forgotten on demand.
    refreshes: u64,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { names: WeightedLru::new(REMEMBERED), refreshes: 0 }
    }
}

impl Lookups {
    pub(super) fn new(bucket: Bucket, memory: Arc<MetadataCache>, tree: usize) -> Self {
        Self { bucket, memory, tree, flights: SingleFlight::default() }
    }

    /// What is remembered of a name, if it may still be believed.
    pub(super) fn known(&self, parent: &Prefix, name: &str, trust: Ttl) -> Option<CachedLookup> {
        self.state()
            .names
            .get(&self.place(parent, name))
            .filter(|learned| !trust.in_lookup(learned).is_zero())
            .cloned()
    }

    /// Asks S3 what `name`, which parses to `parsed`, is.
    ///
    /// # Errors
    /// [`Error::Refused`] when S3 would say neither yes nor no.
    pub(super) async fn ask(
        &self,
        parent: &Prefix,
        name: &str,
        parsed: Name,
    ) -> Result<CachedLookup, Error> {
        let place = self.place(parent, name);
        let refreshes = self.refreshes();
        let flight = self.flights.join((refreshes, place.clone()), || {
            let (bucket, parent) = (self.bucket.clone(), parent.clone());
            async move { resolve(&bucket, &parent, &parsed).await }
        });
        let learned = flight.await?;
        let mut state = self.state();
        if state.refreshes == refreshes {
            state.names.insert(place, learned.clone(), 1);
        }
        Ok(learned)
    }

    /// Takes note that a listing that was known when there had been so many `refreshes` says that
    /// there is no such name, and that the kernel is told so.
    pub(super) fn note_absence(&self, parent: &Prefix, name: &str, refreshes: u64) {
        let learned = CachedLookup { entry: None, is_assumed: false, at: Instant::now() };
        let mut state = self.state();
        if state.refreshes == refreshes {
            state.names.insert(self.place(parent, name), learned, 1);
        }
    }

    /// How often names were forgotten on demand.
    pub(super) fn refreshes(&self) -> u64 {
        self.state().refreshes
    }

    /// Forgets the names below `prefix`, and answers those that did not exist.
    pub(super) fn refresh(&self, prefix: &Prefix) -> Vec<(Prefix, Box<str>)> {
        let mut state = self.state();
        state.refreshes += 1;
        let forgotten = state
            .names
            .remove_where(|(tree, parent, _)| *tree == self.tree && prefix.holds(parent.as_str()));
        let absent = forgotten.into_iter().filter(|(_, learned)| learned.entry.is_none());
        absent.map(|((_, parent, name), _)| (parent, name)).collect()
    }

    /// The names of `prefix` that were looked up, exist, and may still be believed.
    pub(super) fn present_in(&self, prefix: &Prefix, trust: Ttl) -> Vec<NamedEntry> {
        let state = self.state();
        let here = state.names.iter().filter(|((tree, parent, _), learned)| {
            *tree == self.tree && parent == prefix && !trust.in_lookup(learned).is_zero()
        });
        here.filter_map(|((_, _, name), learned)| {
            Some(NamedEntry { name: name.clone(), entry: learned.entry.clone()? })
        })
        .collect()
    }

    /// Forgets the name unless it is known as another version of the object.
    pub(super) fn forget(&self, parent: &Prefix, name: &str, version: &ObjectId) {
        let place = self.place(parent, name);
        let mut state = self.state();
        // What is asked by now may still be answered with it.
        state.refreshes += 1;
        if !matches!(state.names.get(&place), Some(CachedLookup { entry: Some(Entry::File(object)), .. }) if object.id != *version)
        {
            state.names.remove(&place);
        }
    }

    fn place(&self, parent: &Prefix, name: &str) -> Place {
        (self.tree, parent.clone(), name.into())
    }

    fn state(&self) -> MutexGuard<'_, Names> {
        lock(&self.memory.names)
    }
}

async fn resolve(bucket: &Bucket, parent: &Prefix, name: &Name) -> Result<CachedLookup, Error> {
    let at = Instant::now();
    let mut is_assumed = false;
    let entry = match name {
        Name::Directory(component) => directory(bucket, parent, component).await?,
        Name::Object(component) if !Name::is_plain(component) => {
            object(bucket, parent, component).await?
        }
        Name::Object(component) => {
            // Only what a directory shadows is shown like this.
            let (object, directory) =
                join(object(bucket, parent, component), directory(bucket, parent, component)).await;
            directory?.and(object?)
        }
        Name::Plain(component) => {
            match join(object(bucket, parent, component), directory(bucket, parent, component))
                .await
            {
                (_, Ok(Some(directory))) => Some(directory),
                (Ok(Some(file)), _) => Some(file),
                (Ok(None), Ok(None)) => None,
                // HEAD needs leave to list the whole bucket before it says that a key is missing; a
                // listing of just this key may be allowed.
                (Err(Error::Refused(Refusal::Forbidden { .. })), Ok(None)) => bucket
                    .listed(&parent.key(component))
                    .await?
                    .map(|object| Entry::File(Arc::new(object))),
                (
                    Ok(None) | Err(Error::Refused(Refusal::Forbidden { .. })),
                    Err(Error::Refused(Refusal::Forbidden { .. })),
                ) => {
                    is_assumed = true;
                    Some(Entry::Directory(parent.child(component)))
                }
                // HEAD's answers have no words that tell this from other denials.
                (_, Err(error @ Error::Refused(Refusal::OutOfRegion { .. }))) => return Err(error),
                (Err(error), _) | (_, Err(error)) => return Err(error),
            }
        }
    };
    Ok(CachedLookup { entry, is_assumed, at })
}

async fn object(bucket: &Bucket, parent: &Prefix, component: &str) -> Result<Option<Entry>, Error> {
    let key = parent.key(component);
    // The escaped name of nothing, at the root: there is no such key, and S3 cannot be asked for
    // it.
    if key.is_empty() {
        return Ok(None);
    }
    match bucket.head(&key).await {
        Ok(object) => Ok(Some(Entry::File(Arc::new(object)))),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn directory(
    bucket: &Bucket,
    parent: &Prefix,
    component: &str,
) -> Result<Option<Entry>, Error> {
    let prefix = parent.child(component);
    if prefix.as_str().len() > MAX_KEY {
        return Ok(None);
    }
    Ok(bucket.has_keys(&prefix).await?.then_some(Entry::Directory(prefix)))
}
