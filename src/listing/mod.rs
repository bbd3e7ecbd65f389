//! What is known about prefixes: their listings, the names looked up in them, and how long that stays true.
//!
//! A [`Directory`] is listed as far as somebody reads it: page by page, in segments side by side when it is long, or with
//! many others by a walk when a whole tree is read. A name is looked up by itself unless a listing knows it.

mod directory;
mod gathered;
mod lookups;
mod packed;
mod segments;
mod split;
mod trust;
mod walk;
mod walks;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::bounded::Bounded;
use crate::error::{Error, Refusal};
use crate::object::{Entry, MAX_KEY, Name, Object, Prefix, Shown};
use crate::s3::Bucket;
pub use directory::{Directory, Reading};
use lookups::Lookups;
use trust::Trust;
use walk::Filled;
use walks::Walks;

/// Memory for listings, bytes: five million names, or half a million directories of a few.
const LISTINGS_SIZE: usize = 512 << 20;
/// What a directory weighs beside its names, bytes, rounded up.
const DIRECTORY_SIZE: usize = 1024;

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

/// The directories of one bucket.
#[derive(Debug)]
pub struct Listings {
    bucket: Bucket,
    root: Prefix,
    trust: Trust,
    directories: Mutex<Bounded<Prefix, Arc<Directory>>>,
    lookups: Lookups,
    walks: Walks,
    /// What was asked for before this is not taken in.
    refreshed: Mutex<Instant>,
    are_escapes_told: AtomicBool,
}

impl Listings {
    /// Nothing known yet of what is below `root`; what is learned is believed for `ttl`.
    #[must_use]
    pub fn new(bucket: Bucket, root: Prefix, ttl: Duration) -> Arc<Self> {
        Arc::new(Self {
            root,
            trust: Trust { ttl },
            directories: Mutex::new(Bounded::new(LISTINGS_SIZE)),
            lookups: Lookups::new(bucket.clone()),
            walks: Walks::new(bucket.clone()),
            refreshed: Mutex::new(Instant::now()),
            are_escapes_told: AtomicBool::new(false),
            bucket,
        })
    }

    /// Reads the directory `prefix`: the listing that is known, or a new one that has not been asked for yet.
    pub fn read(&self, prefix: &Prefix) -> Reading {
        Reading::new(self.directory(prefix))
    }

    /// Names of `directory` from position `from` on, in byte order; none at its end. Waits for pages as long as it takes.
    ///
    /// # Errors
    /// Those of [`Bucket::page`]. Where listing is not allowed, what was looked up stands in, if there is anything.
    pub async fn names(self: &Arc<Self>, directory: &Arc<Directory>, from: usize) -> Result<Vec<Shown>, Error> {
        if from == 0 {
            self.follow(directory).await;
        }
        let names = match directory.names(from).await {
            // Positions that were given out go on to mean the same: only a listing that has not begun may end like this.
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
        if directory.is_partial() { Duration::ZERO } else { self.trust.in_presence(directory.began()) }
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
        if let Some(answer) = self.listed(parent, name) {
            if answer.entry.is_none() {
                self.lookups.note_absence(parent, name);
            }
            return Ok(answer);
        }
        let learned = match self.lookups.known(parent, name, self.trust) {
            Some(learned) => learned,
            None => self.lookups.ask(parent, name, parsed).await?,
        };
        Ok(Answer { fresh_for: self.trust.in_lookup(&learned), entry: learned.entry })
    }

    /// At most `count` objects that a reader of one file after the other opens behind `key`, as far as a listing tells.
    #[must_use]
    pub fn following(&self, key: &str, count: usize) -> Vec<Arc<Object>> {
        let (parent, name) = Prefix::of_key(key);
        let directory = lock(&self.directories).get(&parent).cloned();
        directory.map(|directory| directory.following(name, count)).unwrap_or_default()
    }

    /// Forgets what is known about the object `key`, and the listing that shows it.
    pub fn forget(&self, key: &str) {
        let (parent, component) = Prefix::of_key(key);
        lock(&self.directories).remove(&parent);
        Name::of_object(component).iter().for_each(|name| self.lookups.forget(&parent, name));
    }

    /// Forgets all that is known below `prefix`. Answers the names that did not exist, and the directories they are not in.
    pub fn refresh(&self, prefix: &Prefix) -> Vec<(Prefix, Box<str>)> {
        *lock(&self.refreshed) = Instant::now();
        lock(&self.directories).remove_where(|known| prefix.holds(known.as_str()));
        self.walks.refresh();
        self.lookups.refresh(prefix)
    }

    /// How many keys do not stand under their own name.
    #[must_use]
    pub fn escaped(&self) -> Escaped {
        let directories = lock(&self.directories);
        directories.iter().map(|(_, directory)| directory.escaped()).fold(Escaped::default(), |sum, one| Escaped {
            shadowed: sum.shadowed + one.shadowed,
            unshowable: sum.unshowable + one.unshowable,
        })
    }

    fn directory(&self, prefix: &Prefix) -> Arc<Directory> {
        let mut directories = lock(&self.directories);
        if let Some(directory) = directories.get(prefix).filter(|directory| !self.fresh_for(directory).is_zero()) {
            return directory.clone();
        }
        let directory = Arc::new(Directory::new(self.bucket.clone(), prefix.clone()));
        directories.insert(prefix.clone(), directory.clone(), DIRECTORY_SIZE);
        directory
    }

    /// What a listing knows of a name. One that knows all names also knows which there are not.
    fn listed(&self, parent: &Prefix, name: &str) -> Option<Answer> {
        let directory = lock(&self.directories).get(parent).cloned()?;
        let fresh_for = self.fresh_for(&directory);
        let entry = directory.find(name);
        let is_said = entry.is_some() || directory.is_whole();
        // The kernel asks again for what is absent, and is answered here.
        let fresh_for = if entry.is_some() { fresh_for } else { fresh_for.min(self.trust.in_absence(Instant::now())) };
        (is_said && !fresh_for.is_zero()).then_some(Answer { entry, fresh_for })
    }

    /// Lets a walk bring the directory's names, or the next page of it where one has.
    async fn follow(self: &Arc<Self>, directory: &Directory) {
        let prefix = directory.prefix();
        if directory.is_cold() && *prefix != self.root {
            self.walks.lead_to(&prefix.parent(), prefix, |filled| self.put(filled)).await;
        } else if self.walks.is_halfway(prefix) {
            let (listings, prefix) = (self.clone(), prefix.clone());
            tokio::spawn(async move { listings.walks.pass(&prefix, |filled| listings.put(filled)).await });
        }
    }

    /// Keeps a directory that a walk has filled.
    fn put(&self, filled: &Filled) {
        if filled.began < *lock(&self.refreshed) {
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
        let mut directories = lock(&self.directories);
        if directories.get(directory.prefix()).is_some_and(|kept| Arc::ptr_eq(kept, directory)) {
            directories.insert(directory.prefix().clone(), directory.clone(), DIRECTORY_SIZE + directory.bytes());
        }
        drop(directories);
        let Escaped { shadowed, unshowable } = directory.escaped();
        if shadowed + unshowable > 0 && !self.are_escapes_told.swap(true, Ordering::Relaxed) {
            let url = self.bucket.url(directory.prefix().as_str());
            tracing::warn!(url, shadowed, unshowable, "some keys have no plain name here; said once a mount");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
