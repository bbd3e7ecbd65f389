//! What a mount remembers of names, in whatever bucket they are: bounded together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::lookups::CachedLookups;
use super::{Directory, EscapedKeys};
use crate::object::Prefix;
use crate::weighted_lru::WeightedLru;

/// Bytes of memory for listings: five million names, or half a million directories of a few names.
const LISTINGS_SIZE: usize = 512 << 20;
/// Bytes of memory that a directory takes beside its names, rounded up.
const DIRECTORY_SIZE: usize = 1024;

/// The directories, and the names looked up, of all trees of a mount.
#[derive(Debug)]
pub struct MetadataCache {
    /// By the number of their tree, and their prefix.
    directories: Mutex<WeightedLru<(usize, Prefix), Arc<Directory>>>,
    pub(super) lookups: Mutex<CachedLookups>,
    were_escapes_reported: AtomicBool,
}

impl MetadataCache {
    /// Returns a cache that knows nothing yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let directories = Mutex::new(WeightedLru::new(LISTINGS_SIZE));
        Arc::new(Self {
            directories,
            lookups: Mutex::new(CachedLookups::new()),
            were_escapes_reported: AtomicBool::new(false),
        })
    }

    /// Returns how many keys are not shown under their own name.
    #[must_use]
    pub fn escaped(&self) -> EscapedKeys {
        let directories: Vec<_> =
            self.directories.lock().iter().map(|(_, directory)| directory.clone()).collect();
        directories.iter().map(|directory| directory.escaped()).sum()
    }

    pub(super) fn find(&self, tree: usize, prefix: &Prefix) -> Option<Arc<Directory>> {
        self.directories.lock().get(&(tree, prefix.clone())).cloned()
    }

    /// Returns the directory that is remembered if it `is_fresh`, or else a new one.
    pub(super) fn find_or_insert(
        &self,
        tree: usize,
        prefix: &Prefix,
        is_fresh: impl FnOnce(&Directory) -> bool,
        new: impl FnOnce() -> Directory,
    ) -> Arc<Directory> {
        // The lock of a directory is held while a page is taken in, so nobody may wait for it while
        // holding the lock of all directories.
        let known = self.find(tree, prefix);
        if let Some(directory) = known.as_ref().filter(|directory| is_fresh(directory)) {
            return directory.clone();
        }
        let key = (tree, prefix.clone());
        let mut directories = self.directories.lock();
        let is_known =
            |other: &Arc<Directory>| known.as_ref().is_some_and(|known| Arc::ptr_eq(known, other));
        // Somebody else may have put a new one there meanwhile.
        if let Some(other) = directories.get(&key).filter(|other| !is_known(other)) {
            return other.clone();
        }
        let directory = Arc::new(new());
        directories.insert(key, directory.clone(), DIRECTORY_SIZE);
        directory
    }

    /// Counts the directory's names against the limit, if it is still remembered.
    pub(super) fn weigh(&self, tree: usize, directory: &Arc<Directory>) {
        let bytes = DIRECTORY_SIZE + directory.bytes();
        let mut directories = self.directories.lock();
        let key = (tree, directory.prefix().clone());
        if directories.get(&key).is_some_and(|kept| Arc::ptr_eq(kept, directory)) {
            directories.insert(key, directory.clone(), bytes);
        }
    }

    pub(super) fn forget(&self, tree: usize, prefix: &Prefix) {
        self.directories.lock().remove(&(tree, prefix.clone()));
    }

    pub(super) fn forget_below(&self, tree: usize, prefix: &Prefix) {
        self.directories
            .lock()
            .remove_where(|(known, below)| *known == tree && prefix.holds(below.as_str()));
    }

    /// Returns whether nobody has asked this before, so that escaped keys are logged once.
    pub(super) fn may_report_escapes(&self) -> bool {
        !self.were_escapes_reported.swap(true, Ordering::Relaxed)
    }
}
