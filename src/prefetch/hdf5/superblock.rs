//! The superblock, with which the metadata begins.

use super::fields::{Fields, Format};
use super::place::Found;
use super::{object_header, symbol_table};

const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";
/// The places of a superblock: the start, or behind a user block of one of these sizes.
const BASES: [u64; 4] = [0, 512, 1024, 2048];
/// The bytes from the start of the file that hold each of these superblocks.
pub(super) const SIZE: u64 = 4096;

/// Parses the superblock in `head`, which are the first bytes of the file.
pub(super) fn parse(head: &[u8], found: &mut Found) -> Option<()> {
    BASES.into_iter().find_map(|base| {
        let mut fields = Fields::new(head, Format { base, ..Format::default() });
        fields.bytes(base)?;
        fields.expect(SIGNATURE)?;
        parse_version(fields, found)
    })
}

fn parse_version(mut fields: Fields<'_>, found: &mut Found) -> Option<()> {
    let version = fields.number(1)?;
    match version {
        // Versions of other structures.
        0 | 1 => fields.bytes(4)?,
        2 | 3 => fields.bytes(0)?,
        _ => return None,
    };
    fields.format.address_size = fields.number(1).filter(is_size)?;
    fields.format.length_size = fields.number(1).filter(is_size)?;
    // Flags, or reserved.
    fields.bytes(1)?;
    if version < 2 {
        fields.format.symbol_node_entries = 2 * fields.number(2)?;
        fields.format.group_tree_children = 2 * fields.number(2)?;
        let _flags = fields.bytes(4)?;
    }
    if version == 1 {
        fields.format.chunk_tree_children = 2 * fields.number(2)?;
        let _reserved = fields.bytes(2)?;
    }
    found.format = Some(fields.format);
    let _base = fields.address()?;
    // Of the free space, or of the superblock's extension.
    let extension = fields.address()?;
    let _end_of_file = fields.address()?;
    if version < 2 {
        let _driver_information = fields.address()?;
        return symbol_table::parse_entry(&mut fields, found);
    }
    object_header::name(fields.address()?, found);
    object_header::name(extension, found);
    Some(())
}

fn is_size(size: &u64) -> bool {
    matches!(size, 2 | 4 | 8)
}
