//! Which blocks are in memory, which are in flight, which are guesses, and which are evicted first.
//!
//! There are two least-recently-used segments: demanded blocks, which are evicted first, and
//! guessed blocks, which nobody has read yet. They are kept by hand because `quick_cache`
//! (S3-FIFO) evicts first what was not read yet: in our test it evicted 98 % of the prefetched
//! blocks of a stream unread, and these two segments none. Its scan resistance would help blocks
//! that are read often, which the kernel's page cache holds already, and it evicts when something
//! is inserted, where here the memory limiter decides when a block has to go.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::block::{Part, PendingBlock, Piece, blocks_of, length, part_of, within};
use super::block_range::{BlockRange, Stop};
use super::guesses::{BlockId, Guesses};
use crate::error::Error;
use crate::governor::Guess;
use crate::object::ObjectId;
use crate::weighted_lru::WeightedLru;

/// All blocks of a mount.
#[derive(Debug)]
pub(super) struct BlockMap {
    /// What was read, or was waited for when it arrived.
    demanded: WeightedLru<BlockId, Part>,
    in_flight: HashMap<BlockId, InFlight>,
    guesses: Guesses,
}

#[derive(Debug)]
struct InFlight {
    pending: Arc<PendingBlock>,
    /// The bytes of the object that are fetched.
    range: Range<u64>,
    /// `None`: somebody waits for them.
    guess: Option<Guess>,
    stop: Arc<Stop>,
}

impl BlockMap {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            demanded: WeightedLru::new(capacity),
            in_flight: HashMap::new(),
            guesses: Guesses::new(capacity),
        }
    }

    /// Returns to a reader the bytes `wanted`, which lie within block `index`. `None`: they have to
    /// be fetched.
    pub(super) fn demand(
        &mut self,
        id: &Arc<ObjectId>,
        index: u64,
        wanted: &Range<u64>,
    ) -> Option<Piece> {
        let block = (id.clone(), index);
        if let Some(bytes) = self.demanded.get(&block).and_then(|part| part.slice(wanted)) {
            return Some(Piece::Ready(bytes));
        }
        if let Some(in_flight) = self.in_flight.get_mut(&block)
            && let Some(within) = within(&in_flight.range, wanted)
        {
            if let Some(guess) = in_flight.guess.take() {
                guess.read();
                self.guesses.forget(&block);
            }
            return Some(Piece::Pending { block: in_flight.pending.clone(), within });
        }
        let part = self.guesses.demand(&block, wanted)?;
        let bytes = part.slice(wanted)?;
        let weight = part.bytes.len();
        self.demanded.insert(block, part, weight);
        Some(Piece::Ready(bytes))
    }

    /// Returns the bytes `wanted`, which lie within block `index`, if they are in memory or in
    /// flight. Does not count as a use.
    pub(super) fn peek(
        &self,
        id: &Arc<ObjectId>,
        index: u64,
        wanted: &Range<u64>,
    ) -> Option<Piece> {
        let block = (id.clone(), index);
        let in_memory = [self.demanded.peek(&block), self.guesses.peek(&block)];
        if let Some(bytes) = in_memory.into_iter().flatten().find_map(|part| part.slice(wanted)) {
            return Some(Piece::Ready(bytes));
        }
        let in_flight = self.in_flight.get(&block)?;
        let within = within(&in_flight.range, wanted)?;
        Some(Piece::Pending { block: in_flight.pending.clone(), within })
    }

    /// Returns whether the bytes `wanted`, which lie within block `index`, are in memory or in
    /// flight. Does not count as a use.
    pub(super) fn has(&self, id: &Arc<ObjectId>, index: u64, wanted: &Range<u64>) -> bool {
        self.peek(id, index, wanted).is_some()
    }

    /// Returns whether anything of a block is in memory or in flight. Does not count as a use.
    pub(super) fn contains(&self, id: &Arc<ObjectId>, index: u64) -> bool {
        let block = (id.clone(), index);
        self.demanded.contains(&block)
            || self.guesses.has_bytes_of(&block)
            || self.in_flight.contains_key(&block)
    }

    /// Marks the bytes `range` as in flight, of whose blocks the map has none or other bytes; the
    /// caller fetches them. `guess` gets the length of each block's part, and returns `None` where
    /// somebody waits for it.
    pub(super) fn start_fetch(
        &mut self,
        id: &Arc<ObjectId>,
        range: Range<u64>,
        mut guess: impl FnMut(u64, u64) -> Option<Guess>,
    ) -> BlockRange {
        let stop = Arc::new(Stop::default());
        let mut pending = Vec::new();
        for index in blocks_of(&range) {
            let (block, part) = ((id.clone(), index), part_of(&range, index));
            // Another part of it that was guessed stays until the new one comes.
            if let Some(other) = self.guesses.waste(&block) {
                let weight = other.bytes.len();
                self.demanded.insert(block.clone(), other, weight);
            }
            let guess = guess(index, part.end - part.start);
            if guess.is_some() {
                self.guesses.expect(&block);
            }
            let outcome = Arc::new(PendingBlock::new());
            pending.push(outcome.clone());
            let new = InFlight { pending: outcome, range: part, guess, stop: stop.clone() };
            if let Some(InFlight { guess: Some(guess), .. }) = self.in_flight.insert(block, new) {
                guess.waste();
            }
        }
        BlockRange::new(id.clone(), range, pending, stop)
    }

    /// Keeps a guess about a block on paper: it is not fetched.
    pub(super) fn note(&mut self, id: &Arc<ObjectId>, index: u64, guess: Guess) {
        self.guesses.note((id.clone(), index), guess);
    }

    /// Forgets the guess about a block that is on paper, if there is one.
    pub(super) fn take_off_paper(&mut self, id: &Arc<ObjectId>, index: u64) {
        self.guesses.take_off_paper(&(id.clone(), index));
    }

    /// Takes the first block of `range` out of flight and keeps its bytes, if there are any.
    /// Returns where the caller has to put the outcome for those who wait.
    pub(super) fn complete_first(
        &mut self,
        range: &mut BlockRange,
        outcome: &Result<Bytes, Error>,
    ) -> Arc<PendingBlock> {
        let (index, part) = range.first_part();
        let pending = range.take_first();
        let block = (range.id.clone(), index);
        let is_own = self.is_in_flight(&block, &pending);
        let guess =
            if is_own { self.in_flight.remove(&block).and_then(|own| own.guess) } else { None };
        match (outcome, guess) {
            (Ok(bytes), Some(guess)) => {
                self.guesses.insert(block, Part { range: part, bytes: bytes.clone() }, guess);
            }
            (Ok(bytes), None) => {
                // A later fetch of more of the block may have come first.
                let has_all = |known: &Part| within(&known.range, &part).is_some();
                if !self.demanded.get(&block).is_some_and(has_all) {
                    let weight = length(&part);
                    let part = Part { range: part, bytes: bytes.clone() };
                    self.demanded.insert(block, part, weight);
                }
            }
            (Err(_), Some(guess)) => {
                drop(guess);
                self.guesses.forget(&block);
            }
            (Err(_), None) => {}
        }
        pending
    }

    /// Gives up a fetch that nobody waits for, and returns whether it did. Who demands its blocks
    /// later starts another one.
    pub(super) fn cancel(&mut self, range: &mut BlockRange) -> bool {
        // The range holds a reference, and the map unless another fetch has taken the block over;
        // any other is a waiter's. None can be added meanwhile, since only `demand` hands them out.
        let is_awaited = range.blocks().any(|(index, pending)| {
            let is_own = self.is_in_flight(&(range.id.clone(), index), pending);
            Arc::strong_count(pending) > 1 + usize::from(is_own)
        });
        if is_awaited {
            return false;
        }
        while !range.is_empty() {
            let (index, _) = range.first_part();
            let pending = range.take_first();
            let block = (range.id.clone(), index);
            if self.is_in_flight(&block, &pending) && self.in_flight.remove(&block).is_some() {
                self.guesses.forget(&block);
            }
        }
        true
    }

    /// Books as wasted what was guessed of the blocks `blocks` and was not read, and where
    /// `is_closed`, stops fetching it. What is in memory stays there, to be evicted as if it had
    /// been read.
    pub(super) fn abandon(&mut self, id: &Arc<ObjectId>, blocks: Range<u64>, is_closed: bool) {
        for block in self.guesses.of_object(id, blocks) {
            if let Some(in_flight) = self.in_flight.get_mut(&block) {
                if let Some(guess) = in_flight.guess.take() {
                    guess.waste();
                }
                if is_closed {
                    in_flight.stop.request();
                }
            }
            if let Some(part) = self.guesses.waste(&block) {
                let weight = part.bytes.len();
                self.demanded.insert(block, part, weight);
            }
        }
    }

    /// Evicts the demanded block that was not used for longest. Returns whether there was one.
    pub(super) fn evict_demanded(&mut self) -> bool {
        self.demanded.pop().is_some()
    }

    /// Evicts the demanded block that was not used for longest, or where there is none, a
    /// guessed one. Returns whether there was one.
    pub(super) fn evict(&mut self) -> bool {
        self.evict_demanded() || self.guesses.evict()
    }

    fn is_in_flight(&self, block: &BlockId, pending: &Arc<PendingBlock>) -> bool {
        self.in_flight.get(block).is_some_and(|known| Arc::ptr_eq(&known.pending, pending))
    }
}

#[cfg(test)]
mod tests;
