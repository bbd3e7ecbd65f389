//! Neighbouring blocks that one GET fetches.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::SetOnce;

use super::block::{BLOCK_SIZE, PendingBlock, Piece, blocks_of, part_of, within};
use crate::object::ObjectId;

/// The blocks of a fetch that have not arrived yet.
#[derive(Debug)]
pub(super) struct BlockRange {
    pub(super) id: Arc<ObjectId>,
    /// The bytes that have not arrived: of the first and the last block perhaps not all.
    pub(super) bytes: Range<u64>,
    pending: VecDeque<Arc<PendingBlock>>,
    pub(super) stop: Arc<Stop>,
}

/// Tells a fetch that what it was started for is over.
#[derive(Debug, Default)]
pub(super) struct Stop {
    requested: SetOnce<()>,
}

impl Stop {
    pub(super) fn request(&self) {
        // Once is enough.
        let _ = self.requested.set(());
    }

    pub(super) async fn requested(&self) {
        self.requested.wait().await;
    }
}

impl BlockRange {
    pub(super) fn new(
        id: Arc<ObjectId>,
        bytes: Range<u64>,
        pending: Vec<Arc<PendingBlock>>,
        stop: Arc<Stop>,
    ) -> Self {
        Self { id, bytes, pending: pending.into(), stop }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Returns how many blocks have not arrived.
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Returns the number of the first block that has not arrived, and which bytes of it will.
    pub(super) fn first_part(&self) -> (u64, Range<u64>) {
        let index = self.bytes.start / BLOCK_SIZE;
        (index, part_of(&self.bytes, index))
    }

    /// Returns the blocks that have not arrived, by their numbers.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (u64, &Arc<PendingBlock>)> {
        (self.bytes.start / BLOCK_SIZE..).zip(&self.pending)
    }

    /// Takes the first block out, of which there must be one, and returns where its outcome goes.
    pub(super) fn take_first(&mut self) -> Arc<PendingBlock> {
        let (_, part) = self.first_part();
        self.bytes.start = part.end;
        self.pending.pop_front().unwrap_or_default()
    }

    /// Returns what a reader of the bytes `read` waits for: its part of each block.
    pub(super) fn pieces(&self, read: &Range<u64>) -> Vec<Piece> {
        let demanded = blocks_of(read);
        let pieces = self.blocks().filter(|(index, _)| demanded.contains(index));
        let pieces = pieces.filter_map(|(index, pending)| {
            let within = within(&part_of(&self.bytes, index), &part_of(read, index))?;
            Some(Piece::Pending { block: pending.clone(), within })
        });
        pieces.collect()
    }
}
