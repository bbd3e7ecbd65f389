//! The tree of one bucket, and the directory above several of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::DirectoryEntry;
use crate::listing::{Listings, MetadataCache};
use crate::object::{Entry, Prefix};
use crate::s3::{Bucket, Counters};

/// A prefix of a bucket, and what is known of its names.
#[derive(Debug)]
pub(super) struct BucketTree {
    pub(super) bucket: Bucket,
    pub(super) listings: Listings,
    root: Prefix,
}

/// The trees of a filesystem by their numbers, in byte order of their buckets' names.
#[derive(Debug)]
pub(super) struct BucketTrees {
    trees: Vec<BucketTree>,
    metadata_cache: Arc<MetadataCache>,
    /// Whether the directory above the buckets was opened.
    was_opened: AtomicBool,
}

impl BucketTrees {
    /// Returns the trees below these prefixes, whose names are kept in `metadata_cache`.
    pub(super) fn new(
        mut roots: Vec<(Bucket, Prefix)>,
        metadata_cache: Arc<MetadataCache>,
    ) -> Self {
        roots.sort_by(|(one, _), (other, _)| one.name().cmp(other.name()));
        let tree = |(number, (bucket, root)): (usize, (Bucket, Prefix))| {
            let (of_listings, cache) = (bucket.clone(), metadata_cache.clone());
            let listings = Listings::new(of_listings, root.clone(), cache, number);
            BucketTree { bucket, listings, root }
        };
        let trees = roots.into_iter().enumerate().map(tree).collect();
        Self { trees, metadata_cache, was_opened: AtomicBool::new(false) }
    }

    /// Returns the tree with this number, which must come from a node or [`Self::find`].
    pub(super) fn get(&self, number: usize) -> &BucketTree {
        &self.trees[number]
    }

    /// Returns the number of the tree of this bucket.
    pub(super) fn find(&self, bucket: &str) -> Option<usize> {
        self.trees.binary_search_by(|tree| (**tree.bucket.name()).cmp(bucket)).ok()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &BucketTree)> {
        self.trees.iter().enumerate()
    }

    /// Returns the entries of the directory above the buckets, from `offset` on.
    pub(super) fn root_entries(&self, offset: u64) -> Vec<DirectoryEntry> {
        let entries = self.iter().map(|(number, tree)| DirectoryEntry {
            tree: number,
            name: (**tree.bucket.name()).into(),
            entry: tree.root_entry(),
            next_offset: number as u64 + 1,
        });
        entries.filter(|entry| entry.next_offset > offset).collect()
    }

    /// Marks the directory above the buckets as opened. Returns whether it was before.
    pub(super) fn mark_opened(&self) -> bool {
        self.was_opened.swap(true, Ordering::Relaxed)
    }

    /// Returns the metadata cache that all trees share.
    pub(super) fn metadata_cache(&self) -> &MetadataCache {
        &self.metadata_cache
    }

    /// Returns the sum of one of the counters over all buckets.
    pub(super) fn sum(&self, counter: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        self.trees.iter().map(|tree| counter(tree.bucket.counters()).load(Ordering::Relaxed)).sum()
    }
}

impl BucketTree {
    /// Returns the tree's topmost directory.
    pub(super) fn root_entry(&self) -> Entry {
        Entry::Directory(self.root.clone())
    }
}
