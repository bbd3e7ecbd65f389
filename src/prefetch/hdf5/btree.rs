//! Version 2 B-trees, which belong to fractal heaps.
//!
//! One finds objects in the heap. The heap is read as a whole, so the records do not matter, only
//! where the nodes are. Another finds the objects that are too large for the heap.

use super::fields::{Fields, Format};
use super::place::{Found, Structure};

/// The signature, the version, the type and the checksum of a node, in bytes.
const NODE_OVERHEAD: u64 = 10;
/// Types of records that say where in the file a large object is.
const LARGE_OBJECTS: [u64; 2] = [1, 3];
/// More levels than a tree of all objects that are followed can have.
const MAX_DEPTH: u64 = 16;

/// Adds the tree at `address`.
pub(super) fn name(address: u64, format: &Format, found: &mut Found) {
    found.name(address, 22 + format.address_size + format.length_size, Structure::Tree);
}

/// What is known of a node before it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    size: u64,
    record_type: u64,
    record_size: u64,
    /// Levels below this one.
    depth: u64,
    records: u64,
}

pub(super) fn parse(mut fields: Fields<'_>, found: &mut Found) -> Option<()> {
    fields.expect(b"BTHD\0")?;
    let record_type = fields.number(1)?;
    let size = fields.number(4)?;
    let record_size = fields.number(2).filter(|size| *size > 0)?;
    let depth = fields.number(2).filter(|depth| *depth <= MAX_DEPTH)?;
    let _percents = fields.bytes(2)?;
    let root = fields.address()?;
    let records = fields.number(2)?;
    Node { size, record_type, record_size, depth, records }.name(root, found);
    Some(())
}

impl Node {
    fn name(self, address: u64, found: &mut Found) {
        let is_leaf = self.depth == 0 && !self.has_large_objects();
        let structure = if is_leaf { Structure::Leaf } else { Structure::TreeNode(self) };
        found.name(address, self.size, structure);
    }

    fn has_large_objects(self) -> bool {
        LARGE_OBJECTS.contains(&self.record_type)
    }

    pub(super) fn parse(self, mut fields: Fields<'_>, found: &mut Found) -> Option<()> {
        fields.expect(if self.depth == 0 { b"BTLF\0" } else { b"BTIN\0" })?;
        let _type = fields.number(1)?;
        let mut records = fields.part(self.records.checked_mul(self.record_size)?)?;
        while self.has_large_objects() && !records.is_empty() {
            let mut record = records.part(self.record_size)?;
            found.name(record.address()?, record.length()?, Structure::Leaf);
        }
        if self.depth == 0 {
            return Some(());
        }
        let (count_size, total_size) = self.sizes_of_counts(&fields.format)?;
        for _ in 0..=self.records {
            let child = fields.address()?;
            let records = fields.number(count_size)?;
            let _total = fields.bytes(total_size)?;
            Self { depth: self.depth - 1, records, ..self }.name(child, found);
        }
        Some(())
    }

    /// Returns how many bytes, in a pointer to a child, the number of its records and the number
    /// of all records below have. Neither is written down: they follow from what fits a node.
    fn sizes_of_counts(self, format: &Format) -> Option<(u64, u64)> {
        let leaf_records = self.size.checked_sub(NODE_OVERHEAD)? / self.record_size;
        let count_size = width_of(leaf_records);
        let (mut below, mut total_size) = (leaf_records, 0);
        for _ in 1..self.depth {
            let pointer = format.address_size + count_size + total_size;
            let space = self.size.checked_sub(NODE_OVERHEAD + pointer)?;
            let records = space / (self.record_size + pointer);
            below = (records + 1).saturating_mul(below).saturating_add(records);
            total_size = width_of(below);
        }
        Some((count_size, total_size))
    }
}

/// Returns the bytes of the shortest number that can count to `max`.
fn width_of(max: u64) -> u64 {
    u64::from(max.checked_ilog2().unwrap_or(0)) / 8 + 1
}
