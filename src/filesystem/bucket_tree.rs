//! One bucket's part of a volume, and the directory above several of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::Listed;
use crate::listing::{Listings, MetadataCache};
use crate::object::{Entry, NamedEntry, Prefix};
use crate::s3::{Bucket, Counters};

/// A prefix of a bucket, and what is known of its names.
#[derive(Debug)]
pub(super) struct BucketTree {
    pub(super) bucket: Bucket,
    pub(super) listings: Arc<Listings>,
    root: Prefix,
}

/// The trees of a volume by their numbers, in byte order of their buckets' names.
#[derive(Debug)]
pub(super) struct BucketTrees {
    trees: Vec<BucketTree>,
    memory: Arc<MetadataCache>,
    was_opened: AtomicBool,
}

impl BucketTrees {
    /// The trees below these prefixes.
    pub(super) fn new(mut places: Vec<(Bucket, Prefix)>, metadata_ttl: Duration) -> Self {
        places.sort_by(|(one, _), (other, _)| one.name().cmp(other.name()));
        let memory = MetadataCache::new();
        let tree = |(number, (bucket, root)): (usize, (Bucket, Prefix))| {
            let listings =
                Listings::new(bucket.clone(), root.clone(), metadata_ttl, memory.clone(), number);
            BucketTree { bucket, listings, root }
        };
        let trees = places.into_iter().enumerate().map(tree).collect();
        Self { trees, memory, was_opened: AtomicBool::new(false) }
    }

    /// The tree with this number, which one of them gave out.
    pub(super) fn get(&self, number: usize) -> &BucketTree {
        &self.trees[number]
    }

    /// The number of the tree that has this bucket.
    pub(super) fn find(&self, bucket: &str) -> Option<usize> {
        self.trees.binary_search_by(|tree| (**tree.bucket.name()).cmp(bucket)).ok()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &BucketTree)> {
        self.trees.iter().enumerate()
    }

    /// The names of the directory above them, from position `from` on.
    pub(super) fn names(&self, from: u64) -> Vec<Listed> {
        let listed = self.iter().map(|(number, tree)| {
            let shown = NamedEntry { name: (**tree.bucket.name()).into(), entry: tree.top() };
            Listed { tree: number, shown, next: number as u64 + 1 }
        });
        listed.filter(|listed| listed.next > from).collect()
    }

    /// Whether the directory above them was opened before.
    pub(super) fn open_again(&self) -> bool {
        self.was_opened.swap(true, Ordering::Relaxed)
    }

    /// What is remembered of all of them.
    pub(super) fn memory(&self) -> &MetadataCache {
        &self.memory
    }

    /// One of the counters, over all buckets.
    pub(super) fn sum(&self, counter: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        self.trees.iter().map(|tree| counter(tree.bucket.counters()).load(Ordering::Relaxed)).sum()
    }
}

impl BucketTree {
    /// Its topmost directory.
    pub(super) fn top(&self) -> Entry {
        Entry::Directory(self.root.clone())
    }
}
