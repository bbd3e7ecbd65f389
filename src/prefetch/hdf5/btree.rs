//! Version 2 B-trees, which are the indices of a fractal heap.
//!
//! Their records name places in the heap, which is read as a whole, so only the nodes matter.

use super::fields::{Fields, Format};
use super::place::{Found, Structure};

/// The signature, the version, the type and the checksum of a node, in bytes.
const NODE_OVERHEAD: u64 = 10;
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
    record_size: u64,
    /// Levels below this one.
    depth: u64,
    records: u64,
}

pub(super) fn parse(mut fields: Fields<'_>, found: &mut Found) -> Option<()> {
    fields.expect(b"BTHD\0")?;
    let _type = fields.number(1)?;
    let size = fields.number(4)?;
    let record_size = fields.number(2).filter(|size| *size > 0)?;
    let depth = fields.number(2).filter(|depth| *depth <= MAX_DEPTH)?;
    let _percents = fields.bytes(2)?;
    let root = fields.address()?;
    let records = fields.number(2)?;
    Node { size, record_size, depth, records }.name(root, found);
    Some(())
}

impl Node {
    fn name(self, address: u64, found: &mut Found) {
        let structure = if self.depth == 0 { Structure::Names } else { Structure::TreeNode(self) };
        found.name(address, self.size, structure);
    }

    pub(super) fn parse(self, mut fields: Fields<'_>, found: &mut Found) -> Option<()> {
        fields.expect(b"BTIN\0")?;
        let _type = fields.number(1)?;
        let (count_size, total_size) = self.sizes_of_counts(&fields.format)?;
        let _records = fields.bytes(self.records.checked_mul(self.record_size)?)?;
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
        let count_size = size_of(leaf_records);
        let (mut below, mut total_size) = (leaf_records, 0);
        for _ in 1..self.depth {
            let pointer = format.address_size + count_size + total_size;
            let space = self.size.checked_sub(NODE_OVERHEAD + pointer)?;
            let records = space / (self.record_size + pointer);
            below = (records + 1).saturating_mul(below).saturating_add(records);
            total_size = size_of(below);
        }
        Some((count_size, total_size))
    }
}

/// Returns the bytes of the shortest number that can count to `max`.
fn size_of(max: u64) -> u64 {
    u64::from(max.checked_ilog2().unwrap_or(0)) / 8 + 1
}
