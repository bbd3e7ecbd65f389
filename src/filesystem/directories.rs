//! Open directories: handles and entries.

use std::sync::Arc;

use super::{BUCKETS_ROOT_TTL, EntryTtl, Filesystem};
use crate::error::Error;
use crate::inodes::ROOT;
use crate::listing::DirectoryReader;
use crate::object::Entry;

/// One entry of a directory.
#[derive(Clone, Debug)]
pub struct DirectoryEntry {
    /// The number of the tree that it is in.
    pub(super) tree: usize,
    /// Its name, unique within the directory.
    pub name: Box<str>,
    /// What the name stands for.
    pub entry: Entry,
    /// The offset of the entry that follows.
    pub next_offset: u64,
}

#[derive(Debug)]
pub(super) struct OpenDirectory {
    /// The refresh epoch in which it was opened.
    epoch: u64,
    /// The number of its tree, and the listing that is read; `None` for the directory above the
    /// buckets.
    reading: Option<(usize, DirectoryReader)>,
}

impl Filesystem {
    /// Returns a handle on the directory `number`, and whether the kernel may keep the entries that
    /// it has of it. Asks nobody but CMR, and that only for a directory which S3 denies.
    ///
    /// # Errors
    /// [`Error::NotADirectory`], [`Error::BadHandle`]; [`Error::Refused`] where it is not known to
    /// be a directory.
    pub async fn open_directory(&self, number: u64) -> Result<(u64, bool), Error> {
        let epoch = self.refresh_epoch.current();
        let (reading, may_keep) = match self.directory(number)? {
            None => (None, self.trees.mark_opened()),
            Some((tree, prefix)) => {
                let listings = &self.trees.get(tree).listings;
                if let Some(refusal) = listings.refusal(&prefix).await {
                    return Err(refusal.into());
                }
                let reading = listings.open(&prefix);
                let may_keep = listings.may_keep(reading.directory());
                (Some((tree, reading)), may_keep)
            }
        };
        Ok((self.directories.insert(Arc::new(OpenDirectory { epoch, reading })), may_keep))
    }

    /// Returns entries from `offset` on (0 for the first, else a
    /// [`DirectoryEntry::next_offset`]), and their time to live. No entries: the end.
    ///
    /// # Errors
    /// [`Error::Refused`] where listing is not allowed and nothing is known, [`Error::BadHandle`].
    pub async fn read_directory(
        &self,
        handle: u64,
        offset: u64,
    ) -> Result<(Vec<DirectoryEntry>, EntryTtl), Error> {
        let opened = self.directories.get(handle).ok_or(Error::BadHandle)?;
        let Some((tree, reading)) = &opened.reading else {
            let ttl = EntryTtl::new(BUCKETS_ROOT_TTL, opened.epoch);
            return Ok((self.trees.root_entries(offset), ttl));
        };
        let listings = &self.trees.get(*tree).listings;
        let names = listings.names(reading, offset).await?;
        let entries = names.into_iter().map(|(named, next_offset)| DirectoryEntry {
            tree: *tree,
            name: named.name,
            entry: named.entry,
            next_offset,
        });
        let shown_for = listings.shown_for(reading.directory(), offset);
        Ok((entries.collect(), EntryTtl::new(shown_for, opened.epoch)))
    }

    /// Records that the kernel was told names of a directory without their attributes.
    pub fn mark_read_without_attributes(&self, handle: u64) {
        let opened = self.directories.get(handle);
        if let Some((_, reading)) = opened.as_ref().and_then(|opened| opened.reading.as_ref()) {
            reading.directory().mark_read_without_attributes();
        }
    }

    /// Gives a directory's handle back.
    pub fn release_directory(&self, handle: u64) {
        self.directories.remove(handle);
    }

    /// Returns whether the root has any entry. Fetches the first page of the root if it is in a
    /// bucket; the directory above the buckets needs no request.
    ///
    /// # Errors
    /// Those of [`Bucket::page`](crate::s3::Bucket::page).
    pub async fn root_has_entries(&self) -> Result<bool, Error> {
        let Some((tree, prefix)) = self.directory(ROOT)? else { return Ok(true) };
        let listings = &self.trees.get(tree).listings;
        let root = listings.open(&prefix);
        Ok(!listings.names(&root, 0).await?.is_empty())
    }
}
