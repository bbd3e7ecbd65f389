//! Blocks of object versions in memory: bounded in bytes over all files, one fetch per block.

mod block;
mod block_map;
mod fetch_task;
mod memory_limiter;
mod remote_object;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

pub use block::{BLOCK_SIZE, Block, blocks_of};
pub use remote_object::RemoteObject;

use crate::error::Error;
use block::{contiguous_ranges, length_of};
use block_map::BlockMap;
use fetch_task::FetchTask;
use memory_limiter::MemoryLimiter;

/// The most blocks of one GET, 4 MiB: of these, several at a time fill a link.
const MAX_BLOCKS_PER_GET: u64 = 64;
/// The fewest blocks, 512 KiB, that are worth a GET of their own when more are missing at once.
const MIN_BLOCKS_PER_GET: u64 = 8;
/// How long a fetch may wait without getting a byte. After it, the fetch is cancelled if nobody
/// waits for its blocks, and otherwise lends its bytes of the memory limit to others. Longer than
/// S3's usual hiccups take.
const STALL_TIMEOUT: Duration = Duration::from_secs(3);

/// The blocks of all files of a mount.
#[derive(Debug)]
pub struct BlockCache {
    limiter: Arc<MemoryLimiter>,
    /// Locked before the limiter's state, never while that is locked: evicted bytes give back what
    /// they counted.
    map: Mutex<BlockMap>,
}

/// The blocks that a reader demanded.
#[derive(Debug)]
pub struct Demanded {
    /// One for each block that was demanded, in order.
    pub blocks: Vec<Block>,
    /// Whether any was neither in memory nor in flight.
    pub is_miss: bool,
}

impl BlockCache {
    /// Returns an empty cache of `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            limiter: MemoryLimiter::new(capacity),
            map: Mutex::new(BlockMap::new(capacity)),
        })
    }

    /// Returns the blocks `demanded` of `remote`. Those that are missing are in flight, or wait for
    /// memory, when this returns. Where any is missing, those behind it up to block `until` are
    /// fetched with it, if read blocks can make room for them.
    #[must_use]
    pub fn demand(
        self: &Arc<Self>,
        remote: &RemoteObject,
        demanded: Range<u64>,
        until: u64,
    ) -> Demanded {
        let (id, size) = (&remote.id, remote.size());
        let mut map = self.map.lock();
        let known: Vec<Option<Block>> =
            demanded.clone().map(|index| map.demand(id, index)).collect();
        let of_missing = demanded.clone().zip(&known).filter(|(_, block)| block.is_none());
        let mut missing: Vec<u64> = of_missing.map(|(index, _)| index).collect();
        let is_miss = !missing.is_empty();
        let length = length_of(&(demanded.start..until), size);
        while is_miss && !self.limiter.has_room(length) && map.evict_demanded() {}
        if is_miss && self.limiter.has_room(length) {
            missing.extend((demanded.end..until).filter(|index| !map.contains(id, *index)));
        }
        let longest =
            (missing.len() as u64).div_ceil(2).clamp(MIN_BLOCKS_PER_GET, MAX_BLOCKS_PER_GET);
        let mut started = Vec::new();
        for blocks in contiguous_ranges(missing.into_iter(), longest) {
            let waiter = self.limiter.enqueue(length_of(&blocks, size));
            let range = map.start_fetch(id, blocks, &demanded);
            started.extend(range.pending.iter().cloned().map(Block::Pending));
            FetchTask::spawn(self, remote, range, waiter);
        }
        self.evict_for_waiters(&mut map);
        drop(map);
        let mut started = started.into_iter();
        let blocks = known.into_iter().filter_map(|block| block.or_else(|| started.next()));
        Demanded { blocks: blocks.collect(), is_miss }
    }

    /// Fetches the bytes `range` of an object for one reader, and keeps none: for reads so far from
    /// each other that most of a block for each would be wasted. `None`: some of its blocks are in
    /// memory or in flight, so [`Self::demand`] is the better way.
    pub fn fetch_uncached(
        self: &Arc<Self>,
        remote: &RemoteObject,
        range: Range<u64>,
    ) -> Option<impl Future<Output = Result<Bytes, Error>> + use<>> {
        let mut map = self.map.lock();
        if blocks_of(&range).any(|index| map.contains(&remote.id, index)) {
            return None;
        }
        let length = usize::try_from(range.end.min(remote.size()).saturating_sub(range.start))
            .unwrap_or(usize::MAX);
        let mut waiter = self.limiter.enqueue(length);
        self.evict_for_waiters(&mut map);
        let mut download = remote.bucket.download(&remote.id, remote.size(), range);
        Some(async move {
            let mut permit = waiter.permit().await?;
            let mut bytes = BytesMut::with_capacity(length);
            while let Some(frame) = permit.lend_while_stalled(download.next()).await?? {
                bytes.extend_from_slice(&frame);
            }
            Ok(permit.count(bytes))
        })
    }

    /// Starts to fetch the missing ones of `blocks` over about `connections` at once, as far as
    /// there is memory for them that nobody else waits for. Returns the block that it stopped
    /// before.
    pub fn prefetch(
        self: &Arc<Self>,
        remote: &RemoteObject,
        blocks: Range<u64>,
        connections: u64,
    ) -> u64 {
        let (id, end) = (&remote.id, blocks.end);
        let longest =
            ((end - blocks.start) / connections).clamp(2 * MIN_BLOCKS_PER_GET, MAX_BLOCKS_PER_GET);
        let mut map = self.map.lock();
        let missing = blocks.filter(|index| !map.contains(id, *index));
        for blocks in contiguous_ranges(missing, longest) {
            let length = length_of(&blocks, remote.size());
            if self.limiter.would_wait() {
                return blocks.start;
            }
            while !self.limiter.has_room(length) {
                if !map.evict_demanded() {
                    return blocks.start;
                }
            }
            let waiter = self.limiter.enqueue(length);
            let range = map.start_fetch(id, blocks, &(0..0));
            FetchTask::spawn(self, remote, range, waiter);
        }
        end
    }

    /// Returns the most bytes to hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.limiter.capacity()
    }

    /// Returns the bytes of blocks that are in memory, in flight, or in the hands of readers.
    #[must_use]
    pub fn held(&self) -> usize {
        self.limiter.held()
    }

    /// Evicts as much as the first who waits for memory lacks.
    fn evict_for_waiters(&self, map: &mut BlockMap) {
        while self.limiter.is_over() && map.evict() {}
    }
}
