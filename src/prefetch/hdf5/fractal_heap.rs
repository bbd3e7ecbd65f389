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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_large_blocks_are_indirect_blocks_of_as_many_bytes() {
        let heap = Heap {
            objects: MessageType::Link,
            has_checksums: true,
            offset_size: 4,
            width: 2,
            first_size_log2: 9,
            direct_rows: 3,
        };
        let mut bytes = [&b"FHIB\0"[..], &[0; 8], &[0; 4]].concat();
        for address in 1..=8_u64 {
            bytes.extend((address << 20).to_le_bytes());
        }
        let mut found = Found::default();
        heap.parse_indirect(4, Fields::new(&bytes, Format::default()), &mut found);
        let blocks = found.places.iter().map(|place| {
            let rows = match place.structure {
                Structure::IndirectBlock { rows, .. } => rows,
                _ => 0,
            };
            (place.range.start >> 20, place.range.end - place.range.start, rows)
        });
        // Two rows of two blocks of 512 bytes are one block of the fourth row, which has 2,048.
        let indirect = 5 + 8 + 4 + 2 * 2 * 8 + 4;
        let direct =
            [(1, 512, 0), (2, 512, 0), (3, 512, 0), (4, 512, 0), (5, 1024, 0), (6, 1024, 0)];
        let expected = [&direct[..], &[(7, indirect, 2), (8, indirect, 2)]].concat();
        assert_eq!(blocks.collect::<Vec<_>>(), expected);
    }
}
