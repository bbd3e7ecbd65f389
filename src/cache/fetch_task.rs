//! The task that fetches one range of blocks.

use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::block::{BLOCK_SIZE, length_of};
use super::block_map::BlockRange;
use super::memory_limiter::{Permit, Waiter};
use super::{BlockCache, RemoteObject, STALL_TIMEOUT};
use crate::error::{Error, Problem};
use crate::s3::Download;

/// A fetch of a range of blocks. Dropped before its end, it fails the blocks that are still
/// pending.
pub(super) struct FetchTask {
    cache: Arc<BlockCache>,
    /// Bytes of the object.
    size: u64,
    range: BlockRange,
}

impl FetchTask {
    /// Starts to fetch `range` of `remote`, as soon as `waiter` gets its permit.
    pub(super) fn spawn(
        cache: &Arc<BlockCache>,
        remote: &RemoteObject,
        range: BlockRange,
        waiter: Waiter,
    ) {
        let size = remote.size();
        let blocks = range.first..range.first + range.pending.len() as u64;
        let bytes = blocks.start * BLOCK_SIZE..(blocks.end * BLOCK_SIZE).min(size);
        let download = remote.bucket.download(&range.id, size, bytes);
        let task = Self { cache: cache.clone(), size, range };
        tokio::spawn(task.run(waiter, download));
    }

    async fn run(mut self, mut waiter: Waiter, mut download: Download) {
        let Some(permit) = self.while_awaited(waiter.permit()).await else { return };
        match permit {
            Ok(mut permit) => self.fetch(&mut permit, &mut download).await,
            Err(error) => self.fail(&error),
        }
    }

    async fn fetch(&mut self, permit: &mut Permit, download: &mut Download) {
        let mut frame = Bytes::new();
        while !self.range.pending.is_empty() {
            let length = length_of(&self.first_block(), self.size);
            let mut block = BytesMut::with_capacity(length);
            while block.len() < length {
                if frame.is_empty() {
                    let next = permit.lend_while_stalled(download.next());
                    let Some(next) = self.while_awaited(next).await else { return };
                    frame = match next.flatten() {
                        Ok(Some(frame)) => frame,
                        Ok(None) => {
                            let problem = Problem::new("a download ended before its range");
                            return self.fail(&Error::store(problem.about(self.range.id.url())));
                        }
                        Err(error) => return self.fail(&error),
                    };
                }
                block.extend_from_slice(&frame.split_to(frame.len().min(length - block.len())));
            }
            self.complete_first(Ok(permit.count(block)));
        }
    }

    fn first_block(&self) -> Range<u64> {
        self.range.first..self.range.first + 1
    }

    /// Waits for `work`. Cancels the fetch, with `None`, when that takes long and nobody waits for
    /// any of its blocks.
    async fn while_awaited<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(STALL_TIMEOUT, &mut work).await {
                return Some(done);
            }
            if self.cache.map.lock().cancel(&mut self.range) {
                let (key, block) = (&self.range.id.key, self.range.first);
                tracing::debug!(%key, block, "a stalled fetch was cancelled: nobody waits for it");
                return None;
            }
        }
    }

    fn complete_first(&mut self, outcome: Result<Bytes, Error>) {
        let pending = {
            let mut map = self.cache.map.lock();
            let pending = map.complete_first(&mut self.range, &outcome);
            self.cache.evict_for_waiters(&mut map);
            pending
        };
        // No other task sets it: a block is in one fetch at a time.
        let _ = pending.set(outcome);
    }

    fn fail(&mut self, error: &Error) {
        while !self.range.pending.is_empty() {
            self.complete_first(Err(error.clone()));
        }
    }
}

impl Drop for FetchTask {
    fn drop(&mut self) {
        self.fail(&Error::transient("the fetch was cancelled"));
    }
}
