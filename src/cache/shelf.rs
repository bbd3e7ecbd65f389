//! Which blocks are there, which are on their way, and which are let go of first.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::SetOnce;

use crate::bounded::Bounded;
use crate::error::Error;
use crate::object::ObjectId;

type BlockId = (Arc<ObjectId>, u64);

/// Where a block on its way will be put down, for all who wait.
pub(super) type Landing = SetOnce<Result<Bytes, Error>>;

/// A block that is there, or will be.
#[derive(Debug)]
pub enum Block {
    /// Here.
    Kept(Bytes),
    /// Not yet.
    Aloft(Arc<Landing>),
}

impl Block {
    /// The bytes. Shared, not copied.
    ///
    /// # Errors
    /// That of the flight, shared by all who wait for it, and not kept.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        match self {
            Self::Kept(bytes) => Ok(bytes),
            Self::Aloft(landing) => landing.wait().await.clone(),
        }
    }
}

/// All blocks of a mount.
#[derive(Debug)]
pub(super) struct Shelf {
    /// What was read, or is waited for.
    kept: Bounded<BlockId, Bytes>,
    /// What was fetched ahead or came along, and nobody has read yet; goes only when nothing else is left, or for more of its kind.
    unread: Bounded<BlockId, Bytes>,
    aloft: HashMap<BlockId, Aloft>,
}

#[derive(Debug)]
struct Aloft {
    landing: Arc<Landing>,
    is_wanted: bool,
}

/// Neighbouring blocks that one GET fetches.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: Arc<ObjectId>,
    pub(super) first: u64,
    pub(super) landings: Vec<Arc<Landing>>,
}

impl Shelf {
    pub(super) fn new(capacity: usize) -> Self {
        // Streams may be ahead by half of the capacity together, and the files after them by a quarter.
        let unread = capacity / 4 * 3;
        Self { kept: Bounded::new(capacity), unread: Bounded::new(unread), aloft: HashMap::new() }
    }

    /// A block for a reader.
    pub(super) fn find(&mut self, id: &Arc<ObjectId>, index: u64) -> Option<Block> {
        let block = (id.clone(), index);
        if let Some(bytes) = self.kept.get(&block) {
            return Some(Block::Kept(bytes.clone()));
        }
        if let Some(aloft) = self.aloft.get_mut(&block) {
            aloft.is_wanted = true;
            return Some(Block::Aloft(aloft.landing.clone()));
        }
        let bytes = self.unread.remove(&block)?;
        self.kept.insert(block, bytes.clone(), bytes.len());
        Some(Block::Kept(bytes))
    }

    pub(super) fn contains(&self, id: &Arc<ObjectId>, index: u64) -> bool {
        let block = (id.clone(), index);
        self.kept.contains(&block) || self.unread.contains(&block) || self.aloft.contains_key(&block)
    }

    /// Claims blocks for the caller to fetch. Somebody waits for those that are `wanted`.
    pub(super) fn launch(&mut self, id: &Arc<ObjectId>, blocks: Range<u64>, wanted: &Range<u64>) -> Run {
        let claim = |index| {
            let landing = Arc::new(Landing::new());
            self.aloft.insert((id.clone(), index), Aloft { landing: landing.clone(), is_wanted: wanted.contains(&index) });
            landing
        };
        Run { id: id.clone(), first: blocks.start, landings: blocks.map(claim).collect() }
    }

    /// Puts down the first block of a run, and answers where those who wait for it look.
    pub(super) fn land(&mut self, run: &mut Run, outcome: &Result<Bytes, Error>) -> Arc<Landing> {
        let block = (run.id.clone(), run.first);
        let is_wanted = self.aloft.remove(&block).is_none_or(|aloft| aloft.is_wanted);
        if let Ok(bytes) = outcome {
            let shelf = if is_wanted { &mut self.kept } else { &mut self.unread };
            shelf.insert(block, bytes.clone(), bytes.len());
        }
        run.first += 1;
        run.landings.remove(0)
    }

    /// Takes a run that nobody waits for out of the air. Whoever comes later starts it anew.
    pub(super) fn abandon(&mut self, run: &mut Run) -> bool {
        // One is the run's and one the table's; more are handed out only by `find`, which has the shelf to itself as well.
        if run.landings.iter().any(|landing| Arc::strong_count(landing) > 2) {
            return false;
        }
        for index in run.first..run.first + run.landings.len() as u64 {
            self.aloft.remove(&(run.id.clone(), index));
        }
        run.landings.clear();
        true
    }

    /// Lets go of the block that was not used for longest.
    pub(super) fn evict_read(&mut self) -> bool {
        self.kept.pop().is_some()
    }

    /// Lets go of the block that was not used for longest, and where none was used, of one that nobody has read.
    pub(super) fn evict(&mut self) -> bool {
        self.evict_read() || self.unread.pop().is_some()
    }
}

/// Rising block numbers as runs of neighbours, none longer than `longest`.
pub(super) fn runs(blocks: impl Iterator<Item = u64>, longest: u64) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for index in blocks {
        match runs.last_mut() {
            Some(run) if run.end == index && run.end - run.start < longest => run.end += 1,
            _ => runs.push(index..index + 1),
        }
    }
    runs
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
            let runs = runs(blocks.iter().copied(), longest);
            prop_assert!(runs.iter().cloned().flatten().eq(blocks));
            prop_assert!(runs.iter().all(|run| run.end - run.start <= longest));
            let are_apart = |pair: &[Range<u64>]| pair[0].end < pair[1].start || pair[0].end - pair[0].start == longest;
            prop_assert!(runs.windows(2).all(are_apart));
        }
    }

    #[test]
    fn what_was_fetched_ahead_outlives_what_was_read() {
        let (mut shelf, id, block) = (Shelf::new(100), id(), || Ok(Bytes::from_static(b"1234567890")));
        let mut ahead = shelf.launch(&id, 0..3, &(0..0));
        // A reader came while it was on its way.
        assert!(matches!(shelf.find(&id, 1), Some(Block::Aloft(_))));
        let mut demanded = shelf.launch(&id, 10..11, &(10..11));
        for run in [&mut ahead, &mut demanded] {
            while !run.landings.is_empty() {
                shelf.land(run, &block());
            }
        }
        assert!(matches!(shelf.find(&id, 2), Some(Block::Kept(_))));
        let left = |shelf: &Shelf| [0, 1, 2, 10].map(|index| shelf.contains(&id, index));
        assert!(shelf.evict_read() && shelf.evict_read());
        assert_eq!(left(&shelf), [true, false, true, false]);
        assert!(shelf.evict_read() && !shelf.evict_read());
        assert_eq!(left(&shelf), [true, false, false, false]);
        assert!(shelf.evict() && !shelf.evict());
    }

    #[test]
    fn a_run_is_abandoned_only_when_nobody_waits_and_can_be_started_anew() {
        let (mut shelf, id) = (Shelf::new(100), id());
        let mut run = shelf.launch(&id, 3..5, &(0..0));
        let reader = shelf.find(&id, 4);
        assert!(!shelf.abandon(&mut run));
        drop(reader);
        assert!(shelf.abandon(&mut run));
        assert!(shelf.find(&id, 4).is_none() && run.landings.is_empty());
    }
}
