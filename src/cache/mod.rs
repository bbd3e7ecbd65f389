//! Blocks of object versions in memory: bounded in bytes over all files, one flight per block.

mod block_map;
mod fetch_task;
mod memory_limiter;

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use block_map::Block;
use block_map::{BlockMap, BlockRange, ranges};
use bytes::{Bytes, BytesMut};
use fetch_task::FetchTask;
use memory_limiter::{MemoryLimiter, Waiter};

use crate::error::Error;
use crate::object::{Object, ObjectId};
use crate::s3::Bucket;

/// Bytes of a block. Small enough that a scattered read waits for little beside it (a connection of
/// S3 brings it in less than a millisecond), large enough that a stream costs few of them.
pub const BLOCK: u64 = 64 * 1024;
/// The most blocks of one GET, 4 MiB: of these, several at a time fill a link.
const LONGEST_RUN: u64 = 64;
/// The fewest blocks, 512 KiB, that are worth a GET of their own when more are wanted at once.
const WORTH_A_GET: u64 = 8;
/// For how long a fetch may stand still before it is given up, where nobody waits for it, or its
/// bytes of the limiter go to others, where somebody does: longer than a few of S3's daily faults
/// take.
const PATIENCE: Duration = Duration::from_secs(3);

/// A version of an object, and the bucket that it is fetched from.
#[derive(Clone, Copy, Debug)]
pub struct RemoteObject<'a> {
    /// Answers with the bytes.
    pub bucket: &'a Bucket,
    /// What is known of it.
    pub object: &'a Object,
    /// The object's own id, shared with its blocks.
    pub id: &'a Arc<ObjectId>,
}

/// The blocks of all files of a mount.
#[derive(Debug)]
pub struct BlockCache {
    limiter: Arc<MemoryLimiter>,
    /// Locked before the limiter's state, never while it is.
    blocks_map: Mutex<BlockMap>,
}

impl BlockCache {
    /// An empty cache of `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            limiter: MemoryLimiter::new(capacity),
            blocks_map: Mutex::new(BlockMap::new(capacity)),
        })
    }

    /// The blocks `range` of `remote`; those that nobody has fetched are on their way, or in line
    /// for the limiter, when this returns. Where any is missing, those behind it up to `until` come
    /// along if room can be made for them. Says whether any was missing.
    #[must_use]
    pub fn blocks(
        self: &Arc<Self>,
        remote: RemoteObject<'_>,
        range: Range<u64>,
        until: u64,
    ) -> (Vec<Block>, bool) {
        let RemoteObject { object, id, .. } = remote;
        let mut blocks_map = self.blocks_map();
        let found: Vec<Option<Block>> =
            range.clone().map(|index| blocks_map.find(id, index)).collect();
        let mut missing: Vec<u64> = range
            .clone()
            .zip(&found)
            .filter(|(_, block)| block.is_none())
            .map(|(index, _)| index)
            .collect();
        let is_missing = !missing.is_empty();
        let wanted = bytes(object.size, &(range.start..until));
        while is_missing && !self.limiter.has_room(wanted) && blocks_map.evict_read() {}
        if is_missing && self.limiter.has_room(wanted) {
            missing.extend((range.end..until).filter(|index| !blocks_map.contains(id, *index)));
        }
        let longest = (missing.len() as u64).div_ceil(2).clamp(WORTH_A_GET, LONGEST_RUN);
        let mut launched = Vec::new();
        for blocks in ranges(missing.into_iter(), longest) {
            let waiter = self.limiter.ask(bytes(object.size, &blocks));
            let range_ = blocks_map.launch(id, blocks, &range);
            launched.extend(range_.pending.iter().cloned().map(Block::Pending));
            self.fly(remote, range_, waiter);
        }
        self.make_room(&mut blocks_map);
        drop(blocks_map);
        let mut launched = launched.into_iter();
        (
            found.into_iter().filter_map(|block| block.or_else(|| launched.next())).collect(),
            is_missing,
        )
    }

    /// The bytes `range` of an object for one reader, kept by nobody: for reads so scattered that a
    /// block for each would be mostly waste. `None`: some of its blocks are known, so
    /// [`Self::blocks`] is the better way.
    pub fn alone(
        self: &Arc<Self>,
        RemoteObject { bucket, object, id }: RemoteObject<'_>,
        range: Range<u64>,
    ) -> Option<impl Future<Output = Result<Bytes, Error>> + use<>> {
        let mut blocks_map = self.blocks_map();
        let mut blocks = range.start / BLOCK..range.end.div_ceil(BLOCK);
        if blocks.any(|index| blocks_map.contains(id, index)) {
            return None;
        }
        let length = usize::try_from(range.end.min(object.size).saturating_sub(range.start))
            .unwrap_or(usize::MAX);
        let mut waiter = self.limiter.ask(length);
        self.make_room(&mut blocks_map);
        let mut download = bucket.download(id, range);
        Some(async move {
            let mut permit = waiter.turn().await?;
            let mut bytes = BytesMut::with_capacity(length);
            while let Some(frame) = permit.lend_during(download.next()).await?? {
                bytes.extend_from_slice(&frame);
            }
            Ok(permit.hold(bytes))
        })
    }

    /// Sets the blocks `range` of `remote` on their way over about `connections` at once, as far as
    /// they are missing and there is room for them, and answers up to which block it came.
    pub fn prefetch(
        self: &Arc<Self>,
        remote: RemoteObject<'_>,
        range: Range<u64>,
        connections: u64,
    ) -> u64 {
        let RemoteObject { object, id, .. } = remote;
        let mut blocks_map = self.blocks_map();
        let longest = ((range.end - range.start) / connections).clamp(2 * WORTH_A_GET, LONGEST_RUN);
        let missing = range.clone().filter(|index| !blocks_map.contains(id, *index));
        for blocks in ranges(missing, longest) {
            let wanted = bytes(object.size, &blocks);
            if self.limiter.is_busy() {
                return blocks.start;
            }
            while !self.limiter.has_room(wanted) {
                if !blocks_map.evict_read() {
                    return blocks.start;
                }
            }
            let waiter = self.limiter.ask(wanted);
            let range_ = blocks_map.launch(id, blocks, &(0..0));
            self.fly(remote, range_, waiter);
        }
        range.end
    }

    /// The most bytes to hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.limiter.capacity()
    }

    /// Bytes of blocks kept, on their way, and in the hands of readers.
    #[must_use]
    pub fn held(&self) -> usize {
        self.limiter.held()
    }

    fn fly(
        self: &Arc<Self>,
        RemoteObject { bucket, object, .. }: RemoteObject<'_>,
        range_: BlockRange,
        waiter: Waiter,
    ) {
        let start = range_.first * BLOCK;
        let end = (start + range_.pending.len() as u64 * BLOCK).min(object.size);
        let download = bucket.download(&range_.id, start..end);
        let flight = FetchTask { cache: self.clone(), size: object.size, range_ };
        tokio::spawn(flight.land(waiter, download));
    }

    /// Lets go of blocks for those who wait in line.
    fn make_room(&self, blocks_map: &mut BlockMap) {
        while self.limiter.is_short() && blocks_map.evict() {}
    }

    fn blocks_map(&self) -> MutexGuard<'_, BlockMap> {
        self.blocks_map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes of the block `index` of an object of `size` bytes.
fn length(size: u64, index: u64) -> usize {
    bytes(size, &(index..index + 1))
}

/// The bytes of the blocks `range` of an object of `size` bytes.
fn bytes(size: u64, range: &Range<u64>) -> usize {
    let end = size.min(range.end * BLOCK);
    usize::try_from(end.saturating_sub(range.start * BLOCK)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_an_object_exactly() {
        for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 17] {
            let blocks = size.div_ceil(BLOCK);
            let covered: usize = (0..blocks).map(|index| length(size, index)).sum();
            assert_eq!(covered as u64, size);
            assert_eq!(bytes(size, &(0..blocks)) as u64, size);
            assert_eq!(length(size, blocks), 0);
        }
    }
}
