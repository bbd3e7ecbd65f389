//! What is known about prefixes: their listings, the names looked up in them, and for how long that
//! may be believed.
//!
//! A [`Directory`] is listed as far as somebody reads it: page by page; in partitions side by side
//! when it is long; or together with many others, by a recursive listing, when a whole tree is
//! read. A name is looked up by itself unless a listing knows it.

mod directory;
mod key_interpolation;
mod known_ranges;
mod lookups;
mod metadata_cache;
mod name_table;
mod ordered_entries;
mod packed_attributes;
mod packed_names;
mod packed_page;
mod page_fetcher;
mod page_times;
mod partitioned;
mod recursive_listing;
mod recursive_listings;
mod sibling_predictor;
mod split_planner;
mod stated_prefixes;
#[cfg(test)]
mod test_objects;
mod ttl;

use std::iter::Sum;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use parking_lot::Mutex;

use crate::catalog::BucketPrefixes;
use crate::error::{Error, Refusal};
use crate::object::{Entry, MAX_KEY, Name, NamedEntry, Object, ObjectId, Prefix};
use crate::s3::Bucket;
use directory::ListedName;
pub use directory::{Directory, DirectoryReader};
use lookups::Lookups;
pub use metadata_cache::MetadataCache;
use recursive_listing::ListedDirectory;
use recursive_listings::RecursiveListings;
use stated_prefixes::StatedPrefixes;
use ttl::Ttl;

/// What a name stands for, and for how long that may be believed.
#[derive(Clone, Debug)]
pub struct LookupAnswer {
    /// `None`: there is no such name.
    pub entry: Option<Entry>,
    /// The time from now on.
    pub fresh_for: Duration,
}

/// How many keys are not shown under their own name, in the listings that are remembered.
#[derive(Clone, Copy, Debug, Default)]
pub struct EscapedKeys {
    /// Objects under an escaped name because a directory has theirs.
    pub shadowed: usize,
    /// Keys that no name can show.
    pub unshowable: usize,
}

impl Sum for EscapedKeys {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, one| Self {
            shadowed: sum.shadowed + one.shadowed,
            unshowable: sum.unshowable + one.unshowable,
        })
    }
}

/// The directories of one bucket's tree.
#[derive(Debug)]
pub struct Listings {
    /// The number of the tree among those that share the cache.
    tree: usize,
    bucket: Bucket,
    root: Prefix,
    ttl: Ttl,
    cache: Arc<MetadataCache>,
    lookups: Lookups,
    recursive: RecursiveListings,
    stated: StatedPrefixes,
    /// What S3 was asked for before this moment is not kept.
    refreshed: Mutex<Instant>,
}

impl Listings {
    /// Returns the directories below `root`, of which nothing is known yet. What is learned of
    /// them is believed for `ttl`, and kept in `cache` as that of the tree with the number `tree`.
    #[must_use]
    pub fn new(
        bucket: Bucket,
        root: Prefix,
        ttl: Duration,
        cache: Arc<MetadataCache>,
        tree: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            tree,
            root,
            ttl: Ttl(ttl),
            lookups: Lookups::new(bucket.clone(), cache.clone(), tree),
            recursive: RecursiveListings::new(bucket.clone()),
            stated: StatedPrefixes::default(),
            cache,
            refreshed: Mutex::new(Instant::now()),
            bucket,
        })
    }

    /// Lets directories that may not be listed show what the catalog knows of them.
    pub fn ask_for_prefixes(&self, catalog: BucketPrefixes) {
        self.stated.ask_from(catalog);
    }

    /// Opens the directory `prefix`: the listing that is known, or a new one for which S3 was not
    /// asked yet.
    pub fn open(&self, prefix: &Prefix) -> DirectoryReader {
        DirectoryReader::new(self.directory(prefix))
    }

    /// Returns whether the kernel may show what it has of `directory`, which was opened, and need
    /// not ask for names. Towards the end of their time it is to ask, since it asks for all whose
    /// time has ended one by one.
    pub fn may_keep(&self, directory: &Directory) -> bool {
        directory.mark_opened() && self.fresh_for(directory) > self.ttl.0 / 4
    }

    /// Returns why the directory `prefix` cannot be opened: S3 would not say whether it is one, and
    /// nothing is known of it. It may as well be a file that may not be read, and a program that
    /// opens it as one is told so.
    pub async fn refusal(&self, prefix: &Prefix) -> Option<Refusal> {
        if *prefix == self.root {
            return None;
        }
        let parent = prefix.parent();
        let name = prefix.as_str().strip_prefix(parent.as_str())?.strip_suffix('/')?;
        let lookup = self.lookups.cached(&parent, name, self.ttl)?;
        let refusal = lookup.assumed?;
        let is_known = !self.lookups.present_in(prefix, self.ttl).is_empty()
            || !self.stated.children_of(prefix, self.ttl).await.is_empty();
        (!is_known).then_some(refusal)
    }

    /// Returns names of `directory` from `index` on, in byte order; none at its end. Waits for
    /// pages as long as it takes.
    ///
    /// # Errors
    /// Those of [`Bucket::page`]. Where listing is not allowed, the names that were looked up and
    /// those that the catalog knows are returned instead, if there are any.
    pub async fn names(
        self: &Arc<Self>,
        directory: &Arc<Directory>,
        index: usize,
    ) -> Result<Vec<NamedEntry>, Error> {
        if index == 0 {
            self.join_recursive_listing(directory).await;
        }
        let names = match directory.names(index).await {
            // An index that was given out must go on to mean the same name, so only a listing that
            // has not given out any may be replaced.
            Err(Error::Refused(refusal @ Refusal::Forbidden { .. })) if directory.is_empty() => {
                let known = self.known_names(directory.prefix()).await;
                if known.is_empty() {
                    return Err(refusal.into());
                }
                directory.complete_partially(known);
                directory.names(index).await?
            }
            names => names?,
        };
        self.weigh(directory);
        Ok(names)
    }

    /// Returns the names in a directory that may not be listed, as far as they are known. What the
    /// catalog states is looked up, since it may be wrong.
    async fn known_names(&self, prefix: &Prefix) -> Vec<NamedEntry> {
        const AT_ONCE: usize = 8;
        let stated = self.stated.children_of(prefix, self.ttl).await;
        let shown = |component: &String| Name::shown_for_directory(component).map(String::from);
        let names = stated.iter().filter_map(shown).collect::<Vec<_>>();
        let lookups = names.into_iter().map(|name: String| async move {
            let entry = self.lookup(prefix, &name).await.ok()?.entry?;
            Some(NamedEntry { name: name.into(), entry })
        });
        let lookups = futures_util::stream::iter(lookups).buffer_unordered(AT_ONCE);
        let mut known = lookups.filter_map(std::future::ready).collect::<Vec<_>>().await;
        for named in self.lookups.present_in(prefix, self.ttl) {
            if known.iter().all(|other| other.name != named.name) {
                known.push(named);
            }
        }
        known
    }

    /// Returns for how long the names of `directory` from `index` on may be believed, which are
    /// given out now.
    #[must_use]
    pub fn shown_for(&self, directory: &Directory, index: usize) -> Duration {
        if directory.is_partial() {
            return self.fresh_for(directory);
        }
        self.ttl.of_listed(directory.listed_at(index), Instant::now())
    }

    /// Returns for how long whoever opens `directory` may be shown this listing.
    fn fresh_for(&self, directory: &Directory) -> Duration {
        // The next name that is looked up must be seen at once.
        if directory.is_partial() {
            Duration::ZERO
        } else {
            self.ttl.of_presence(directory.began())
        }
    }

    /// Returns what `name` stands for in `parent`: from what is known, or with one round trip.
    ///
    /// # Errors
    /// [`Error::NameTooLong`]; [`Error::Refused`] when S3 would say neither yes nor no.
    pub async fn lookup(&self, parent: &Prefix, name: &str) -> Result<LookupAnswer, Error> {
        let Some(parsed) = Name::parse(name) else {
            let fresh_for = self.ttl.of_absence(Instant::now());
            return Ok(LookupAnswer { entry: None, fresh_for });
        };
        if parent.as_str().len() + parsed.component().len() > MAX_KEY {
            return Err(Error::NameTooLong);
        }
        let refreshes = self.lookups.refreshes();
        if let Some(answer) = self.find_in_listing(parent, name) {
            if answer.entry.is_none() {
                self.lookups.record_absence(parent, name, refreshes);
            }
            return Ok(answer);
        }
        let lookup = match self.lookups.cached(parent, name, self.ttl) {
            Some(lookup) => lookup,
            None => self.lookups.fetch(parent, name, parsed, self.ttl).await?,
        };
        Ok(LookupAnswer { fresh_for: self.ttl.of_lookup(&lookup), entry: lookup.entry })
    }

    /// Returns at most `count` objects that a reader of one file after the other opens after `key`,
    /// as far as a listing tells.
    #[must_use]
    pub fn following(&self, key: &str, count: usize) -> Vec<Arc<Object>> {
        let (parent, name) = Prefix::of_key(key);
        let directory = self.cache.find(self.tree, &parent);
        directory.map(|directory| directory.following(name, count)).unwrap_or_default()
    }

    /// Forgets this version of an object, and the listing that shows it. What is known of a newer
    /// version stays.
    pub fn forget(&self, version: &ObjectId) {
        let (parent, component) = Prefix::of_key(&version.key);
        let directory = self.cache.find(self.tree, &parent);
        for name in Name::of_object(component) {
            let listed = directory.as_ref().and_then(|directory| directory.find(&name));
            // What was listed without a version may be this one.
            let is_this = |id: &ObjectId| *id == *version || !id.has_version();
            if matches!(listed, Some(Entry::File(object)) if is_this(&object.id)) {
                self.cache.forget(self.tree, &parent);
            }
            self.lookups.forget(&parent, &name, version);
        }
    }

    /// Forgets all that is known below `prefix`. Returns the names that did not exist, with the
    /// directories they are not in.
    pub fn refresh(&self, prefix: &Prefix) -> Vec<(Prefix, Box<str>)> {
        let mut refreshed = self.refreshed.lock();
        *refreshed = Instant::now();
        self.cache.forget_below(self.tree, prefix);
        self.recursive.refresh();
        self.stated.refresh();
        self.lookups.refresh(prefix)
    }

    fn directory(&self, prefix: &Prefix) -> Arc<Directory> {
        let is_fresh = |directory: &Directory| !self.fresh_for(directory).is_zero();
        self.cache.find_or_insert(self.tree, prefix, is_fresh, || {
            Directory::new(self.bucket.clone(), prefix.clone())
        })
    }

    /// Returns what a listing knows of a name. Up to where it has come, it knows of an absence as
    /// well.
    fn find_in_listing(&self, parent: &Prefix, name: &str) -> Option<LookupAnswer> {
        let directory = self.cache.find(self.tree, parent)?;
        let ListedName { entry, at, shown } = directory.look_up(name)?;
        let fresh_for = if directory.is_partial() {
            Duration::ZERO
        } else if entry.is_some() {
            self.ttl.of_listed(at, shown)
        } else {
            // The kernel asks again for what is absent, and is answered from here.
            self.fresh_for(&directory).min(self.ttl.of_absence(Instant::now()))
        };
        (!fresh_for.is_zero()).then_some(LookupAnswer { entry, fresh_for })
    }

    /// Lets a recursive listing fill the directory, or fetch its next page where it has done so.
    async fn join_recursive_listing(self: &Arc<Self>, directory: &Directory) {
        let (listings, prefix) = (self.clone(), directory.prefix());
        let keep = move |listed| listings.keep(listed);
        if directory.is_untouched() && *prefix != self.root {
            self.recursive.fill(&prefix.parent(), prefix, keep).await;
        } else if self.recursive.is_trigger(prefix) {
            let (listings, prefix) = (self.clone(), prefix.clone());
            tokio::spawn(async move { listings.recursive.prefetch(&prefix, keep).await });
        }
    }

    /// Keeps a directory that a recursive listing has filled.
    fn keep(&self, listed: ListedDirectory) {
        let refreshed = self.refreshed.lock();
        if listed.began < *refreshed {
            return;
        }
        let directory = self.directory(&listed.prefix);
        if directory.is_untouched() {
            directory.fill(listed.names, listed.began);
            self.weigh(&directory);
        }
    }

    /// Counts the directory's names against the limit, and logs once that some are escaped.
    fn weigh(&self, directory: &Arc<Directory>) {
        self.cache.weigh(self.tree, directory);
        let EscapedKeys { shadowed, unshowable } = directory.escaped();
        if shadowed + unshowable > 0 && self.cache.may_report_escapes() {
            let url = self.bucket.url(directory.prefix().as_str());
            tracing::warn!(
                url,
                shadowed,
                unshowable,
                "some keys are not shown under their own name; logged once a mount"
            );
        }
    }
}
