//! What a mount remembers of names, whatever bucket they are in: bounded together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::lookups::Names;
use super::{Directory, Escaped, lock};
use crate::object::Prefix;
use crate::weighted_lru::WeightedLru;

/// MetadataCache for listings, bytes: five million names, or half a million directories of a few.
const LISTINGS_SIZE: usize = 512 << 20;
/// What a directory weighs beside its names, bytes, rounded up.
const DIRECTORY_SIZE: usize = 1024;

/// The directories, and the names looked up, of all trees of a mount.
#[derive(Debug)]
pub struct MetadataCache {
    /// By their tree's number.
    directories: Mutex<WeightedLru<(usize, Prefix), Arc<Directory>>>,
    pub(super) names: Mutex<Names>,
    are_escapes_told: AtomicBool,
}

impl MetadataCache {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let directories = Mutex::new(WeightedLru::new(LISTINGS_SIZE));
        Arc::new(Self {
            directories,
            names: Mutex::new(Names::new()),
            are_escapes_told: AtomicBool::new(false),
        })
    }

    /// How many keys do not stand under their own name.
    #[must_use]
    pub fn escaped(&self) -> Escaped {
        let directories: Vec<_> =
            lock(&self.directories).iter().map(|(_, directory)| directory.clone()).collect();
        directories.iter().map(|directory| directory.escaped()).fold(
            Escaped::default(),
            |sum, one| Escaped {
                shadowed: sum.shadowed + one.shadowed,
                unshowable: sum.unshowable + one.unshowable,
            },
        )
    }

    pub(super) fn find(&self, tree: usize, prefix: &Prefix) -> Option<Arc<Directory>> {
        lock(&self.directories).get(&(tree, prefix.clone())).cloned()
    }

    /// What is remembered of a directory if it `is_good`, or else a new one.
    pub(super) fn find_or_begin(
        &self,
        tree: usize,
        prefix: &Prefix,
        is_good: impl FnOnce(&Directory) -> bool,
        begin: impl FnOnce() -> Directory,
    ) -> Arc<Directory> {
        // A directory that takes a page in keeps whoever looks at it waiting, and so must not be
        // looked at under the lock of all.
        let known = self.find(tree, prefix);
        if let Some(directory) = known.as_ref().filter(|directory| is_good(directory)) {
            return directory.clone();
        }
        let place = (tree, prefix.clone());
        let mut directories = lock(&self.directories);
        let is_known =
            |other: &Arc<Directory>| known.as_ref().is_some_and(|known| Arc::ptr_eq(known, other));
        if let Some(quicker) = directories.get(&place).filter(|other| !is_known(other)) {
            return quicker.clone();
        }
        let directory = Arc::new(begin());
        directories.insert(place, directory.clone(), DIRECTORY_SIZE);
        directory
    }

    /// Counts the directory's names against the limit, if it is still remembered.
    pub(super) fn weigh(&self, tree: usize, directory: &Arc<Directory>) {
        let bytes = DIRECTORY_SIZE + directory.bytes();
        let mut directories = lock(&self.directories);
        let place = (tree, directory.prefix().clone());
        if directories.get(&place).is_some_and(|kept| Arc::ptr_eq(kept, directory)) {
            directories.insert(place, directory.clone(), bytes);
        }
    }

    pub(super) fn forget(&self, tree: usize, prefix: &Prefix) {
        lock(&self.directories).remove(&(tree, prefix.clone()));
    }

    pub(super) fn forget_below(&self, tree: usize, prefix: &Prefix) {
        lock(&self.directories)
            .remove_where(|(known, below)| *known == tree && prefix.holds(below.as_str()));
    }

    /// Whether this is the first time that somebody wants to say so.
    pub(super) fn may_tell_of_escapes(&self) -> bool {
        !self.are_escapes_told.swap(true, Ordering::Relaxed)
    }
}
