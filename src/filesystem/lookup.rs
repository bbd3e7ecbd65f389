//! Names to inode numbers and attributes.

use std::ffi::OsStr;
use std::time::Duration;

use super::{Attributes, BUCKETS_ROOT_TTL, DirectoryEntry, EntryTtl, Filesystem};
use crate::error::Error;
use crate::inodes::{Node, ROOT};
use crate::object::Entry;

/// The answer to a lookup.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// Inode number and attributes, counted as one lookup of the number; `None`: there is no such
    /// name.
    pub node: Option<(u64, Attributes)>,
    /// For how long the kernel may believe this answer.
    pub ttl: Duration,
}

impl Filesystem {
    /// Looks up `name` in the directory `parent`. Costs one round trip, unless it is known.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::NameTooLong`]; [`Error::BadHandle`] for an unknown `parent`.
    pub async fn lookup(&self, parent: u64, name: &OsStr) -> Result<Lookup, Error> {
        let epoch = self.refresh_epoch.current();
        let directory = self.directory(parent)?;
        let Some(name) = name.to_str() else {
            return Ok(Lookup { node: None, ttl: Duration::ZERO });
        };
        let Some((tree, prefix)) = directory else {
            let tree = self.trees.find(name);
            let node = tree.map(|tree| self.record(tree, &self.trees.get(tree).root_entry()));
            return Ok(Lookup { node, ttl: BUCKETS_ROOT_TTL });
        };
        let answer = self.trees.get(tree).listings.lookup(&prefix, name).await?;
        let node = answer.entry.map(|entry| self.record(tree, &entry));
        Ok(Lookup { node, ttl: self.remaining_ttl(EntryTtl::new(answer.fresh_for, epoch)) })
    }

    /// Counts one lookup of an entry that the kernel is told of together with its attributes.
    /// Returns inode number, attributes, and for how long the kernel may believe them.
    pub fn record_lookup(
        &self,
        listed: &DirectoryEntry,
        ttl: EntryTtl,
    ) -> (u64, Attributes, Duration) {
        let (number, attributes) = self.record(listed.tree, &listed.entry);
        (number, attributes, self.remaining_ttl(ttl))
    }

    fn record(&self, tree: usize, entry: &Entry) -> (u64, Attributes) {
        (self.inodes.record_lookup(tree, entry), self.owner_and_modes.attributes(entry))
    }

    /// Takes back `lookups` of `number`.
    pub fn forget(&self, number: u64, lookups: u64) {
        self.inodes.forget(number, lookups);
    }

    /// Returns the inode number that an entry has or will have; counts no lookup.
    #[must_use]
    pub fn inode_number(&self, listed: &DirectoryEntry) -> u64 {
        self.inodes.number(listed.tree, &listed.entry)
    }

    /// Returns the inode number of the directory above the directory `number`. `None`: it is the
    /// root, and what is above is not in this filesystem.
    ///
    /// # Errors
    /// [`Error::NotADirectory`], [`Error::BadHandle`].
    pub fn parent_number(&self, number: u64) -> Result<Option<u64>, Error> {
        if number == ROOT {
            return Ok(None);
        }
        let Some((tree, prefix)) = self.directory(number)? else { return Ok(None) };
        if Entry::Directory(prefix.clone()) == self.trees.get(tree).root_entry() {
            // A bucket's directory below the one above the buckets.
            return Ok(Some(ROOT));
        }
        Ok(Some(self.inodes.number(tree, &Entry::Directory(prefix.parent()))))
    }

    /// Returns the attributes of `number`, which never change while it is known.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub fn attributes(&self, number: u64) -> Result<Attributes, Error> {
        Ok(match self.node(number)? {
            Node::BucketsRoot => self.owner_and_modes.directory_attributes(),
            Node::InTree { entry, .. } => self.owner_and_modes.attributes(&entry),
        })
    }
}
