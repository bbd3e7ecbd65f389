//! Blocks that were guessed and that nobody has read so far.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::block::Part;
use crate::governor::Guess;
use crate::object::ObjectId;
use crate::weighted_lru::WeightedLru;

/// A version of an object, and the number of one of its blocks.
pub(super) type BlockId = (Arc<ObjectId>, u64);

/// Guesses on paper that are remembered, of some 100 bytes each.
const MAX_ON_PAPER: usize = 16_384;

/// Blocks that were guessed and not read: in memory, in flight, or on paper.
#[derive(Debug)]
pub(super) struct Guesses {
    /// In memory, for the weight of three quarters of the cache: guesses about files that have not
    /// been read for long give way to new ones, as blocks that were read do.
    fetched: WeightedLru<BlockId, (Part, Guess)>,
    limit: usize,
    on_paper: WeightedLru<BlockId, Guess>,
    /// Where to look when a file is closed.
    of_objects: HashMap<Arc<ObjectId>, BTreeSet<u64>>,
}

impl Guesses {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            fetched: WeightedLru::new(usize::MAX),
            limit: capacity / 4 * 3,
            on_paper: WeightedLru::new(MAX_ON_PAPER),
            of_objects: HashMap::new(),
        }
    }

    /// Records that the guess about `block` is in flight.
    pub(super) fn expect(&mut self, block: &BlockId) {
        self.of_objects.entry(block.0.clone()).or_default().insert(block.1);
    }

    /// Records that there is no guess about `block` any more.
    pub(super) fn forget(&mut self, block: &BlockId) {
        if let Some(blocks) = self.of_objects.get_mut(&block.0) {
            blocks.remove(&block.1);
            if blocks.is_empty() {
                self.of_objects.remove(&block.0);
            }
        }
    }

    /// Keeps a guess that has arrived.
    pub(super) fn insert(&mut self, block: BlockId, part: Part, guess: Guess) {
        let weight = part.bytes.len();
        if let Some((_, replaced)) = self.fetched.remove(&block) {
            replaced.waste();
        }
        self.fetched.insert(block, (part, guess), weight);
        while self.fetched.weight() > self.limit && self.evict() {}
    }

    /// Keeps a guess on paper.
    pub(super) fn note(&mut self, block: BlockId, guess: Guess) {
        if self.on_paper.weight() >= MAX_ON_PAPER
            && let Some((oldest, guess)) = self.on_paper.pop()
        {
            guess.waste();
            self.forget(&oldest);
        }
        self.expect(&block);
        self.on_paper.insert(block, guess, 1);
    }

    /// Forgets the guess about a block that is on paper, if there is one.
    pub(super) fn take_off_paper(&mut self, block: &BlockId) {
        if self.on_paper.remove(block).is_some() {
            self.forget(block);
        }
    }

    /// Returns the part of `block` that was guessed right, if it has the bytes `wanted`.
    pub(super) fn demand(&mut self, block: &BlockId, wanted: &Range<u64>) -> Option<Part> {
        if let Some(guess) = self.on_paper.remove(block) {
            guess.read();
            self.forget(block);
        }
        self.fetched.peek(block).filter(|(part, _)| part.slice(wanted).is_some())?;
        let (part, guess) = self.fetched.remove(block)?;
        self.forget(block);
        guess.read();
        Some(part)
    }

    /// Returns the part of a block that is in memory. Does not count as a use.
    pub(super) fn peek(&self, block: &BlockId) -> Option<&Part> {
        self.fetched.peek(block).map(|(part, _)| part)
    }

    /// Returns whether any bytes of a block are in memory. Does not count as a use.
    pub(super) fn has_bytes_of(&self, block: &BlockId) -> bool {
        self.fetched.contains(block)
    }

    /// Returns those of the blocks of an object about which there are guesses.
    pub(super) fn of_object(&self, id: &Arc<ObjectId>, blocks: Range<u64>) -> Vec<BlockId> {
        let guessed = self.of_objects.get(id).map(|guessed| guessed.range(blocks));
        guessed.into_iter().flatten().map(|index| (id.clone(), *index)).collect()
    }

    /// Books the guess about `block` as wasted, and returns its bytes, if they are in memory.
    pub(super) fn waste(&mut self, block: &BlockId) -> Option<Part> {
        self.forget(block);
        if let Some(guess) = self.on_paper.remove(block) {
            guess.waste();
        }
        let (part, guess) = self.fetched.remove(block)?;
        guess.waste();
        Some(part)
    }

    /// Evicts the block that arrived first. Returns whether there was one.
    pub(super) fn evict(&mut self) -> bool {
        let Some((block, (_, guess))) = self.fetched.pop() else { return false };
        guess.waste();
        self.forget(&block);
        true
    }
}
