//! Open objects: a byte range becomes blocks, blocks become bytes, and streams are read ahead of.

mod cursors;
mod shares;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use cursors::Cursors;
use shares::Shares;

use crate::cache::{BLOCK, BlockCache};
use crate::error::Error;
use crate::object::{Object, ObjectId};

type Open = Mutex<HashMap<Arc<ObjectId>, Weak<OpenObject>>>;

/// All objects that are open.
#[derive(Debug)]
pub struct Reader {
    cache: Arc<BlockCache>,
    shares: Arc<Shares>,
    open: Arc<Open>,
}

impl Reader {
    /// Nothing is open yet.
    #[must_use]
    pub fn new(cache: Arc<BlockCache>) -> Self {
        // The other half is for what has been read.
        let shares = Shares::new(cache.capacity() as u64 / 2);
        Self { cache, shares, open: Arc::default() }
    }

    /// The open object of this version, or a new one. Costs no request.
    #[must_use]
    pub fn open(&self, object: &Arc<Object>) -> Arc<OpenObject> {
        let mut open = locked(&self.open);
        if let Some(shared) = open.get(&object.id).and_then(Weak::upgrade) {
            return shared;
        }
        let id = Arc::new(object.id.clone());
        let new = Arc::new(OpenObject {
            object: object.clone(),
            id: id.clone(),
            cache: self.cache.clone(),
            cursors: Mutex::new(Cursors::new(self.shares.clone())),
            open: self.open.clone(),
        });
        open.insert(id, Arc::downgrade(&new));
        new
    }

    /// The blocks of all objects.
    #[must_use]
    pub fn cache(&self) -> &BlockCache {
        &self.cache
    }
}

/// One version of an object, shared by all handles that are open on it.
#[derive(Debug)]
pub struct OpenObject {
    object: Arc<Object>,
    id: Arc<ObjectId>,
    cache: Arc<BlockCache>,
    cursors: Mutex<Cursors>,
    open: Arc<Open>,
}

impl OpenObject {
    /// Up to `size` bytes from `offset` on, in order; fewer only at the end of the object.
    ///
    /// # Errors
    /// [`Error::Replaced`] when S3 has another version now, [`Error::Refused`] when it denies this one.
    pub async fn read(&self, offset: u64, size: u32) -> Result<Vec<Bytes>, Error> {
        let range = offset.min(self.object.size)..offset.saturating_add(size.into()).min(self.object.size);
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let touched = blocks_of(&range);
        let blocks = self.cache.blocks(&self.object, &self.id, touched.clone());
        locked(&self.cursors)
            .note(&range, self.object.size, |ahead| self.cache.prefetch(&self.object, &self.id, blocks_of(&ahead)) * BLOCK);
        let mut pieces = Vec::with_capacity(blocks.len());
        for (index, block) in touched.zip(blocks) {
            let bytes = block.bytes().await?;
            let start = index * BLOCK;
            let from = range.start.saturating_sub(start);
            let to = (range.end - start).min(bytes.len() as u64);
            // Both lie within a block.
            pieces.push(bytes.slice(from as usize..to as usize));
        }
        Ok(pieces)
    }
}

impl Drop for OpenObject {
    fn drop(&mut self) {
        let mut open = locked(&self.open);
        // It may have been opened anew already.
        if open.get(&self.id).is_some_and(|open| open.strong_count() == 0) {
            open.remove(&self.id);
        }
    }
}

/// The blocks that a range of bytes touches.
fn blocks_of(range: &Range<u64>) -> Range<u64> {
    range.start / BLOCK..range.end.div_ceil(BLOCK)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::*;
    use crate::credentials::{CredentialStore, Source};
    use crate::s3::{Bucket, Place};

    proptest! {
        #[test]
        fn a_range_lies_within_its_blocks_and_touches_each(start in 0..100 * BLOCK, length in 1..10 * BLOCK) {
            let range = start..start + length;
            let blocks = blocks_of(&range);
            prop_assert!(blocks.start * BLOCK <= range.start && range.start < (blocks.start + 1) * BLOCK);
            prop_assert!(blocks.end * BLOCK >= range.end && range.end > (blocks.end - 1) * BLOCK);
        }
    }

    #[tokio::test]
    async fn handles_of_one_version_share_it_until_the_last_is_closed() {
        let place = Place { bucket: "b".into(), region: "us-west-2".into(), endpoint_url: None, path_style: false };
        let bucket = Bucket::new(place, CredentialStore::new(Source::ambient().await)).unwrap();
        let reader = Reader::new(BlockCache::new(bucket, 1 << 20));
        let version = |etag: &str| {
            let id = ObjectId { bucket: "b".into(), key: "k".into(), etag: etag.into() };
            Arc::new(Object { id, size: 1, modified: SystemTime::UNIX_EPOCH, storage_class: "STANDARD".into() })
        };
        let (first, other) = (reader.open(&version("1")), reader.open(&version("2")));
        assert!(Arc::ptr_eq(&first, &reader.open(&version("1"))) && !Arc::ptr_eq(&first, &other));
        assert_eq!(locked(&reader.open).len(), 2);
        drop((first, other));
        assert_eq!(locked(&reader.open).len(), 0);
    }
}
