//! Refreshing: forgetting what is known and what was refused, and telling which names the kernel
//! must forget.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Filesystem;
use super::bucket_tree::BucketTree;
use crate::error::Error;
use crate::inodes::Node;
use crate::object::{Entry, Name, Prefix};

/// The number of refreshes so far.
///
/// An answer that was asked for before a refresh may be older than the refresh, so it must not
/// stay in the kernel's cache when it comes after it.
#[derive(Debug, Default)]
pub(super) struct RefreshEpoch(AtomicU64);

/// A time to live that ends with the next refresh.
#[derive(Clone, Copy, Debug)]
pub struct EntryTtl {
    ttl: Duration,
    /// The epoch in which the entry was asked for.
    epoch: u64,
}

impl RefreshEpoch {
    pub(super) fn current(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn advance(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl EntryTtl {
    pub(super) fn new(ttl: Duration, epoch: u64) -> Self {
        Self { ttl, epoch }
    }
}

impl Filesystem {
    /// Returns what is left of `ttl`: nothing after a refresh.
    ///
    /// The caller records the lookup first. Then a refresh at the same time either finds the inode
    /// and has the kernel forget its name, or is seen here.
    pub(super) fn remaining_ttl(&self, ttl: EntryTtl) -> Duration {
        if ttl.epoch == self.refresh_epoch.current() { ttl.ttl } else { Duration::ZERO }
    }

    /// Forgets what is known below the directory `number`, or of the file `number`. Returns the
    /// names that the kernel may still have, each with the inode number of its directory: files,
    /// and names that did not exist.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub fn refresh(
        &self,
        number: u64,
    ) -> Result<impl Iterator<Item = (u64, String)> + use<'_>, Error> {
        let forgotten: Vec<_> = match self.node(number)? {
            Node::BucketsRoot => self
                .trees
                .iter()
                .map(|(number, tree)| self.refresh_entry(number, &tree.root_entry()))
                .collect(),
            Node::InTree { tree, entry } => vec![self.refresh_entry(tree, &entry)],
        };
        Ok(forgotten.into_iter().flatten())
    }

    /// Lets the next request log in at once to what the node `number` needs, whatever was refused
    /// there before. Only the user may ask for it: a program in a loop would log in all the time.
    pub fn forget_refusals(&self, number: u64) {
        match self.node(number) {
            Ok(Node::InTree { tree, .. }) => self.trees.get(tree).bucket.forget_refusals(),
            Ok(Node::BucketsRoot) => {
                self.trees.iter().for_each(|(_, tree)| tree.bucket.forget_refusals());
            }
            Err(_) => {}
        }
    }

    /// Forgets what is known at and below `entry`. There can be millions of names, so the iterator
    /// makes each when it is asked for.
    fn refresh_entry(
        &self,
        tree: usize,
        entry: &Entry,
    ) -> impl Iterator<Item = (u64, String)> + use<'_> {
        let BucketTree { listings, .. } = self.trees.get(tree);
        let absent = match entry {
            Entry::Directory(prefix) => listings.refresh(prefix),
            Entry::File(object) => {
                listings.forget(&object.id);
                Vec::new()
            }
        };
        // The order matters: after the listings are forgotten, and before the inodes are collected
        // that the kernel got from them.
        self.refresh_epoch.advance();
        let present = match entry {
            Entry::Directory(prefix) => self.inodes.objects_below(tree, prefix),
            Entry::File(object) => vec![object.clone()],
        };
        let absent = absent.into_iter().map(|(parent, name)| (parent, String::from(name)));
        let present = present.into_iter().flat_map(|object| {
            let (parent, component) = Prefix::of_key(&object.id.key);
            Name::of_object(component).map(|name| (parent.clone(), name))
        });
        absent
            .chain(present)
            .map(move |(parent, name)| (self.inodes.number(tree, &Entry::Directory(parent)), name))
    }
}
