//! Which blocks are there, which are on their way, and which are let go of first.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::SetOnce;

use crate::error::Error;
use crate::object::ObjectId;
use crate::weighted_lru::WeightedLru;

type BlockId = (Arc<ObjectId>, u64);

/// Where a block on its way will be put down, for all who wait.
pub(super) type PendingBlock = SetOnce<Result<Bytes, Error>>;

/// A block that is there, or will be.
#[derive(Debug)]
pub enum Block {
    /// Here.
    Kept(Bytes),
    /// Not yet.
    Pending(Arc<PendingBlock>),
}

impl Block {
    /// The bytes. Shared, not copied.
    ///
    /// # Errors
    /// That of the flight, shared by all who wait for it, and not kept.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        match self {
            Self::Kept(bytes) => Ok(bytes),
            Self::Pending(pending_block) => pending_block.wait().await.clone(),
        }
    }
}

/// All blocks of a mount.
#[derive(Debug)]
pub(super) struct BlockMap {
    /// What was read, or is waited for.
    kept: WeightedLru<BlockId, Bytes>,
    /// What was fetched ahead or came along, and nobody has read yet; goes only when nothing else
    /// is left, or for more of its kind.
    unread: WeightedLru<BlockId, Bytes>,
    in_flight: HashMap<BlockId, InFlight>,
}

#[derive(Debug)]
struct InFlight {
    pending_block: Arc<PendingBlock>,
    is_wanted: bool,
}

/// Neighbouring blocks that one GET fetches.
#[derive(Debug)]
pub(super) struct BlockRange {
    pub(super) id: Arc<ObjectId>,
    pub(super) first: u64,
    pub(super) pending: Vec<Arc<PendingBlock>>,
}

impl BlockMap {
    pub(super) fn new(capacity: usize) -> Self {
        // Streams may be ahead by half of the capacity together, and the files after them by a
        // quarter.
        let unread = capacity / 4 * 3;
        Self {
            kept: WeightedLru::new(capacity),
            unread: WeightedLru::new(unread),
            in_flight: HashMap::new(),
        }
    }

    /// A block for a reader.
    pub(super) fn find(&mut self, id: &Arc<ObjectId>, index: u64) -> Option<Block> {
        let block = (id.clone(), index);
        if let Some(bytes) = self.kept.get(&block) {
            return Some(Block::Kept(bytes.clone()));
        }
        if let Some(in_flight) = self.in_flight.get_mut(&block) {
            in_flight.is_wanted = true;
            return Some(Block::Pending(in_flight.pending_block.clone()));
        }
        let bytes = self.unread.remove(&block)?;
        self.kept.insert(block, bytes.clone(), bytes.len());
        Some(Block::Kept(bytes))
    }

    pub(super) fn contains(&self, id: &Arc<ObjectId>, index: u64) -> bool {
        let block = (id.clone(), index);
        self.kept.contains(&block)
            || self.unread.contains(&block)
            || self.in_flight.contains_key(&block)
    }

    /// Claims blocks for the caller to fetch. Somebody waits for those that are `wanted`.
    pub(super) fn launch(
        &mut self,
        id: &Arc<ObjectId>,
        blocks: Range<u64>,
        wanted: &Range<u64>,
    ) -> BlockRange {
        let claim = |index| {
            let pending_block = Arc::new(PendingBlock::new());
            self.in_flight.insert(
                (id.clone(), index),
                InFlight {
                    pending_block: pending_block.clone(),
                    is_wanted: wanted.contains(&index),
                },
            );
            pending_block
        };
        BlockRange { id: id.clone(), first: blocks.start, pending: blocks.map(claim).collect() }
    }

    /// Puts down the first block of a range_, and answers where those who wait for it look.
    pub(super) fn land(
        &mut self,
        range_: &mut BlockRange,
        outcome: &Result<Bytes, Error>,
    ) -> Arc<PendingBlock> {
        let block = (range_.id.clone(), range_.first);
        let is_wanted = self.in_flight.remove(&block).is_none_or(|in_flight| in_flight.is_wanted);
        if let Ok(bytes) = outcome {
            let blocks_map = if is_wanted { &mut self.kept } else { &mut self.unread };
            blocks_map.insert(block, bytes.clone(), bytes.len());
        }
        range_.first += 1;
        range_.pending.remove(0)
    }

    /// Takes a range_ that nobody waits for out of the air. Whoever comes later starts it anew.
    pub(super) fn abandon(&mut self, range_: &mut BlockRange) -> bool {
        // One is the range_'s and one the table's; more are handed out only by `find`, which has
        // the blocks_map to itself as well.
        if range_.pending.iter().any(|pending_block| Arc::strong_count(pending_block) > 2) {
            return false;
        }
        for index in range_.first..range_.first + range_.pending.len() as u64 {
            self.in_flight.remove(&(range_.id.clone(), index));
        }
        range_.pending.clear();
        true
    }

    /// Lets go of the block that was not used for longest.
    pub(super) fn evict_read(&mut self) -> bool {
        self.kept.pop().is_some()
    }

    /// Lets go of the block that was not used for longest, and where none was used, of one that
    /// nobody has read.
    pub(super) fn evict(&mut self) -> bool {
        self.evict_read() || self.unread.pop().is_some()
    }
}

/// Rising block numbers as ranges of neighbours, none longer than `longest`.
pub(super) fn ranges(blocks: impl Iterator<Item = u64>, longest: u64) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for index in blocks {
        match ranges.last_mut() {
            Some(range_) if range_.end == index && range_.end - range_.start < longest => {
                range_.end += 1
            }
            _ => ranges.push(index..index + 1),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> Arc<ObjectId> {
        Arc::new(ObjectId { bucket: "b".into(), key: "k".into(), etag: "e".into() })
    }

    proptest! {
        #[test]
        fn runs_are_the_blocks_in_order_and_as_long_as_can_be(
            blocks in prop::collection::btree_set(0..100_u64, 0..100), longest in 1..20_u64,
        ) {
            let ranges = ranges(blocks.iter().copied(), longest);
            prop_assert!(ranges.iter().cloned().flatten().eq(blocks));
            prop_assert!(ranges.iter().all(|range_| range_.end - range_.start <= longest));
            let are_apart = |pair: &[Range<u64>]| pair[0].end < pair[1].start || pair[0].end - pair[0].start == longest;
            prop_assert!(ranges.windows(2).all(are_apart));
        }
    }

    #[test]
    fn what_was_fetched_ahead_outlives_what_was_read() {
        let (mut blocks_map, id, block) =
            (BlockMap::new(100), id(), || Ok(Bytes::from_static(b"1234567890")));
        let mut ahead = blocks_map.launch(&id, 0..3, &(0..0));
        // A reader came while it was on its way.
        assert!(matches!(blocks_map.find(&id, 1), Some(Block::Pending(_))));
        let mut demanded = blocks_map.launch(&id, 10..11, &(10..11));
        for range_ in [&mut ahead, &mut demanded] {
            while !range_.pending.is_empty() {
                blocks_map.land(range_, &block());
            }
        }
        assert!(matches!(blocks_map.find(&id, 2), Some(Block::Kept(_))));
        let left =
            |blocks_map: &BlockMap| [0, 1, 2, 10].map(|index| blocks_map.contains(&id, index));
        assert!(blocks_map.evict_read() && blocks_map.evict_read());
        assert_eq!(left(&blocks_map), [true, false, true, false]);
        assert!(blocks_map.evict_read() && !blocks_map.evict_read());
        assert_eq!(left(&blocks_map), [true, false, false, false]);
        assert!(blocks_map.evict() && !blocks_map.evict());
    }

    #[test]
    fn a_run_is_abandoned_only_when_nobody_waits_and_can_be_started_anew() {
        let (mut blocks_map, id) = (BlockMap::new(100), id());
        let mut range_ = blocks_map.launch(&id, 3..5, &(0..0));
        let reader = blocks_map.find(&id, 4);
        assert!(!blocks_map.abandon(&mut range_));
        drop(reader);
        assert!(blocks_map.abandon(&mut range_));
        assert!(blocks_map.find(&id, 4).is_none() && range_.pending.is_empty());
    }
}
