//! One open object: reads of byte ranges.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::OpenObjects;
use crate::cache::{BLOCK_SIZE, Block, BlockCache, RemoteObject, blocks_of};
use crate::error::Error;
use crate::prefetch::{Extent, Prefetcher};

/// A read of this many bytes that is not cached is faster over two connections.
const MIN_BYTES_TO_HALVE: u64 = 512 * 1024;

/// One version of an object, shared by all handles that are open on it.
#[derive(Debug)]
pub struct OpenObject {
    remote: RemoteObject,
    cache: Arc<BlockCache>,
    prefetcher: Prefetcher,
    /// Where it is found by the next handle.
    open: Arc<OpenObjects>,
}

/// What a read waits for.
enum Requested<T> {
    /// The blocks that it touches.
    Blocks(Vec<Block>),
    /// The bytes themselves, in order.
    Uncached(Vec<T>),
}

impl OpenObject {
    pub(super) fn new(
        remote: RemoteObject,
        cache: Arc<BlockCache>,
        prefetcher: Prefetcher,
        open: Arc<OpenObjects>,
    ) -> Self {
        Self { remote, cache, prefetcher, open }
    }

    /// Returns up to `size` bytes from `offset` on, as pieces in order; fewer only at the end of
    /// the object.
    ///
    /// # Errors
    /// [`Error::Replaced`] when S3 has another version now, [`Error::Refused`] when it denies this
    /// one.
    pub async fn read(&self, offset: u64, size: u32) -> Result<Vec<Bytes>, Error> {
        let end = self.remote.size();
        let range = offset.min(end)..offset.saturating_add(size.into()).min(end);
        if range.is_empty() {
            return Ok(Vec::new());
        }
        match self.request(&range) {
            Requested::Uncached(parts) => try_join_all(parts).await,
            Requested::Blocks(blocks) => {
                let mut pieces = Vec::with_capacity(blocks.len());
                for (index, block) in blocks_of(&range).zip(blocks) {
                    let bytes = block.bytes().await?;
                    if index == 0 {
                        self.prefetcher.record_head(&bytes);
                    }
                    let start = index * BLOCK_SIZE;
                    let from = range.start.saturating_sub(start);
                    let to = (range.end - start).min(bytes.len() as u64);
                    // Both lie within a block.
                    pieces.push(bytes.slice(from as usize..to as usize));
                }
                Ok(pieces)
            }
        }
    }

    /// Starts to fetch what `range` needs, and after it what will probably be read next.
    fn request(
        &self,
        range: &Range<u64>,
    ) -> Requested<impl Future<Output = Result<Bytes, Error>> + use<>> {
        let touched = blocks_of(range);
        let observed = self.prefetcher.observe(range);
        let until = match observed.extent() {
            Extent::Until(end) => end.div_ceil(BLOCK_SIZE),
            Extent::Uncached => {
                if let Some(parts) = self.fetch_uncached(range) {
                    observed.finish(true);
                    return Requested::Uncached(parts);
                }
                touched.end
            }
        };
        let demanded = self.cache.demand(&self.remote, touched, until);
        observed.finish(demanded.is_miss);
        Requested::Blocks(demanded.blocks)
    }

    /// Fetches a large range in two parts, over two connections.
    fn fetch_uncached(
        &self,
        range: &Range<u64>,
    ) -> Option<Vec<impl Future<Output = Result<Bytes, Error>> + use<>>> {
        let length = range.end - range.start;
        let middle =
            if length >= MIN_BYTES_TO_HALVE { range.start + length.div_ceil(2) } else { range.end };
        let parts =
            [range.start..middle, middle..range.end].into_iter().filter(|part| !part.is_empty());
        parts.map(|part| self.cache.fetch_uncached(&self.remote, part)).collect()
    }
}

impl Drop for OpenObject {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        // Another one of this version may have been opened since the last handle was closed.
        if open.get(&self.remote.id).is_some_and(|open| open.strong_count() == 0) {
            open.remove(&self.remote.id);
        }
    }
}
