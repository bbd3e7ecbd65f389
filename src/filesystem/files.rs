//! Open files: handles and bytes.

use std::sync::Arc;

use bytes::Bytes;

use super::Filesystem;
use super::bucket_tree::BucketTree;
use crate::error::Error;
use crate::inodes::Node;
use crate::object::{Entry, Object};
use crate::s3::Bucket;

/// An open file.
#[derive(Clone, Copy, Debug)]
pub struct OpenedFile {
    /// What it is read by, and given back.
    pub handle: u64,
    /// Whether its inode stands for this version only, so that pages of it stay right.
    pub has_own_inode: bool,
}

impl Filesystem {
    /// Opens the file `number`. Sends no request, but one where a listing has shown it without
    /// saying which version it is.
    ///
    /// # Errors
    /// [`Error::Archived`], [`Error::IsADirectory`], [`Error::BadHandle`]; where S3 is asked,
    /// [`Error::Replaced`] and those of [`Bucket::head`](crate::s3::Bucket::head).
    pub async fn open(&self, number: u64) -> Result<OpenedFile, Error> {
        let Node::InTree { tree, entry: Entry::File(object) } = self.node(number)? else {
            return Err(Error::IsADirectory);
        };
        if object.is_archived() {
            return Err(Error::Archived {
                url: object.id.url().into(),
                class: object.storage_class.clone(),
            });
        }
        let BucketTree { bucket, listings, .. } = self.trees.get(tree);
        let has_own_inode = object.id.has_version();
        let object = match has_own_inode {
            true => object,
            false => Arc::new(current_version(bucket, &object).await?),
        };
        let following = |count| listings.following(&object.id.key, count);
        let handle = self.files.insert(self.reader.open(bucket, &object, following));
        Ok(OpenedFile { handle, has_own_inode })
    }

    /// Returns up to `size` bytes at `offset`, in pieces that are consecutive; fewer only at the
    /// end of the file. Waits for S3 as long as it takes.
    ///
    /// # Errors
    /// [`Error::Replaced`], [`Error::Refused`], [`Error::BadHandle`].
    pub async fn read(&self, handle: u64, offset: u64, size: u32) -> Result<Vec<Bytes>, Error> {
        let file = self.files.get(handle).ok_or(Error::BadHandle)?;
        file.read(offset, size).await
    }

    /// Gives a file's handle back.
    pub fn release(&self, handle: u64) {
        self.files.remove(handle);
    }
}

/// The version that S3 has of an object, if it is still the one that was listed.
async fn current_version(bucket: &Bucket, listed: &Object) -> Result<Object, Error> {
    let replaced = || Error::Replaced(listed.id.url().into());
    let current = bucket.head(&listed.id.key).await.map_err(|error| match error {
        Error::NotFound(_) => replaced(),
        error => error,
    })?;
    let is_same = (current.size, current.modified) == (listed.size, listed.modified);
    if is_same { Ok(current) } else { Err(replaced()) }
}
