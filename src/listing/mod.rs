//! What is known about prefixes: their listings, the names looked up in them, and how long that
//! stays true.
//!
//! A [`Directory`] is listed as far as somebody reads it: page by page, in segments side by side
//! when it is long, or with many others by a walk when a whole tree is read. A name is looked up by
//! itself unless a listing knows it.

mod directory;
mod key_interpolation;
mod lookups;
mod metadata_cache;
mod name_table;
mod ordering;
mod partitioned;
mod recursive_listing;
mod recursive_listings;
mod ttl;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Refusal};
use crate::object::{Entry, MAX_KEY, Name, NamedEntry, Object, ObjectId, Prefix};
use crate::s3::Bucket;
pub use directory::{Directory, Reading};
use lookups::Lookups;
pub use metadata_cache::MetadataCache;
use recursive_listing::Filled;
use recursive_listings::RecursiveListings;
use ttl::Ttl;

/// What a name stands for, and for how long that may be believed.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `None`: there is no such name.
    pub entry: Option<Entry>,
    /// From now on.
    pub fresh_for: Duration,
}

/// Keys that do not stand under their own name, in the listings that are remembered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Escaped {
    /// Objects under an escaped name because a directory has theirs.
    pub shadowed: usize,
    /// Keys that no name can show.
    pub unshowable: usize,
}

/// The directories of one bucket's tree.
#[derive(Debug)]
pub struct Listings {
    /// Its number among those that share the memory.
    tree: usize,
    bucket: Bucket,
    root: Prefix,
    trust: Ttl,
    memory: Arc<MetadataCache>,
    lookups: Lookups,
    walks: RecursiveListings,
    /// What was asked for before this is not taken in.
    refreshed: Mutex<Instant>,
}

impl Listings {
    /// Nothing known yet of what is below `root`; what is learned is believed for `ttl`, and kept
    /// in `memory` as that of `tree`.
    #[must_use]
    pub fn new(
        bucket: Bucket,
        root: Prefix,
        ttl: Duration,
        memory: Arc<MetadataCache>,
        tree: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            tree,
            root,
            trust: Ttl { ttl },
            lookups: Lookups::new(bucket.clone(), memory.clone(), tree),
            walks: RecursiveListings::new(bucket.clone()),
            memory,
            refreshed: Mutex::new(Instant::now()),
            bucket,
        })
    }

    /// Reads the directory `prefix`: the listing that is known, or a new one that has not been
    /// asked for yet.
    pub fn read(&self, prefix: &Prefix) -> Reading {
        Reading::new(self.directory(prefix))
    }

    /// Names of `directory` from position `from` on, in byte order; none at its end. Waits for
    /// pages as long as it takes.
    ///
    /// # Errors
    /// Those of [`Bucket::page`]. Where listing is not allowed, what was looked up stands in, if
    /// there is anything.
    pub async fn names(
        self: &Arc<Self>,
        directory: &Arc<Directory>,
        from: usize,
    ) -> Result<Vec<NamedEntry>, Error> {
        if from == 0 {
            self.follow(directory).await;
        }
        let names = match directory.names(from).await {
            // Positions that were given out go on to mean the same: only a listing that has not
            // begun may end like this.
            Err(Error::Refused(refusal @ Refusal::Forbidden { .. })) if directory.is_empty() => {
                let known = self.lookups.present_in(directory.prefix(), self.trust);
                if known.is_empty() {
                    return Err(refusal.into());
                }
                directory.settle_for(known);
                directory.names(from).await?
            }
            names => names?,
        };
        self.weigh(directory);
        Ok(names)
    }

    /// For how long the directory's names may still be believed.
    #[must_use]
    pub fn fresh_for(&self, directory: &Directory) -> Duration {
        // Another name that is looked up belongs to those known at once.
        if directory.is_partial() {
            Duration::ZERO
        } else {
            self.trust.in_presence(directory.began())
        }
    }

    /// What `name` stands for in `parent`: from what is known, or with one round trip.
    ///
    /// # Errors
    /// [`Error::NameTooLong`]; [`Error::Refused`] when S3 would say neither yes nor no.
    pub async fn lookup(&self, parent: &Prefix, name: &str) -> Result<Answer, Error> {
        let Some(parsed) = Name::parse(name) else {
            return Ok(Answer { entry: None, fresh_for: self.trust.in_absence(Instant::now()) });
        };
        if parent.as_str().len() + parsed.component().len() > MAX_KEY {
            return Err(Error::NameTooLong);
        }
        let refreshes = self.lookups.refreshes();
        if let Some(answer) = self.listed(parent, name) {
            if answer.entry.is_none() {
                self.lookups.note_absence(parent, name, refreshes);
            }
            return Ok(answer);
        }
        let learned = match self.lookups.known(parent, name, self.trust) {
            Some(learned) => learned,
            None => self.lookups.ask(parent, name, parsed).await?,
        };
        Ok(Answer { fresh_for: self.trust.in_lookup(&learned), entry: learned.entry })
    }

    /// At most `count` objects that a reader of one file after the other opens behind `key`, as far
    /// as a listing tells.
    #[must_use]
    pub fn following(&self, key: &str, count: usize) -> Vec<Arc<Object>> {
        let (parent, name) = Prefix::of_key(key);
        let directory = self.memory.find(self.tree, &parent);
        directory.map(|directory| directory.following(name, count)).unwrap_or_default()
    }

    /// Forgets this version of an object, and the listing that shows it. What is known of a newer
    /// one stays.
    pub fn forget(&self, version: &ObjectId) {
        let (parent, component) = Prefix::of_key(&version.key);
        let is_it = |entry: Option<Entry>| matches!(entry, Some(Entry::File(object)) if object.id == *version);
        let directory = self.memory.find(self.tree, &parent);
        for name in Name::of_object(component) {
            if directory.as_ref().is_some_and(|directory| is_it(directory.find(&name))) {
                self.memory.forget(self.tree, &parent);
            }
            self.lookups.forget(&parent, &name, version);
        }
    }

    /// Forgets all that is known below `prefix`. Answers the names that did not exist, and the
    /// directories they are not in.
    pub fn refresh(&self, prefix: &Prefix) -> Vec<(Prefix, Box<str>)> {
        let mut refreshed = lock(&self.refreshed);
        *refreshed = Instant::now();
        self.memory.forget_below(self.tree, prefix);
        self.walks.refresh();
        self.lookups.refresh(prefix)
    }

    fn directory(&self, prefix: &Prefix) -> Arc<Directory> {
        let is_fresh = |directory: &Directory| !self.fresh_for(directory).is_zero();
        self.memory.find_or_begin(self.tree, prefix, is_fresh, || {
            Directory::new(self.bucket.clone(), prefix.clone())
        })
    }

    /// What a listing knows of a name. One that knows all names also knows which there are not.
    fn listed(&self, parent: &Prefix, name: &str) -> Option<Answer> {
        let directory = self.memory.find(self.tree, parent)?;
        let fresh_for = self.fresh_for(&directory);
        let entry = directory.find(name);
        let is_said = entry.is_some() || directory.is_whole();
        // The kernel asks again for what is absent, and is answered here.
        let fresh_for = if entry.is_some() {
            fresh_for
        } else {
            fresh_for.min(self.trust.in_absence(Instant::now()))
        };
        (is_said && !fresh_for.is_zero()).then_some(Answer { entry, fresh_for })
    }

    /// Lets a walk bring the directory's names, or the next page of it where one has.
    async fn follow(self: &Arc<Self>, directory: &Directory) {
        let prefix = directory.prefix();
        if directory.is_cold() && *prefix != self.root {
            self.walks.lead_to(&prefix.parent(), prefix, |filled| self.put(filled)).await;
        } else if self.walks.is_halfway(prefix) {
            let (listings, prefix) = (self.clone(), prefix.clone());
            tokio::spawn(async move {
                listings.walks.pass(&prefix, |filled| listings.put(filled)).await
            });
        }
    }

    /// Keeps a directory that a walk has filled.
    fn put(&self, filled: &Filled) {
        let refreshed = lock(&self.refreshed);
        if filled.began < *refreshed {
            return;
        }
        let directory = self.directory(&filled.prefix);
        if directory.is_cold() {
            directory.fill(filled.names.clone(), filled.began);
            self.weigh(&directory);
        }
    }

    /// Counts the directory's names against the limit, and says once that some are escaped.
    fn weigh(&self, directory: &Arc<Directory>) {
        self.memory.weigh(self.tree, directory);
        let Escaped { shadowed, unshowable } = directory.escaped();
        if shadowed + unshowable > 0 && self.memory.may_tell_of_escapes() {
            let url = self.bucket.url(directory.prefix().as_str());
            tracing::warn!(
                url,
                shadowed,
                unshowable,
                "some keys have no plain name here; said once a mount"
            );
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
