//! What is known about prefixes: their listings, the names looked up in them, and for how long that
//! may be believed.
//!
//! A [`Directory`] is listed as far as somebody reads it, and a little ahead: page by page; in
//! partitions side by side when it is long; or together with many others, by a recursive listing,
//! when a whole tree is read. A name is looked up by itself unless a listing knows it. All of that
//! is bounded together: what was handed out is let go of, and fetched again if it is asked for.

mod directory;
mod directory_reader;
mod directory_state;
mod key_interpolation;
mod known_ranges;
mod lead;
mod lookups;
mod memory;
mod metadata_cache;
mod name_table;
mod ordered_entries;
mod packed_attributes;
mod packed_names;
mod packed_page;
mod page_fetcher;
mod page_times;
mod part_fetcher;
mod partitioned;
mod place;
mod recursive_listings;
mod sibling_predictor;
mod split_planner;
mod stated_prefixes;
mod subtree_page;
#[cfg(test)]
mod test_objects;
mod ttl;

use std::iter::Sum;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::catalog::BucketPrefixes;
use crate::error::{Error, Refusal};
use crate::object::{Entry, MAX_KEY, Name, NamedEntry, Object, ObjectId, Prefix};
use crate::s3::Bucket;
pub use directory::Directory;
use directory::{ListedName, Names};
pub use directory_reader::DirectoryReader;
use futures_util::StreamExt;
use lookups::Lookups;
pub use metadata_cache::MetadataCache;
use name_table::Known;
use part_fetcher::PartFetcher;
use place::Place;
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
    parts: PartFetcher,
    stated: StatedPrefixes,
}

impl Listings {
    /// Returns the directories below `root`, of which nothing is known yet. What is learned of
    /// them is kept in `cache` as that of the tree with the number `tree`, and believed as long as
    /// that says.
    #[must_use]
    pub fn new(bucket: Bucket, root: Prefix, cache: Arc<MetadataCache>, tree: usize) -> Self {
        Self {
            tree,
            root,
            ttl: cache.ttl(),
            lookups: Lookups::new(bucket.clone(), cache.clone(), tree),
            recursive: RecursiveListings::new(bucket.clone(), tree, cache.clone()),
            parts: PartFetcher::default(),
            stated: StatedPrefixes::default(),
            cache,
            bucket,
        }
    }

    /// Lets directories that may not be listed show what the catalog knows of them.
    pub fn ask_for_prefixes(&self, catalog: BucketPrefixes) {
        self.stated.ask_from(catalog);
    }

    /// Opens the directory `prefix`: the listing that is known, or a new one for which S3 was not
    /// asked yet.
    pub fn open(&self, prefix: &Prefix) -> DirectoryReader {
        self.cache.sweep_later();
        DirectoryReader::new(self.directory(prefix), self.cache.clone())
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

    /// Returns names of the directory that `reader` reads, from `offset` on, in byte order; none at
    /// its end. With each comes the offset behind it; the first one is 0. Waits for pages as
    /// long as it takes.
    ///
    /// # Errors
    /// Those of [`Bucket::page`]. Where listing is not allowed, the names that were looked up and
    /// those that the catalog knows are returned instead, if there are any.
    pub async fn names(
        &self,
        reader: &DirectoryReader,
        offset: u64,
    ) -> Result<Vec<(NamedEntry, u64)>, Error> {
        let (directory, mut place) = (reader.directory(), Place::of_offset(offset));
        if offset == 0 && directory.is_untouched() && *directory.prefix() != self.root {
            self.recursive.fill(directory).await;
            self.cache.make_room();
        }
        let names = loop {
            match reader.names(place).await {
                Ok(Names::Given(names)) => break names,
                Ok(Names::LetGo(part)) => {
                    if part > place.part {
                        place = Place { part, index: 0 };
                    }
                    self.parts.fetch(directory, part).await?;
                    self.cache.make_room();
                }
                // An offset that was given out must go on to mean the same name, so only a listing
                // that has not given out any may be replaced.
                Err(Error::Refused(refusal @ Refusal::Forbidden { .. }))
                    if directory.is_empty() =>
                {
                    let known = self.known_names(directory.prefix()).await;
                    if known.is_empty() {
                        return Err(refusal.into());
                    }
                    directory.complete_partially(known);
                }
                Err(error) => return Err(error),
            }
        };
        self.report_escapes(directory);
        Ok(names.into_iter().map(|(named, behind)| (named, behind.offset())).collect())
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

    /// Returns for how long the names of `directory` from `offset` on may be believed, which are
    /// given out now.
    #[must_use]
    pub fn shown_for(&self, directory: &Directory, offset: u64) -> Duration {
        if directory.is_partial() {
            return self.fresh_for(directory);
        }
        self.ttl.of_listed(directory.listed_at(Place::of_offset(offset)), Instant::now())
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
        self.recursive.forget(&version.key);
        let directory = self.cache.find(self.tree, &parent);
        for name in Name::of_object(component) {
            let listed = directory.as_ref().map(|directory| directory.find(&name));
            // What was listed without a version may be this one.
            let is_this = |id: &ObjectId| *id == *version || !id.has_version();
            let is_shown = match &listed {
                Some(Known::Present(Entry::File(object))) => is_this(&object.id),
                Some(Known::LetGo) => true,
                _ => false,
            };
            if is_shown {
                self.cache.forget(self.tree, &parent);
            }
            self.lookups.forget(&parent, &name, version);
        }
    }

    /// Forgets all that is known below `prefix`. Returns the names that did not exist, with the
    /// directories they are not in.
    pub fn refresh(&self, prefix: &Prefix) -> Vec<(Prefix, Box<str>)> {
        self.recursive.refresh();
        self.cache.forget_below(self.tree, prefix);
        self.stated.refresh();
        self.lookups.refresh(prefix)
    }

    fn directory(&self, prefix: &Prefix) -> Arc<Directory> {
        let is_fresh = |directory: &Directory| !self.fresh_for(directory).is_zero();
        self.cache.find_or_insert(self.tree, prefix, is_fresh, || {
            Directory::new(self.bucket.clone(), prefix.clone(), self.cache.memory())
        })
    }

    /// Returns what a listing knows of a name. Up to where it has come, it knows of an absence as
    /// well.
    fn find_in_listing(&self, parent: &Prefix, name: &str) -> Option<LookupAnswer> {
        let directory = self.cache.find(self.tree, parent).or_else(|| self.filled(parent))?;
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

    /// Returns the directory `prefix` where pages of a recursive listing have all its names.
    fn filled(&self, prefix: &Prefix) -> Option<Arc<Directory>> {
        let mut filled = None;
        self.recursive.fill_from_known(prefix, || filled.insert(self.directory(prefix)).clone());
        filled
    }

    /// Logs once that some keys are escaped.
    fn report_escapes(&self, directory: &Directory) {
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
