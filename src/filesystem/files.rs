//! Open files: handles and bytes.

use bytes::Bytes;

use super::Filesystem;
use super::bucket_tree::BucketTree;
use crate::error::Error;
use crate::inodes::Node;
use crate::object::Entry;

impl Filesystem {
    /// Returns a handle on the file `number`. Sends no request.
    ///
    /// # Errors
    /// [`Error::Archived`], [`Error::IsADirectory`], [`Error::BadHandle`].
    pub fn open(&self, number: u64) -> Result<u64, Error> {
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
        let following = |count| listings.following(&object.id.key, count);
        Ok(self.files.insert(self.reader.open(bucket, &object, following)))
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
