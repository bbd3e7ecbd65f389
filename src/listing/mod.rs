//! What is known about prefixes: their listings, the names looked up in them, and how long that stays true.

mod directory;
mod gathered;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::bounded::Bounded;
use crate::error::{Error, Refusal};
use crate::flight::Flights;
use crate::object::{Entry, MAX_KEY, Name, Prefix, Shown};
use crate::s3::Bucket;
pub use directory::Directory;

/// Names in all listings that are kept; about 400 bytes each.
const LISTED_NAMES: usize = 500_000;
/// Names looked up one by one that are kept.
const LOOKED_UP_NAMES: usize = 100_000;
/// An absence is believed for this part of the time that a presence is, and never longer than [`LONGEST_ABSENCE`]: granules
/// appear, and hardly ever go.
const ABSENCE_PART: u32 = 10;
const LONGEST_ABSENCE: Duration = Duration::from_secs(30);

/// What a name stands for, and for how long that may be believed.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `None`: there is no such name.
    pub entry: Option<Entry>,
    /// From now on.
    pub fresh_for: Duration,
}

#[derive(Clone, Debug)]
struct Learned {
    entry: Option<Entry>,
    at: Instant,
}

type Looked = (Prefix, Box<str>);

/// The directories of one bucket.
#[derive(Debug)]
pub struct Listings {
    bucket: Bucket,
    ttl: Duration,
    directories: Mutex<Bounded<Prefix, Arc<Directory>>>,
    looked_up: Mutex<Bounded<Looked, Learned>>,
    lookups: Flights<Looked, Learned>,
    escaped: Mutex<Escaped>,
}

/// Keys that do not stand under their own name, in the listings that were read to the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Escaped {
    /// Objects under an escaped name because a directory has theirs.
    pub shadowed: u64,
    /// Keys that no name can show.
    pub unshowable: u64,
}

impl Listings {
    /// Nothing known yet; what is learned is believed for `ttl`.
    #[must_use]
    pub fn new(bucket: Bucket, ttl: Duration) -> Self {
        Self {
            bucket,
            ttl,
            directories: Mutex::new(Bounded::new(LISTED_NAMES)),
            looked_up: Mutex::new(Bounded::new(LOOKED_UP_NAMES)),
            lookups: Flights::default(),
            escaped: Mutex::default(),
        }
    }

    /// The directory `prefix`: the one that is known, or a new one that has not been asked for yet.
    pub fn directory(&self, prefix: &Prefix) -> Arc<Directory> {
        let mut directories = lock(&self.directories);
        if let Some(directory) = directories.get(prefix).filter(|directory| self.fresh_for(directory) > Duration::ZERO) {
            return directory.clone();
        }
        let directory = Arc::new(Directory::new(prefix.clone()));
        directories.insert(prefix.clone(), directory.clone(), 1);
        directory
    }

    /// Names of `directory` from position `from` on, in byte order; none at its end. Waits for pages as long as it takes.
    ///
    /// # Errors
    /// Those of [`Bucket::page`]. Where listing is not allowed, what was looked up stands in, if there is anything.
    pub async fn names(&self, directory: &Arc<Directory>, from: usize) -> Result<Vec<Shown>, Error> {
        match directory.names(&self.bucket, from).await {
            Ok(names) => {
                self.note(directory);
                Ok(names)
            }
            Err(Error::Refused(refusal @ Refusal::Forbidden { .. })) => {
                let known = self.looked_up_in(directory.prefix());
                if known.is_empty() {
                    return Err(refusal.into());
                }
                directory.settle_for(known);
                directory.names(&self.bucket, from).await
            }
            Err(error) => Err(error),
        }
    }

    /// For how long the directory's names may still be believed.
    #[must_use]
    pub fn fresh_for(&self, directory: &Directory) -> Duration {
        // Another name that is looked up belongs to those known at once.
        if directory.is_partial() { Duration::ZERO } else { self.freshness(directory.began()) }
    }

    /// What `name` stands for in `parent`: from what is known, or with one round trip.
    ///
    /// # Errors
    /// [`Error::NameTooLong`]; [`Error::Refused`] when S3 would say neither yes nor no.
    pub async fn lookup(&self, parent: &Prefix, name: &str) -> Result<Answer, Error> {
        let Some(parsed) = Name::parse(name) else {
            return Ok(Answer { entry: None, fresh_for: self.absence() });
        };
        let (Name::Plain(component) | Name::Object(component) | Name::Directory(component)) = &parsed;
        if parent.as_str().len() + component.len() > MAX_KEY {
            return Err(Error::NameTooLong);
        }
        if let Some(answer) = self.known(parent, name) {
            return Ok(answer);
        }
        let key: Looked = (parent.clone(), name.into());
        let flight = self.lookups.join(key.clone(), || {
            let (bucket, parent) = (self.bucket.clone(), parent.clone());
            async move {
                let at = Instant::now();
                let entry = resolve(&bucket, &parent, &parsed).await?;
                Ok(Learned { entry, at })
            }
        });
        let learned = flight.await?;
        lock(&self.looked_up).insert(key, learned.clone(), 1);
        Ok(self.answer(learned.entry, learned.at))
    }

    /// Forgets what is known about the name of `key`, since it was found to be no longer true.
    pub fn forget(&self, key: &str) {
        let (parent, component) = Prefix::of_key(key);
        lock(&self.directories).remove(&parent);
        lock(&self.looked_up).remove(&(parent, component.into()));
    }

    /// How many keys do not stand under their own name.
    #[must_use]
    pub fn escaped(&self) -> Escaped {
        *lock(&self.escaped)
    }

    fn known(&self, parent: &Prefix, name: &str) -> Option<Answer> {
        if let Some(directory) = lock(&self.directories).get(parent).cloned() {
            let answer = self.answer(directory.find(name), directory.began());
            let is_said = answer.entry.is_some() || directory.is_whole();
            if is_said && answer.fresh_for > Duration::ZERO {
                return Some(answer);
            }
        }
        let learned = lock(&self.looked_up).get(&(parent.clone(), name.into())).cloned()?;
        Some(self.answer(learned.entry, learned.at)).filter(|answer| answer.fresh_for > Duration::ZERO)
    }

    fn answer(&self, entry: Option<Entry>, at: Instant) -> Answer {
        let believed = if entry.is_some() { self.ttl } else { self.absence() };
        Answer { entry, fresh_for: believed.saturating_sub(at.elapsed()) }
    }

    fn absence(&self) -> Duration {
        (self.ttl / ABSENCE_PART).min(LONGEST_ABSENCE)
    }

    fn freshness(&self, since: Instant) -> Duration {
        self.ttl.saturating_sub(since.elapsed())
    }

    fn looked_up_in(&self, prefix: &Prefix) -> Vec<Shown> {
        let looked_up = lock(&self.looked_up);
        let here =
            looked_up.iter().filter(|((parent, _), learned)| parent == prefix && self.freshness(learned.at) > Duration::ZERO);
        here.filter_map(|((_, name), learned)| Some(Shown { name: name.clone(), entry: learned.entry.clone()? })).collect()
    }

    /// Counts the directory's names against the limit, and says once that some are escaped.
    fn note(&self, directory: &Arc<Directory>) {
        let Some(summary) = directory.take_summary() else { return };
        let mut directories = lock(&self.directories);
        if directories.get(directory.prefix()).is_some_and(|kept| Arc::ptr_eq(kept, directory)) {
            directories.insert(directory.prefix().clone(), directory.clone(), summary.names + 1);
        }
        drop(directories);
        if summary.shadowed + summary.unshowable == 0 {
            return;
        }
        let mut escaped = lock(&self.escaped);
        if escaped.shadowed + escaped.unshowable == 0 {
            let url = self.bucket.url(directory.prefix().as_str());
            tracing::warn!(url, summary.shadowed, summary.unshowable, "some keys have no plain name here; said once a mount");
        }
        escaped.shadowed += summary.shadowed as u64;
        escaped.unshowable += summary.unshowable as u64;
    }
}

/// Asks S3 what a name is: its key and the prefix of its name, side by side.
async fn resolve(bucket: &Bucket, parent: &Prefix, name: &Name) -> Result<Option<Entry>, Error> {
    match name {
        Name::Object(component) => object(bucket, parent, component).await,
        Name::Directory(component) => directory(bucket, parent, component).await,
        Name::Plain(component) => {
            let both = futures_util::future::join(object(bucket, parent, component), directory(bucket, parent, component));
            match both.await {
                (_, Ok(Some(directory))) => Ok(Some(directory)),
                (Ok(Some(file)), _) => Ok(Some(file)),
                // Neither listing nor reading says anything: a directory on the way to a key given in full.
                (Err(Error::Refused(Refusal::Forbidden { .. })), Err(Error::Refused(Refusal::Forbidden { .. }))) => {
                    Ok(Some(Entry::Directory(parent.child(component))))
                }
                (Ok(None), Ok(None)) => Ok(None),
                (Err(error), _) | (_, Err(error)) => Err(error),
            }
        }
    }
}

async fn object(bucket: &Bucket, parent: &Prefix, component: &str) -> Result<Option<Entry>, Error> {
    let key = parent.key(component);
    // The escaped name of nothing, at the root: there is no such key, and S3 cannot be asked for it.
    if key.is_empty() {
        return Ok(None);
    }
    match bucket.head(&key).await {
        Ok(object) => Ok(Some(Entry::File(Arc::new(object)))),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn directory(bucket: &Bucket, parent: &Prefix, component: &str) -> Result<Option<Entry>, Error> {
    let prefix = parent.child(component);
    if prefix.as_str().len() > MAX_KEY {
        return Ok(None);
    }
    Ok(bucket.has_keys(&prefix).await?.then_some(Entry::Directory(prefix)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
