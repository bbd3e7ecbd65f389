//! A range_ of blocks on its way.

use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::block_map::BlockRange;
use super::memory_limiter::{Permit, Waiter};
use super::{BlockCache, PATIENCE, length};
use crate::error::Error;
use crate::s3::Download;

/// A range_ on its way. Dropped before its end, it fails what has not landed.
pub(super) struct FetchTask {
    pub(super) cache: Arc<BlockCache>,
    pub(super) size: u64,
    pub(super) range_: BlockRange,
}

impl FetchTask {
    pub(super) async fn land(mut self, mut waiter: Waiter, mut download: Download) {
        let Some(turn) = self.while_wanted(waiter.turn()).await else { return };
        match turn {
            Ok(mut permit) => self.fetch(&mut permit, &mut download).await,
            Err(error) => self.fail(&error),
        }
    }

    async fn fetch(&mut self, permit: &mut Permit, download: &mut Download) {
        let mut frame = Bytes::new();
        while !self.range_.pending.is_empty() {
            let length = length(self.size, self.range_.first);
            let mut block = BytesMut::with_capacity(length);
            while block.len() < length {
                if frame.is_empty() {
                    let next = permit.lend_during(download.next());
                    let Some(next) = self.while_wanted(next).await else { return };
                    frame = match next.flatten() {
                        Ok(Some(frame)) => frame,
                        Ok(None) => {
                            return self.fail(&Error::store("a download ended before its range"));
                        }
                        Err(error) => return self.fail(&error),
                    };
                }
                block.extend_from_slice(&frame.split_to(frame.len().min(length - block.len())));
            }
            self.put_down(Ok(permit.hold(block)));
        }
    }

    /// Waits for `work`; gives the range_ up, with `None`, when that takes long and nobody waits
    /// for any of its blocks.
    async fn while_wanted<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
                return Some(done);
            }
            if self.cache.blocks_map().abandon(&mut self.range_) {
                tracing::debug!(key = %self.range_.id.key, block = self.range_.first, "nobody waits for this fetch: given up");
                return None;
            }
        }
    }

    fn put_down(&mut self, outcome: Result<Bytes, Error>) {
        let pending_block = {
            let mut blocks_map = self.cache.blocks_map();
            let pending_block = blocks_map.land(&mut self.range_, &outcome);
            self.cache.make_room(&mut blocks_map);
            pending_block
        };
        // Nobody else sets it: a block is in one flight at a time.
        let _ = pending_block.set(outcome);
    }

    fn fail(&mut self, error: &Error) {
        while !self.range_.pending.is_empty() {
            self.put_down(Err(error.clone()));
        }
    }
}

impl Drop for FetchTask {
    fn drop(&mut self) {
        self.fail(&Error::transient("the fetch was given up"));
    }
}
