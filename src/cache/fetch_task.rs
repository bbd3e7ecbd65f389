//! The task that fetches one range of blocks.

use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use tokio::time::{Instant, timeout};

use super::block::length;
use super::block_range::BlockRange;
use super::memory_limiter::{Permit, Waiter};
use super::{BlockCache, RemoteObject, STALL_TIMEOUT};
use crate::error::{Error, Problem};
use crate::s3::Download;

/// A fetch that has fewer blocks to go goes on when it is told to stop: it is nearly over, and what
/// breaks it off costs a connection.
const MIN_BLOCKS_TO_STOP: usize = 8;

/// A fetch of a range of blocks. Dropped before its end, it fails the blocks that are still
/// pending.
pub(super) struct FetchTask {
    cache: Arc<BlockCache>,
    range: BlockRange,
    is_stop_seen: bool,
}

impl FetchTask {
    /// Starts to fetch `range` of `remote`, as soon as `waiter` gets its permit.
    pub(super) fn spawn(
        cache: &Arc<BlockCache>,
        remote: &RemoteObject,
        range: BlockRange,
        waiter: Waiter,
    ) {
        let download = remote.bucket.download(&range.id, remote.size(), range.bytes.clone());
        let task = Self { cache: cache.clone(), range, is_stop_seen: false };
        tokio::spawn(task.run(waiter, download));
    }

    async fn run(mut self, mut waiter: Waiter, mut download: Download) {
        let Some(permit) = self.while_wanted(waiter.permit()).await else { return };
        match permit {
            Ok(mut permit) => self.fetch(&mut permit, &mut download).await,
            Err(error) => self.fail(&error),
        }
    }

    async fn fetch(&mut self, permit: &mut Permit, download: &mut Download) {
        let (began, size) = (Instant::now(), length(&self.range.bytes));
        let (mut frame, mut first_byte) = (Bytes::new(), None);
        while !self.range.is_empty() {
            let length = length(&self.range.first_part().1);
            let mut block = BytesMut::with_capacity(length);
            while block.len() < length {
                if frame.is_empty() {
                    let next = permit.lend_while_stalled(download.next());
                    let Some(next) = self.while_wanted(next).await else { return };
                    frame = match next.flatten() {
                        Ok(Some(frame)) => frame,
                        Ok(None) => {
                            let problem = Problem::new("a download ended before its range");
                            return self.fail(&Error::store(problem.about(self.range.id.url())));
                        }
                        Err(error) => return self.fail(&error),
                    };
                    first_byte.get_or_insert_with(Instant::now);
                }
                block.extend_from_slice(&frame.split_to(frame.len().min(length - block.len())));
            }
            self.complete_first(Ok(permit.count(block)));
        }
        if let Some(first_byte) = first_byte {
            self.cache.throughput.record(first_byte - began, size, first_byte.elapsed());
        }
    }

    /// Waits for `work`. Cancels the fetch, with `None`, when that takes long or the fetch is told
    /// to stop, and nobody waits for any of its blocks.
    async fn while_wanted<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let stop = self.range.stop.clone();
            let is_stop_seen = self.is_stop_seen;
            let interrupted = async {
                if is_stop_seen {
                    tokio::time::sleep(STALL_TIMEOUT).await;
                    return false;
                }
                timeout(STALL_TIMEOUT, stop.requested()).await.is_ok()
            };
            let is_stopped = match select(&mut work, pin!(interrupted)).await {
                Either::Left((done, _)) => return Some(done),
                Either::Right((is_stopped, _)) => is_stopped,
            };
            self.is_stop_seen |= is_stopped;
            if is_stopped && self.range.len() < MIN_BLOCKS_TO_STOP {
                continue;
            }
            if self.cache.map.lock().cancel(&mut self.range) {
                let (key, bytes) = (&self.range.id.key, &self.range.bytes);
                tracing::debug!(%key, ?bytes, "a fetch was cancelled: nobody waits for it");
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
        while !self.range.is_empty() {
            self.complete_first(Err(error.clone()));
        }
    }
}

impl Drop for FetchTask {
    fn drop(&mut self) {
        self.fail(&Error::transient("the fetch was cancelled"));
    }
}
