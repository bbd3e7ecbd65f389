//! A block: the unit in which objects are fetched, kept and evicted.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::SetOnce;

use crate::error::Error;

/// Bytes of a block. Small enough that a random read waits for little beside it (a connection of S3
/// brings it in less than a millisecond), large enough that a stream costs few of them.
pub const BLOCK_SIZE: u64 = 64 * 1024;

/// Where the outcome of a block's fetch is put, for everyone who waits for it.
pub(super) type PendingBlock = SetOnce<Result<Bytes, Error>>;

/// A block that is in memory, or will be.
#[derive(Debug)]
pub enum Block {
    /// In memory.
    Ready(Bytes),
    /// Being fetched, or waiting for memory to be fetched into.
    Pending(Arc<PendingBlock>),
}

impl Block {
    /// Returns the bytes, shared and not copied. Waits for the fetch of a pending block.
    ///
    /// # Errors
    /// That of the fetch. Everyone who waits for the block gets it; it is not kept.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        match self {
            Self::Ready(bytes) => Ok(bytes),
            Self::Pending(pending) => pending.wait().await.clone(),
        }
    }
}

/// Returns the numbers of the blocks that a range of bytes touches.
#[must_use]
pub fn blocks_of(bytes: &Range<u64>) -> Range<u64> {
    bytes.start / BLOCK_SIZE..bytes.end.div_ceil(BLOCK_SIZE)
}

/// Returns how many bytes `blocks` have of an object of `size` bytes.
pub(super) fn length_of(blocks: &Range<u64>, size: u64) -> usize {
    let end = size.min(blocks.end * BLOCK_SIZE);
    usize::try_from(end.saturating_sub(blocks.start * BLOCK_SIZE)).unwrap_or(usize::MAX)
}

/// Groups ascending block numbers into ranges of neighbours, none longer than `longest`.
pub(super) fn contiguous_ranges(
    blocks: impl Iterator<Item = u64>,
    longest: u64,
) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for index in blocks {
        match ranges.last_mut() {
            Some(range) if range.end == index && range.end - range.start < longest => {
                range.end += 1;
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

    proptest! {
        #[test]
        fn a_range_lies_within_its_blocks_and_touches_each(
            start in 0..100 * BLOCK_SIZE, length in 1..10 * BLOCK_SIZE,
        ) {
            let bytes = start..start + length;
            let blocks = blocks_of(&bytes);
            let (first, last) = (blocks.start, blocks.end - 1);
            prop_assert!(first * BLOCK_SIZE <= bytes.start);
            prop_assert!(bytes.start < (first + 1) * BLOCK_SIZE);
            prop_assert!(blocks.end * BLOCK_SIZE >= bytes.end && bytes.end > last * BLOCK_SIZE);
        }

        #[test]
        fn ranges_are_the_blocks_in_order_and_as_long_as_can_be(
            blocks in prop::collection::btree_set(0..100_u64, 0..100), longest in 1..20_u64,
        ) {
            let ranges = contiguous_ranges(blocks.iter().copied(), longest);
            prop_assert!(ranges.iter().cloned().flatten().eq(blocks));
            let length = |range: &Range<u64>| range.end - range.start;
            prop_assert!(ranges.iter().all(|range| length(range) <= longest));
            let are_apart = |pair: &[Range<u64>]| {
                pair[0].end < pair[1].start || length(&pair[0]) == longest
            };
            prop_assert!(ranges.windows(2).all(are_apart));
        }
    }

    #[test]
    fn blocks_cover_an_object_exactly() {
        for size in [0, 1, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 5 * BLOCK_SIZE + 17] {
            let blocks = blocks_of(&(0..size));
            let covered: usize =
                blocks.clone().map(|index| length_of(&(index..index + 1), size)).sum();
            assert_eq!(covered as u64, size);
            assert_eq!(length_of(&blocks, size) as u64, size);
            assert_eq!(length_of(&(blocks.end..blocks.end + 1), size), 0);
        }
    }
}
