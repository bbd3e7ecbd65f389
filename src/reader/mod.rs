//! Open objects: a byte range becomes blocks, blocks become bytes, and streams are read ahead of.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use futures_util::future::try_join_all;

use crate::cache::{BLOCK, Block, BlockCache, RemoteObject};
use crate::error::Error;
use crate::object::{Object, ObjectId};
use crate::prefetch::file_tail;
use crate::prefetch::next_files::{Following, NextFiles};
use crate::prefetch::random_access::{Amount, RandomAccess};
use crate::prefetch::read_ahead_quota::ReadAheadQuota;
use crate::prefetch::streams::Streams;
use crate::prefetch::strides::Strides;
use crate::s3::Bucket;

/// Connections that share what a stream or the next files have ahead.
const STREAM_CONNECTIONS: u64 = 8;
/// Connections that share an object which is fetched whole because its reads proved dense.
const WHOLE_CONNECTIONS: u64 = 24;
/// A read of this many bytes is faster over two connections.
const WORTH_HALVING: u64 = 512 * 1024;

type Open = Mutex<HashMap<Arc<ObjectId>, Weak<OpenObject>>>;

/// All objects that are open.
#[derive(Debug)]
pub struct Reader {
    cache: Arc<BlockCache>,
    shares: Arc<ReadAheadQuota>,
    sequences: NextFiles,
    open: Arc<Open>,
}

impl Reader {
    /// Nothing is open yet.
    #[must_use]
    pub fn new(cache: Arc<BlockCache>) -> Self {
        // The other half is for what has been read.
        let capacity = cache.capacity() as u64;
        Self {
            cache,
            shares: ReadAheadQuota::new(capacity / 2),
            sequences: NextFiles::new(capacity / 4),
            open: Arc::default(),
        }
    }

    /// The open object of this version in `bucket`, or a new one. Costs no request. `following` is
    /// asked for the objects of the same bucket that a reader of one file after the other would
    /// open next.
    #[must_use]
    pub fn open(
        &self,
        bucket: &Bucket,
        object: &Arc<Object>,
        following: impl FnOnce(usize) -> Vec<Arc<Object>>,
    ) -> Arc<OpenObject> {
        let following = self.sequences.note(object, following);
        let mut open = locked(&self.open);
        if let Some(shared) = open.get(&object.id).and_then(Weak::upgrade) {
            return shared;
        }
        let id = Arc::new(object.id.clone());
        let new = Arc::new(OpenObject {
            bucket: bucket.clone(),
            object: object.clone(),
            id: id.clone(),
            cache: self.cache.clone(),
            pattern: Mutex::new(Pattern {
                cursors: Streams::new(self.shares.clone()),
                scatter: RandomAccess::default(),
                strides: Strides::default(),
                following,
            }),
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
    bucket: Bucket,
    object: Arc<Object>,
    id: Arc<ObjectId>,
    cache: Arc<BlockCache>,
    pattern: Mutex<Pattern>,
    open: Arc<Open>,
}

/// How an object is read.
#[derive(Debug)]
struct Pattern {
    cursors: Streams,
    scatter: RandomAccess,
    strides: Strides,
    /// What is read after this object, when it is one of a row.
    following: Option<Following>,
}

impl OpenObject {
    /// Up to `size` bytes from `offset` on, in order; fewer only at the end of the object.
    ///
    /// # Errors
    /// [`Error::Replaced`] when S3 has another version now, [`Error::Refused`] when it denies this
    /// one.
    pub async fn read(&self, offset: u64, size: u32) -> Result<Vec<Bytes>, Error> {
        let range =
            offset.min(self.object.size)..offset.saturating_add(size.into()).min(self.object.size);
        if range.is_empty() {
            return Ok(Vec::new());
        }
        match self.ask(&range) {
            Asked::Alone(halves) => try_join_all(halves).await,
            Asked::Blocks(blocks) => {
                let mut pieces = Vec::with_capacity(blocks.len());
                for (index, block) in blocks_of(&range).zip(blocks) {
                    let bytes = block.bytes().await?;
                    if index == 0 {
                        self.guess(file_tail::beside_head(&bytes, self.object.size));
                    }
                    let start = index * BLOCK;
                    let from = range.start.saturating_sub(start);
                    let to = (range.end - start).min(bytes.len() as u64);
                    // Both lie within a block.
                    pieces.push(bytes.slice(from as usize..to as usize));
                }
                Ok(pieces)
            }
        }
    }

    /// Sets all that `range` needs on its way, and then what will probably be needed next.
    fn ask(&self, range: &Range<u64>) -> Asked<impl Future<Output = Result<Bytes, Error>> + use<>> {
        let (size, touched) = (self.object.size, blocks_of(range));
        let mut pattern = locked(&self.pattern);
        let Pattern { cursors, scatter, strides, following } = &mut *pattern;
        let is_stream = cursors.are_followed_by(range);
        let is_regular = !is_stream && strides.note(range);
        let amount = if is_stream || is_regular {
            Amount::Until(range.end)
        } else {
            scatter.amount(range, size)
        };
        let (asked, is_missing) = match amount {
            Amount::Alone if let Some(halves) = self.alone(range) => (Asked::Alone(halves), true),
            Amount::Alone => self.blocks(touched.clone(), touched.end),
            Amount::Until(end) => self.blocks(touched, end.div_ceil(BLOCK)),
        };
        if range.start == 0 {
            self.guess(file_tail::beside_name(&self.id.key, size));
        }
        if is_regular {
            for coming in strides.coming(range, size) {
                self.prefetch(coming, STREAM_CONNECTIONS);
            }
        } else if !is_stream && !is_missing {
            scatter.hit();
        } else if !is_stream
            && scatter.missed(range, size)
            && size <= self.cache.capacity() as u64 / 2
        {
            self.prefetch(0..size, WHOLE_CONNECTIONS);
        }
        cursors.note(range, size, |ahead| self.prefetch(ahead, STREAM_CONNECTIONS));
        if let Some(following) = following {
            following.extend(
                size.saturating_sub(range.end),
                cursors.window(),
                |object, id, ahead| {
                    let next = RemoteObject { bucket: &self.bucket, object, id };
                    self.cache
                        .prefetch(next, blocks_of(&ahead), STREAM_CONNECTIONS)
                        .saturating_mul(BLOCK)
                        .min(ahead.end)
                },
            );
        }
        asked
    }

    fn blocks<T>(&self, touched: Range<u64>, until: u64) -> (Asked<T>, bool) {
        let (blocks, is_missing) = self.cache.blocks(self.remote(), touched, until);
        (Asked::Blocks(blocks), is_missing)
    }

    /// Large reads in two parts, over two connections.
    fn alone(
        &self,
        range: &Range<u64>,
    ) -> Option<Vec<impl Future<Output = Result<Bytes, Error>> + use<>>> {
        let length = range.end - range.start;
        let middle =
            if length >= WORTH_HALVING { range.start + length.div_ceil(2) } else { range.end };
        let parts =
            [range.start..middle, middle..range.end].into_iter().filter(|part| !part.is_empty());
        parts.map(|part| self.cache.alone(self.remote(), part)).collect()
    }

    fn guess(&self, wanted: Option<Range<u64>>) {
        wanted.map(|wanted| self.prefetch(wanted, STREAM_CONNECTIONS));
    }

    fn prefetch(&self, ahead: Range<u64>, connections: u64) -> u64 {
        self.cache.prefetch(self.remote(), blocks_of(&ahead), connections) * BLOCK
    }

    fn remote(&self) -> RemoteObject<'_> {
        RemoteObject { bucket: &self.bucket, object: &self.object, id: &self.id }
    }
}

/// What a read waits for.
enum Asked<T> {
    Blocks(Vec<Block>),
    /// The range itself, in order.
    Alone(Vec<T>),
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
    use crate::credentials::{CredentialsCache, Provider};
    use crate::s3::BucketLocation;

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
        let place = BucketLocation {
            bucket: "b".into(),
            region: "us-west-2".into(),
            endpoint_url: None,
            path_style: false,
        };
        let bucket =
            Bucket::new(place, CredentialsCache::new(Provider::environment().await)).unwrap();
        let reader = Reader::new(BlockCache::new(1 << 20));
        let version = |etag: &str| {
            let id = ObjectId { bucket: "b".into(), key: "k".into(), etag: etag.into() };
            Arc::new(Object {
                id,
                size: 1,
                modified: SystemTime::UNIX_EPOCH,
                storage_class: "STANDARD".into(),
            })
        };
        let open = |etag| reader.open(&bucket, &version(etag), |_| Vec::new());
        let (first, other) = (open("1"), open("2"));
        assert!(Arc::ptr_eq(&first, &open("1")) && !Arc::ptr_eq(&first, &other));
        assert_eq!(locked(&reader.open).len(), 2);
        drop((first, other));
        assert_eq!(locked(&reader.open).len(), 0);
    }
}
