//! Which blocks are in memory, which are in flight, and which are evicted first.
//!
//! There are two least-recently-used segments: demanded blocks, which are evicted first, and
//! prefetched blocks, which nobody has read yet. They are kept by hand because `quick_cache`
//! (S3-FIFO) evicts first what was not read yet: in our test it evicted 98 % of the prefetched
//! blocks of a stream unread, and these two segments none. Its scan resistance would help blocks
//! that are read often, which the kernel's page cache holds already, and it evicts when something
//! is inserted, where here the memory limiter decides when a block has to go.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::block::{Block, PendingBlock};
use crate::error::Error;
use crate::object::ObjectId;
use crate::weighted_lru::WeightedLru;

type BlockId = (Arc<ObjectId>, u64);

/// All blocks of a mount.
#[derive(Debug)]
pub(super) struct BlockMap {
    /// What was read, or was waited for when it arrived.
    demanded: WeightedLru<BlockId, Bytes>,
    /// What was fetched without being waited for, and was not read yet. It is evicted only when no
    /// demanded block is left, or for more of its kind.
    prefetched: WeightedLru<BlockId, Bytes>,
    in_flight: HashMap<BlockId, InFlight>,
}

#[derive(Debug)]
struct InFlight {
    pending: Arc<PendingBlock>,
    is_demanded: bool,
}

/// Neighbouring blocks that one GET fetches: those that have not arrived yet.
#[derive(Debug)]
pub(super) struct BlockRange {
    pub(super) id: Arc<ObjectId>,
    /// The number of the first of `pending`.
    pub(super) first: u64,
    pub(super) pending: Vec<Arc<PendingBlock>>,
}

impl BlockMap {
    pub(super) fn new(capacity: usize) -> Self {
        // Streams may be ahead by half of the capacity together, and next files by a quarter.
        let prefetched = capacity / 4 * 3;
        Self {
            demanded: WeightedLru::new(capacity),
            prefetched: WeightedLru::new(prefetched),
            in_flight: HashMap::new(),
        }
    }

    /// Returns a block to a reader. `None`: it has to be fetched.
    pub(super) fn demand(&mut self, id: &Arc<ObjectId>, index: u64) -> Option<Block> {
        let block = (id.clone(), index);
        if let Some(bytes) = self.demanded.get(&block) {
            return Some(Block::Ready(bytes.clone()));
        }
        if let Some(in_flight) = self.in_flight.get_mut(&block) {
            in_flight.is_demanded = true;
            return Some(Block::Pending(in_flight.pending.clone()));
        }
        let bytes = self.prefetched.remove(&block)?;
        self.demanded.insert(block, bytes.clone(), bytes.len());
        Some(Block::Ready(bytes))
    }

    /// Whether a block is in memory or in flight. Does not count as a use.
    pub(super) fn contains(&self, id: &Arc<ObjectId>, index: u64) -> bool {
        let block = (id.clone(), index);
        self.demanded.contains(&block)
            || self.prefetched.contains(&block)
            || self.in_flight.contains_key(&block)
    }

    /// Marks `blocks`, of which the map has none, as in flight; the caller fetches them. Somebody
    /// waits for those within `demanded`.
    pub(super) fn start_fetch(
        &mut self,
        id: &Arc<ObjectId>,
        blocks: Range<u64>,
        demanded: &Range<u64>,
    ) -> BlockRange {
        let first = blocks.start;
        let start = |index| {
            let pending = Arc::new(PendingBlock::new());
            let is_demanded = demanded.contains(&index);
            let in_flight = InFlight { pending: pending.clone(), is_demanded };
            self.in_flight.insert((id.clone(), index), in_flight);
            pending
        };
        BlockRange { id: id.clone(), first, pending: blocks.map(start).collect() }
    }

    /// Takes the first block of `range` out of flight and keeps its bytes, if there are any.
    /// Returns where the caller has to put the outcome for those who wait.
    pub(super) fn complete_first(
        &mut self,
        range: &mut BlockRange,
        outcome: &Result<Bytes, Error>,
    ) -> Arc<PendingBlock> {
        let block = (range.id.clone(), range.first);
        let is_demanded =
            self.in_flight.remove(&block).is_none_or(|in_flight| in_flight.is_demanded);
        if let Ok(bytes) = outcome {
            let segment = if is_demanded { &mut self.demanded } else { &mut self.prefetched };
            segment.insert(block, bytes.clone(), bytes.len());
        }
        range.first += 1;
        range.pending.remove(0)
    }

    /// Gives up a fetch that nobody waits for, and returns whether it did. Who demands its blocks
    /// later starts another one.
    pub(super) fn cancel(&mut self, range: &mut BlockRange) -> bool {
        // The range and the map hold one reference each; any other is a waiter's. None can be added
        // meanwhile, since only `demand` hands them out.
        if range.pending.iter().any(|pending| Arc::strong_count(pending) > 2) {
            return false;
        }
        for index in range.first..range.first + range.pending.len() as u64 {
            self.in_flight.remove(&(range.id.clone(), index));
        }
        range.pending.clear();
        true
    }

    /// Evicts the demanded block that was not used for longest. Returns whether there was one.
    pub(super) fn evict_demanded(&mut self) -> bool {
        self.demanded.pop().is_some()
    }

    /// Evicts the demanded block that was not used for longest, or where there is none, a
    /// prefetched one. Returns whether there was one.
    pub(super) fn evict(&mut self) -> bool {
        self.evict_demanded() || self.prefetched.pop().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> Arc<ObjectId> {
        Arc::new(ObjectId { bucket: "b".into(), key: "k".into(), etag: "e".into() })
    }

    #[test]
    fn what_was_prefetched_outlives_what_was_read() {
        let (mut map, id) = (BlockMap::new(100), id());
        let mut ahead = map.start_fetch(&id, 0..3, &(0..0));
        // A reader came while it was in flight.
        assert!(matches!(map.demand(&id, 1), Some(Block::Pending(_))));
        let mut demanded = map.start_fetch(&id, 10..11, &(10..11));
        for range in [&mut ahead, &mut demanded] {
            while !range.pending.is_empty() {
                map.complete_first(range, &Ok(Bytes::from_static(b"1234567890")));
            }
        }
        assert!(matches!(map.demand(&id, 2), Some(Block::Ready(_))));
        let left = |map: &BlockMap| [0, 1, 2, 10].map(|index| map.contains(&id, index));
        assert!(map.evict_demanded() && map.evict_demanded());
        assert_eq!(left(&map), [true, false, true, false]);
        assert!(map.evict_demanded() && !map.evict_demanded());
        assert_eq!(left(&map), [true, false, false, false]);
        assert!(map.evict() && !map.evict());
    }

    #[test]
    fn a_fetch_is_cancelled_only_when_nobody_waits_and_can_be_started_again() {
        let (mut map, id) = (BlockMap::new(100), id());
        let mut range = map.start_fetch(&id, 3..5, &(0..0));
        let reader = map.demand(&id, 4);
        assert!(!map.cancel(&mut range));
        drop(reader);
        assert!(map.cancel(&mut range));
        assert!(map.demand(&id, 4).is_none() && range.pending.is_empty());
    }
}
