//! What is read first of a file, by what was read first of others of the same product.
//!
//! Programs look at the same places of each granule before they read its data: the head, the tail,
//! the metadata of the variables that they are after. What two granules in a row had in common is
//! expected of the next one; of the second one, all that the first one had.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use super::random_access::HEAD_SIZE;
use crate::governor::Product;
use crate::weighted_lru::WeightedLru;

/// Products that are remembered, of a few hundred bytes each, 6 KiB at most.
const MAX_PRODUCTS: usize = 1000;
/// The most places of a file, and the most bytes of them, that count as its first reads.
const MAX_PLACES: usize = 128;
const MAX_BYTES: u64 = 2 << 20;
/// What lies this close to the end of a file is counted from there, unless it is close to the start
/// as well.
const TAIL: u64 = 1 << 20;

/// What was read first of the files of each product.
#[derive(Debug)]
pub(super) struct FirstReads {
    of_products: Mutex<WeightedLru<Product, Arc<Known>>>,
}

#[derive(Debug)]
struct Known {
    /// Of the file that was closed last.
    last: Vec<Place>,
    /// What the files before it had in common with it, if there were any.
    common: Option<Vec<Place>>,
}

/// Bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// Counted from the start of the file, or from its end on backwards.
    bytes: Range<u64>,
    is_in_tail: bool,
}

impl FirstReads {
    pub(super) fn new() -> Self {
        Self { of_products: Mutex::new(WeightedLru::new(MAX_PRODUCTS)) }
    }

    /// Returns the ranges of bytes that are probably read first of a file of `size` bytes. None
    /// where that is the head alone, which comes with the first read anyway.
    pub(super) fn expected(&self, product: &Product, size: u64) -> Vec<Range<u64>> {
        let known = self.of_products.lock().get(product).cloned();
        let places = known.iter().flat_map(|known| known.common.as_ref().unwrap_or(&known.last));
        let mut ranges: Vec<_> = places.filter_map(|place| place.in_file_of(size)).collect();
        let count = ranges.len();
        ranges.retain(|range| range.end > HEAD_SIZE);
        if !ranges.is_empty() && ranges.len() < count {
            ranges.insert(0, 0..HEAD_SIZE);
        }
        ranges
    }

    /// Learns from the first `reads` of a file of `size` bytes.
    pub(super) fn learn(&self, product: &Product, reads: &FileReads, size: u64) {
        let last: Vec<Place> =
            reads.ranges.iter().map(|range| Place::new(range.clone(), size)).collect();
        if last.is_empty() {
            return;
        }
        let mut of_products = self.of_products.lock();
        let common = of_products.get(product).map(|known| {
            let was_read = |place: &&Place| known.last.iter().any(|before| before.touches(place));
            last.iter().filter(was_read).cloned().collect()
        });
        of_products.insert(product.clone(), Arc::new(Known { last, common }), 1);
    }
}

impl Place {
    fn new(range: Range<u64>, size: u64) -> Self {
        let is_in_tail = range.start >= TAIL && range.start >= size.saturating_sub(TAIL);
        let bytes = if is_in_tail { size - range.end..size - range.start } else { range };
        Self { bytes, is_in_tail }
    }

    fn in_file_of(&self, size: u64) -> Option<Range<u64>> {
        let range = if self.is_in_tail {
            size.checked_sub(self.bytes.end)?..size.checked_sub(self.bytes.start)?
        } else {
            self.bytes.start..self.bytes.end.min(size)
        };
        (!range.is_empty()).then_some(range)
    }

    fn touches(&self, other: &Self) -> bool {
        self.is_in_tail == other.is_in_tail
            && self.bytes.start < other.bytes.end
            && other.bytes.start < self.bytes.end
    }
}

/// What is read first of one file.
#[derive(Debug, Default)]
pub(super) struct FileReads {
    /// In order, none next to another.
    ranges: Vec<Range<u64>>,
    bytes: u64,
}

impl FileReads {
    /// Records a read.
    pub(super) fn record(&mut self, read: &Range<u64>) {
        if self.bytes >= MAX_BYTES || self.ranges.len() >= MAX_PLACES {
            return;
        }
        let first = self.ranges.partition_point(|range| range.end < read.start);
        let last = self.ranges.partition_point(|range| range.start <= read.end);
        let joined = self.ranges.drain(first..last).fold(read.clone(), |joined, range| {
            self.bytes -= range.end - range.start;
            joined.start.min(range.start)..joined.end.max(range.end)
        });
        self.bytes += joined.end - joined.start;
        self.ranges.insert(first, joined);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::object::ObjectId;

    const MIB: u64 = 1 << 20;

    fn product(key: &str) -> Product {
        Product::of(&ObjectId { bucket: "b".into(), key: key.into(), etag: "e".into() })
    }

    fn reads(ranges: &[Range<u64>]) -> FileReads {
        let mut reads = FileReads::default();
        for range in ranges {
            reads.record(range);
        }
        reads
    }

    #[test]
    fn the_second_file_is_expected_to_be_read_like_the_first_and_others_as_both() {
        let (first_reads, kind, other) = (FirstReads::new(), product("a.nc"), product("a.h5"));
        let expected = |size| first_reads.expected(&kind, size);
        let tail = |size: u64| size - 8192..size;
        assert!(expected(50 * MIB).is_empty());
        let first = [0..4096, 7 * MIB..7 * MIB + 4096, tail(50 * MIB)];
        first_reads.learn(&kind, &reads(&first), 50 * MIB);
        assert_eq!(expected(60 * MIB), [0..HEAD_SIZE, 7 * MIB..7 * MIB + 4096, tail(60 * MIB)]);
        let second = [0..8192, 9 * MIB..9 * MIB + 4096, tail(60 * MIB)];
        first_reads.learn(&kind, &reads(&second), 60 * MIB);
        assert_eq!(expected(55 * MIB), [0..HEAD_SIZE, tail(55 * MIB)]);
        // A file that was not read teaches nothing, and a small one has no such places.
        first_reads.learn(&kind, &reads(&[]), 60 * MIB);
        assert!(expected(5000).is_empty());
        assert!(first_reads.expected(&other, 50 * MIB).is_empty());
    }

    proptest! {
        #[test]
        fn first_reads_are_kept_in_order_apart_and_few(
            ranges in prop::collection::vec((0..10 * MIB, 1..MIB / 4), 0..400),
        ) {
            let ranges: Vec<_> =
                ranges.into_iter().map(|(start, length)| start..start + length).collect();
            let reads = reads(&ranges);
            prop_assert!(reads.ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
            prop_assert_eq!(
                reads.bytes, reads.ranges.iter().map(|range| range.end - range.start).sum::<u64>()
            );
            prop_assert!(reads.bytes < MAX_BYTES + MIB / 4 && reads.ranges.len() <= MAX_PLACES);
        }
    }
}
