//! Groups of the old style: a version 1 B-tree of symbol table nodes, and a heap of names.

use super::fields::{Fields, Format};
use super::object_header;
use super::place::{Found, Structure};

/// How much of a local heap is read before its size is known: as much as the HDF5 library reads,
/// since the names often follow.
const HEAP_FIRST_BYTES: u64 = 512;
/// A symbol table entry's type whose scratch pad has the group's own addresses.
const IS_GROUP: u64 = 1;
const GROUP_NODE: u8 = 0;

/// Adds the tree and the heap of a group.
pub(super) fn name(tree: u64, heap: u64, format: &Format, found: &mut Found) {
    name_tree(tree, format, found);
    found.name(heap, HEAP_FIRST_BYTES, Structure::LocalHeap);
}

fn name_tree(address: u64, format: &Format, found: &mut Found) {
    let children = format.group_tree_children;
    let addresses = (children + 2) * format.address_size;
    let size = 8 + addresses + (children + 1) * format.length_size;
    found.name(address, size, Structure::GroupTree);
}

pub(super) fn parse_tree(mut fields: Fields<'_>, found: &mut Found) -> Option<()> {
    fields.expect(b"TREE")?;
    fields.expect(&[GROUP_NODE])?;
    let level = fields.number(1)?;
    let children = fields.number(2)?;
    let _siblings = [fields.address()?, fields.address()?];
    let format = fields.format;
    let node_size = 8 + format.symbol_node_entries * (2 * format.address_size + 24);
    for _ in 0..children {
        let _key = fields.length()?;
        let child = fields.address()?;
        if level == 0 {
            found.name(child, node_size, Structure::SymbolNode);
        } else {
            name_tree(child, &format, found);
        }
    }
    Some(())
}

pub(super) fn parse_node(mut fields: Fields<'_>, found: &mut Found) -> Option<()> {
    fields.expect(b"SNOD\x01\0")?;
    for _ in 0..fields.number(2)? {
        parse_entry(&mut fields, found)?;
    }
    Some(())
}

pub(super) fn parse_entry(fields: &mut Fields<'_>, found: &mut Found) -> Option<()> {
    let _name = fields.number(fields.format.address_size)?;
    object_header::name(fields.address()?, found);
    let entry_type = fields.number(4)?;
    let _reserved = fields.bytes(4)?;
    let mut scratch_pad = fields.part(16)?;
    if entry_type == IS_GROUP {
        let (tree, heap) = (scratch_pad.address()?, scratch_pad.address()?);
        name(tree, heap, &fields.format, found);
    }
    Some(())
}

pub(super) fn parse_heap(mut fields: Fields<'_>, found: &mut Found) -> Option<()> {
    fields.expect(b"HEAP\0")?;
    let _reserved = fields.bytes(3)?;
    let size = fields.length()?;
    let _free = fields.length()?;
    found.name(fields.address()?, size, Structure::Leaf);
    Some(())
}
