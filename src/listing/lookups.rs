//! Names that are looked up one by one, without a listing: S3 is asked once, and the answer is
//! remembered.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join;
use parking_lot::MutexGuard;

use super::known_ranges::{DirectoryKey, KnownRange, KnownRanges, RangeRequest};
use super::memory::{Charge, Memory};
use super::{MetadataCache, Ttl};
use crate::error::{Error, Refusal};
use crate::object::{Entry, MAX_KEY, Name, NamedEntry, ObjectId, Prefix};
use crate::s3::Bucket;
use crate::single_flight::SingleFlight;
use crate::weighted_lru::WeightedLru;

/// Bytes of memory that a name takes beside its text.
const LOOKUP_SIZE: usize = 400;

/// What S3 said of a name.
#[derive(Clone, Debug)]
pub(super) struct CachedLookup {
    /// `None`: there is no such name.
    pub(super) entry: Option<Entry>,
    /// Why S3 would not say what it is, where this is taken for a directory only since it may be on
    /// the way to a key that is given in full.
    pub(super) assumed: Option<Refusal>,
    /// When S3 was asked.
    pub(super) at: Instant,
}

/// The number of a tree, a directory in it, and a name there.
type LookupKey = (usize, Prefix, Box<str>);

/// The names that were looked up in one bucket.
#[derive(Debug)]
pub(super) struct Lookups {
    bucket: Bucket,
    cache: Arc<MetadataCache>,
    tree: usize,
    /// The key has the number of refreshes as well: a request from before a refresh does not answer
    /// a lookup from after it.
    in_flight: SingleFlight<(u64, LookupKey), CachedLookup>,
    ranges_in_flight: SingleFlight<(u64, DirectoryKey, RangeRequest), KnownRange>,
}

/// The names that were looked up in all trees of a mount.
#[derive(Debug)]
pub(super) struct CachedLookups {
    names: WeightedLru<LookupKey, CachedLookup>,
    ranges: KnownRanges,
    charge: Charge,
    /// How often names were forgotten on demand.
    refreshes: u64,
}

impl CachedLookups {
    /// Returns a table that takes `limit` bytes of the memory.
    pub(super) fn new(memory: &Arc<Memory>, limit: usize) -> Self {
        let (names, charge) = (WeightedLru::new(limit), Charge::new(memory, 0));
        Self { names, ranges: KnownRanges::new(), charge, refreshes: 0 }
    }

    fn insert(&mut self, key: LookupKey, lookup: CachedLookup) {
        // The prefix, and the key of the object, are as long as each other.
        let bytes = LOOKUP_SIZE + 2 * (key.1.as_str().len() + key.2.len());
        self.names.insert(key, lookup, bytes);
        self.charge.set(self.names.weight());
    }

    fn remove_where(
        &mut self,
        matches: impl Fn(&LookupKey) -> bool,
    ) -> Vec<(LookupKey, CachedLookup)> {
        let removed = self.names.remove_where(matches);
        self.charge.set(self.names.weight());
        removed
    }

    /// Forgets what may not be believed any more. Returns whether nothing is left.
    pub(super) fn forget_expired(&mut self, ttl: Ttl) -> bool {
        let is_over = |(_, lookup): &(&LookupKey, &CachedLookup)| ttl.of_lookup(lookup).is_zero();
        let expired: Vec<_> =
            self.names.iter().filter(is_over).map(|(key, _)| key.clone()).collect();
        for key in expired {
            self.names.remove(&key);
        }
        self.charge.set(self.names.weight());
        self.names.is_empty()
    }
}

impl Lookups {
    pub(super) fn new(bucket: Bucket, cache: Arc<MetadataCache>, tree: usize) -> Self {
        let (in_flight, ranges_in_flight) = (SingleFlight::default(), SingleFlight::default());
        Self { bucket, cache, tree, in_flight, ranges_in_flight }
    }

    /// Returns what is remembered of a name, if it may still be believed.
    pub(super) fn cached(&self, parent: &Prefix, name: &str, ttl: Ttl) -> Option<CachedLookup> {
        let key = self.key(parent, name);
        let mut cached = self.cached_lookups();
        if let Some(lookup) = cached.names.get(&key)
            && !ttl.of_lookup(lookup).is_zero()
        {
            return Some(lookup.clone());
        }
        let directory = (self.tree, parent.clone());
        let lookup = cached.ranges.find(&directory, name, ttl)?;
        cached.ranges.record_lookup(directory, name, lookup.entry.is_some());
        cached.insert(key, lookup.clone());
        Some(lookup)
    }

    /// Asks S3 what `name`, which parses to `parsed`, is: together with others that are likely to
    /// be asked for next, or by itself.
    ///
    /// # Errors
    /// [`Error::Refused`] when S3 would say neither yes nor no.
    pub(super) async fn fetch(
        &self,
        parent: &Prefix,
        name: &str,
        parsed: Name,
        ttl: Ttl,
    ) -> Result<CachedLookup, Error> {
        let key = self.key(parent, name);
        let refreshes = self.refreshes();
        if matches!(parsed, Name::Plain(_))
            && let Some(lookup) = self.fetch_range(parent, name, refreshes, ttl).await
        {
            return Ok(lookup);
        }
        let request = self.in_flight.join((refreshes, key.clone()), || {
            let (bucket, parent) = (self.bucket.clone(), parent.clone());
            async move { look_up(&bucket, &parent, &parsed).await }
        });
        let lookup = request.await?;
        let mut cached = self.cached_lookups();
        if cached.refreshes == refreshes {
            cached.insert(key, lookup.clone());
        }
        let directory = (self.tree, parent.clone());
        cached.ranges.record_lookup(directory, name, lookup.entry.is_some());
        Ok(lookup)
    }

    /// Asks S3 for the range of names that `name` is likely to be one of many lookups in. Returns
    /// what it tells of `name`. `None`: there is no such range, or it does not tell.
    async fn fetch_range(
        &self,
        parent: &Prefix,
        name: &str,
        refreshes: u64,
        ttl: Ttl,
    ) -> Option<CachedLookup> {
        let directory = (self.tree, parent.clone());
        let request = self.cached_lookups().ranges.plan(&directory, name, ttl)?;
        let key = (refreshes, directory.clone(), request.clone());
        let fetch = self.ranges_in_flight.join(key, || {
            let (bucket, parent, request) = (self.bucket.clone(), parent.clone(), request.clone());
            async move { KnownRange::fetch(&bucket, &parent, &request).await }
        });
        let range = fetch.await;
        let lookup = range.as_ref().ok().and_then(|range| range.find(name));
        let mut cached = self.cached_lookups();
        if cached.refreshes == refreshes {
            cached.ranges.record(&directory, &request, &range);
            if let Some(lookup) = &lookup {
                cached.names.insert(self.key(parent, name), lookup.clone(), 1);
            }
        }
        if let Some(lookup) = &lookup {
            cached.ranges.record_lookup(directory, name, lookup.entry.is_some());
        }
        lookup
    }

    /// Records that a listing has no such name, and that the kernel is told so. The listing was
    /// known when there had been so many `refreshes`.
    pub(super) fn record_absence(&self, parent: &Prefix, name: &str, refreshes: u64) {
        let lookup = CachedLookup { entry: None, assumed: None, at: Instant::now() };
        let mut cached = self.cached_lookups();
        if cached.refreshes == refreshes {
            cached.insert(self.key(parent, name), lookup);
            cached.ranges.record_lookup((self.tree, parent.clone()), name, false);
        }
    }

    /// Returns how often names were forgotten on demand.
    pub(super) fn refreshes(&self) -> u64 {
        self.cached_lookups().refreshes
    }

    /// Forgets the names below `prefix`. Returns those that did not exist, with their directories.
    pub(super) fn refresh(&self, prefix: &Prefix) -> Vec<(Prefix, Box<str>)> {
        let mut cached = self.cached_lookups();
        cached.refreshes += 1;
        let is_below =
            |(tree, parent): &DirectoryKey| *tree == self.tree && prefix.holds(parent.as_str());
        cached.ranges.forget_where(is_below);
        let forgotten = cached
            .remove_where(|(tree, parent, _)| *tree == self.tree && prefix.holds(parent.as_str()));
        let absent = forgotten.into_iter().filter(|(_, lookup)| lookup.entry.is_none());
        absent.map(|((_, parent, name), _)| (parent, name)).collect()
    }

    /// Returns the names in `prefix` that were looked up, exist, and may still be believed.
    pub(super) fn present_in(&self, prefix: &Prefix, ttl: Ttl) -> Vec<NamedEntry> {
        let cached = self.cached_lookups();
        let here = cached.names.iter().filter(|((tree, parent, _), lookup)| {
            *tree == self.tree && parent == prefix && !ttl.of_lookup(lookup).is_zero()
        });
        here.filter_map(|((_, _, name), lookup)| {
            Some(NamedEntry { name: name.clone(), entry: lookup.entry.clone()? })
        })
        .collect()
    }

    /// Forgets a name, unless it is known to stand for another version of the object.
    pub(super) fn forget(&self, parent: &Prefix, name: &str, version: &ObjectId) {
        let key = self.key(parent, name);
        let mut cached = self.cached_lookups();
        // The answer to a request in flight may still be this version.
        cached.refreshes += 1;
        cached.ranges.forget_where(|(tree, other)| *tree == self.tree && other == parent);
        let known = cached.names.get(&key).and_then(|lookup| lookup.entry.as_ref());
        let is_other_version = version.has_version()
            && matches!(known, Some(Entry::File(object)) if object.id != *version);
        if !is_other_version {
            cached.names.remove(&key);
        }
    }

    fn key(&self, parent: &Prefix, name: &str) -> LookupKey {
        (self.tree, parent.clone(), name.into())
    }

    fn cached_lookups(&self) -> MutexGuard<'_, CachedLookups> {
        self.cache.lookups.lock()
    }
}

async fn look_up(bucket: &Bucket, parent: &Prefix, name: &Name) -> Result<CachedLookup, Error> {
    let at = Instant::now();
    let mut assumed = None;
    let entry = match name {
        Name::Directory(component) => directory(bucket, parent, component).await?,
        Name::Object(component) if !Name::is_plain(component) => {
            object(bucket, parent, component).await?
        }
        Name::Object(component) => {
            // Such a name is shown only where a directory shadows the object.
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
                // HEAD denies what does not exist to those who may not list the whole bucket. A
                // listing of just this key may be allowed.
                // To a HEAD of an object with a key of its own (SSE-C), S3 says 400 and no more.
                (Err(Error::Refused(_)), Ok(None)) => bucket
                    .listed(&parent.key(component))
                    .await?
                    .map(|object| Entry::File(Arc::new(object))),
                (
                    Ok(None) | Err(Error::Refused(Refusal::Forbidden { .. })),
                    Err(Error::Refused(refusal @ Refusal::Forbidden { .. })),
                ) => {
                    assumed = Some(refusal);
                    Some(Entry::Directory(parent.child(component)))
                }
                // The answer to a HEAD has no body that would tell this from other denials.
                (
                    Err(Error::Refused(Refusal::Forbidden { .. })),
                    Err(error @ Error::Refused(_)),
                )
                | (_, Err(error @ Error::Refused(Refusal::OutOfRegion { .. }))) => {
                    return Err(error);
                }
                (Err(error), _) | (_, Err(error)) => return Err(error),
            }
        }
    };
    Ok(CachedLookup { entry, assumed, at })
}

async fn object(bucket: &Bucket, parent: &Prefix, component: &str) -> Result<Option<Entry>, Error> {
    let key = parent.key(component);
    // The escaped name of the empty component at the root: S3 has no such key, and cannot be asked
    // for one.
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
