//! One open object: reads of byte ranges.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::OpenObjects;
use crate::cache::{BlockCache, Piece, RemoteObject};
use crate::error::Error;
use crate::prefetch::Prefetcher;

/// One version of an object, shared by all handles that are open on it.
#[derive(Debug)]
pub struct OpenObject {
    remote: RemoteObject,
    cache: Arc<BlockCache>,
    prefetcher: Prefetcher,
    /// Where it is found by the next handle.
    open: Arc<OpenObjects>,
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

    /// Starts to fetch what is probably read first.
    pub(super) fn begin(&self) {
        self.prefetcher.begin();
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
        let requested = self.request(&range);
        let mut pieces = Vec::with_capacity(requested.len());
        for piece in requested {
            let bytes = piece.bytes().await?;
            if range.start == 0 && pieces.is_empty() {
                self.prefetcher.record_head(&bytes);
            }
            pieces.push(bytes);
        }
        Ok(pieces)
    }

    /// Starts to fetch what `range` needs, and after it what will probably be read next.
    fn request(&self, range: &Range<u64>) -> Vec<Piece> {
        let mut observed = self.prefetcher.observe(range);
        let (extent, around) = (observed.extent(), observed.around());
        let demanded = self.cache.demand(&self.remote, range, &extent, &around);
        observed.finish(demanded.is_miss);
        demanded.pieces
    }
}

impl Drop for OpenObject {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        // Another one of this version may have been opened since the last handle was closed.
        if open.get(&self.remote.id).is_some_and(|open| open.strong_count() == 0) {
            open.remove(&self.remote.id);
            drop(open);
            self.prefetcher.close();
        }
    }
}
