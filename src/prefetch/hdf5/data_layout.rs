//! Data layout messages, and the indices of chunked data that they name.
//!
//! A version 1 B-tree is followed to its leaves. Of every other index only the header is read. The
//! chunks themselves are data.

use super::fields::{Fields, Format};
use super::global_heap;
use super::place::{Found, Structure};

const CHUNKED: u64 = 2;
const VIRTUAL: u64 = 3;
const CHUNK_NODE: u8 = 1;
/// More bytes than the header of any index but a version 1 B-tree has.
const INDEX_HEADER_BYTES: u64 = 80;

/// Adds what is between an object header and the data.
pub(super) fn parse(fields: &mut Fields<'_>, found: &mut Found) -> Option<()> {
    match fields.number(1)? {
        1 | 2 => {
            let dimensions = fields.number(1)?;
            let class = fields.number(1)?;
            let _reserved = fields.bytes(5)?;
            if class == CHUNKED {
                name_tree(fields.address()?, dimensions, &fields.format, found);
            }
        }
        3 => {
            if fields.number(1)? == CHUNKED {
                let dimensions = fields.number(1)?;
                name_tree(fields.address()?, dimensions, &fields.format, found);
            }
        }
        4 => match fields.number(1)? {
            CHUNKED => parse_chunked(fields, found)?,
            VIRTUAL => global_heap::name(fields.address()?, found),
            _ => {}
        },
        _ => return None,
    }
    Some(())
}

/// Parses what version 4 says of chunked data.
fn parse_chunked(fields: &mut Fields<'_>, found: &mut Found) -> Option<()> {
    let _flags = fields.number(1)?;
    let dimensions = fields.number(1)?;
    let dimension_size = fields.number(1)?;
    let _dimensions = fields.bytes(dimensions * dimension_size)?;
    let parameters = match fields.number(1)? {
        // A fixed array, an extensible array, a version 2 B-tree.
        3 => 1,
        4 => 5,
        5 => 6,
        // One chunk, or chunks in a row: there is no index.
        _ => return Some(()),
    };
    let _parameters = fields.bytes(parameters)?;
    found.name(fields.address()?, INDEX_HEADER_BYTES, Structure::ChunkIndex);
    Some(())
}

fn name_tree(address: u64, dimensions: u64, format: &Format, found: &mut Found) {
    let children = format.chunk_tree_children;
    let key = 8 + 8 * dimensions;
    let size = 8 + (children + 2) * format.address_size + (children + 1) * key;
    found.name(address, size, Structure::ChunkTree { dimensions });
}

/// Parses a node of the version 1 B-tree of chunks with this many dimensions, the element's among
/// them.
pub(super) fn parse_tree(dimensions: u64, mut fields: Fields<'_>, found: &mut Found) -> Option<()> {
    fields.expect(b"TREE")?;
    fields.expect(&[CHUNK_NODE])?;
    let level = fields.number(1)?;
    let children = fields.number(2)?;
    let _siblings = [fields.address()?, fields.address()?];
    if level > 0 {
        for _ in 0..children {
            let _key = fields.bytes(8 + 8 * dimensions)?;
            name_tree(fields.address()?, dimensions, &fields.format, found);
        }
    }
    Some(())
}
