//! Fractal heaps, which hold the links or attributes that do not fit an object header.
//!
//! All direct blocks of a heap are read, one object after another. What a version 2 B-tree says of
//! the objects is not needed for that.

use super::btree;
use super::fields::{Fields, Format};
use super::messages::MessageType;
use super::object_header::Chunk;
use super::place::{Found, Structure};

const HAS_CHECKSUMS: u64 = 0x02;
const CHECKSUM: u64 = 4;

/// Adds the heap of `objects` at `address`.
pub(super) fn name(address: u64, objects: MessageType, format: &Format, found: &mut Found) {
    let size = 26 + 3 * format.address_size + 12 * format.length_size;
    found.name(address, size, Structure::FractalHeap(objects));
}

/// What a heap's header says of its blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heap {
    objects: MessageType,
    has_checksums: bool,
    /// Bytes of an offset in the heap.
    offset_size: u64,
    /// Blocks in a row of an indirect block.
    width: u64,
    /// log2 of the size of the blocks in the first row.
    first_size_log2: u32,
    /// Rows of an indirect block that consist of direct blocks. The blocks of the others are
    /// indirect.
    direct_rows: u64,
}

pub(super) fn parse(objects: MessageType, mut fields: Fields<'_>, found: &mut Found) -> Option<()> {
    fields.expect(b"FRHP\0")?;
    let _id_length = fields.number(2)?;
    let filters_length = fields.number(2)?;
    let flags = fields.number(1)?;
    let _max_object_size = fields.number(4)?;
    let format = fields.format;
    let _next_large_object = fields.length()?;
    btree::name(fields.address()?, &format, found);
    let _free_space = fields.length()?;
    let free_space_header = 18 + 7 * format.length_size + format.address_size;
    found.name(fields.address()?, free_space_header, Structure::Leaf);
    let _statistics = fields.bytes(8 * format.length_size)?;
    let width = fields.number(2)?;
    let first_size = fields.length().filter(|size| size.is_power_of_two())?;
    let max_direct_size = fields.length().filter(|size| size.is_power_of_two())?;
    let offset_bits = fields.number(2)?;
    let _first_rows = fields.number(2)?;
    let root = fields.address()?;
    let root_rows = fields.number(2)?;
    if filters_length > 0 || width == 0 {
        return None;
    }
    let doublings = max_direct_size.ilog2().checked_sub(first_size.ilog2())?;
    let heap = Heap {
        objects,
        has_checksums: flags & HAS_CHECKSUMS != 0,
        offset_size: offset_bits.div_ceil(8),
        width,
        first_size_log2: first_size.ilog2(),
        // The first two rows have blocks of the same size.
        direct_rows: u64::from(doublings) + 2,
    };
    if root_rows == 0 {
        found.name(root, first_size, Structure::DirectBlock(heap));
    } else {
        heap.name_indirect(root, root_rows, &format, found);
    }
    Some(())
}

impl Heap {
    fn name_indirect(self, address: u64, rows: u64, format: &Format, found: &mut Found) {
        let head = 5 + format.address_size + self.offset_size;
        let size = head + rows * self.width * format.address_size + CHECKSUM;
        found.name(address, size, Structure::IndirectBlock { heap: self, rows });
    }

    /// Returns log2 of the size of a block in this row.
    fn size_log2(self, row: u64) -> Option<u32> {
        let size_log2 = self.first_size_log2.checked_add(row.saturating_sub(1).try_into().ok()?)?;
        (size_log2 < u64::BITS).then_some(size_log2)
    }

    pub(super) fn parse_indirect(
        self,
        rows: u64,
        mut fields: Fields<'_>,
        found: &mut Found,
    ) -> Option<()> {
        fields.expect(b"FHIB\0")?;
        let _heap = fields.address()?;
        let _offset = fields.bytes(self.offset_size)?;
        for row in 0..rows {
            let size_log2 = self.size_log2(row)?;
            for _ in 0..self.width {
                let block = fields.address()?;
                if row < self.direct_rows {
                    found.name(block, 1 << size_log2, Structure::DirectBlock(self));
                } else {
                    // Its rows hold as much as one block of this row.
                    let first_row_log2 = self.first_size_log2 + self.width.ilog2();
                    let rows = u64::from(size_log2.checked_sub(first_row_log2)?) + 1;
                    self.name_indirect(block, rows, &fields.format, found);
                }
            }
        }
        Some(())
    }

    pub(super) fn parse_direct(self, mut fields: Fields<'_>, found: &mut Found) -> Option<()> {
        fields.expect(b"FHDB\0")?;
        let _heap = fields.address()?;
        let _offset = fields.bytes(self.offset_size)?;
        let _checksum = fields.bytes(if self.has_checksums { CHECKSUM } else { 0 })?;
        while !fields.is_empty() {
            let mut object = fields.clone();
            let chunk = Chunk::Version2 { has_creation_order: false };
            match self.objects.parse(&mut object, chunk, found) {
                Some(()) => fields = object,
                // Nothing marks free space, so the next object is looked for at every byte. One
                // that is none costs a needless fetch.
                None => drop(fields.bytes(1)?),
            }
        }
        Some(())
    }
}
