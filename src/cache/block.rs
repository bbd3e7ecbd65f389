//! A block: the unit in which objects are kept and evicted. It may be there in part.

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

/// Consecutive bytes within one block, which are in memory or will be.
#[derive(Debug)]
pub enum Piece {
    /// In memory.
    Ready(Bytes),
    /// Being fetched, or waiting for memory to be fetched into.
    Pending {
        /// Where the fetched bytes are put.
        block: Arc<PendingBlock>,
        /// Which of these are meant.
        within: Range<usize>,
    },
}

impl Piece {
    /// Returns the bytes, shared and not copied. Waits for the fetch of a pending piece.
    ///
    /// # Errors
    /// That of the fetch. Everyone who waits for the block gets it; it is not kept.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        match self {
            Self::Ready(bytes) => Ok(bytes),
            Self::Pending { block, within } => {
                block.wait().await.clone().map(|bytes| bytes.slice(within))
            }
        }
    }
}

/// The bytes of a block that are in memory: all of them, or some in a row.
#[derive(Debug)]
pub(super) struct Part {
    /// Which bytes of the object these are.
    pub(super) range: Range<u64>,
    pub(super) bytes: Bytes,
}

impl Part {
    /// Returns the bytes `wanted` of the object, if all of them are here.
    pub(super) fn slice(&self, wanted: &Range<u64>) -> Option<Bytes> {
        within(&self.range, wanted).map(|within| self.bytes.slice(within))
    }
}

/// Returns where the bytes `wanted` lie in what begins with the first byte of `range`, if they lie
/// in `range`.
pub(super) fn within(range: &Range<u64>, wanted: &Range<u64>) -> Option<Range<usize>> {
    let holds = range.start <= wanted.start && wanted.end <= range.end;
    // Both lie within a block.
    holds.then(|| (wanted.start - range.start) as usize..(wanted.end - range.start) as usize)
}

/// Returns the numbers of the blocks that a range of bytes touches.
#[must_use]
pub fn blocks_of(bytes: &Range<u64>) -> Range<u64> {
    bytes.start / BLOCK_SIZE..bytes.end.div_ceil(BLOCK_SIZE)
}

/// Returns the bytes of block `index` that lie in `bytes`.
pub(super) fn part_of(bytes: &Range<u64>, index: u64) -> Range<u64> {
    bytes.start.max(index * BLOCK_SIZE)..bytes.end.min((index + 1) * BLOCK_SIZE)
}

/// Returns how many bytes a range has.
pub(super) fn length(bytes: &Range<u64>) -> usize {
    usize::try_from(bytes.end.saturating_sub(bytes.start)).unwrap_or(usize::MAX)
}

/// Joins ascending ranges, each within a block, to ranges of neighbours that touch no more than
/// `most` blocks.
pub(super) fn contiguous_ranges(
    parts: impl IntoIterator<Item = Range<u64>>,
    most: u64,
) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for part in parts {
        match ranges.last_mut() {
            Some(range) if range.end == part.start && touched(range) < most => {
                range.end = part.end;
            }
            _ => ranges.push(part),
        }
    }
    ranges
}

fn touched(bytes: &Range<u64>) -> u64 {
    let blocks = blocks_of(bytes);
    blocks.end - blocks.start
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
            let mut parts = blocks.map(|index| part_of(&bytes, index));
            let last = parts.try_fold(bytes.start, |end, part| {
                (part.start == end && part.end > end).then_some(part.end)
            });
            prop_assert_eq!(last, Some(bytes.end));
        }

        #[test]
        fn ranges_are_the_blocks_in_order_and_as_long_as_can_be(
            blocks in prop::collection::btree_set(0..100_u64, 0..100), most in 1..20_u64,
        ) {
            let whole = |index: &u64| index * BLOCK_SIZE..(index + 1) * BLOCK_SIZE;
            let ranges = contiguous_ranges(blocks.iter().map(whole), most);
            prop_assert!(ranges.iter().flat_map(blocks_of).eq(blocks));
            prop_assert!(ranges.iter().all(|range| touched(range) <= most));
            let are_apart = |pair: &[Range<u64>]| {
                pair[0].end < pair[1].start || touched(&pair[0]) == most
            };
            prop_assert!(ranges.windows(2).all(are_apart));
        }
    }

    #[test]
    fn a_part_gives_out_what_it_has_and_nothing_else() {
        let part = Part { range: 100..104, bytes: Bytes::from_static(b"abcd") };
        assert_eq!(part.slice(&(101..103)).as_deref(), Some(&b"bc"[..]));
        assert_eq!(part.slice(&(100..104)).as_deref(), Some(&b"abcd"[..]));
        for outside in [99..101, 103..105, 0..1000, 104..105] {
            assert_eq!(part.slice(&outside), None, "{outside:?}");
        }
    }
}
