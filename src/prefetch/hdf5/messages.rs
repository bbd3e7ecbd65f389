//! The messages of object headers and fractal heaps that name other places.

use super::fields::Fields;
use super::object_header::{self, Chunk};
use super::place::{Found, Structure};
use super::{attribute, btree, data_layout, fractal_heap, symbol_table};

const HAS_CREATION_ORDER: u64 = 0x04;
const HAS_LINK_TYPE: u64 = 0x08;
const HAS_CHARACTER_SET: u64 = 0x10;
const MAX_CREATION_ORDER: u64 = 0x01;
const CREATION_ORDER_INDEX: u64 = 0x02;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageType {
    LinkInfo,
    Link,
    DataLayout,
    Attribute,
    Continuation,
    SymbolTable,
    AttributeInfo,
}

impl MessageType {
    /// Returns the type with this number, if it names other places.
    pub(super) fn of(number: u64) -> Option<Self> {
        Some(match number {
            0x02 => Self::LinkInfo,
            0x06 => Self::Link,
            0x08 => Self::DataLayout,
            0x0c => Self::Attribute,
            0x10 => Self::Continuation,
            0x11 => Self::SymbolTable,
            0x15 => Self::AttributeInfo,
            _ => return None,
        })
    }

    /// Parses a message of this type, and leaves `fields` behind it. `chunk` is how an object
    /// header's messages are written.
    pub(super) fn parse(
        self,
        fields: &mut Fields<'_>,
        chunk: Chunk,
        found: &mut Found,
    ) -> Option<()> {
        match self {
            Self::LinkInfo => parse_index(fields, 8, Self::Link, found),
            Self::AttributeInfo => parse_index(fields, 2, Self::Attribute, found),
            Self::Link => parse_link(fields, found),
            Self::DataLayout => data_layout::parse(fields, found),
            Self::Attribute => attribute::parse(fields, found),
            Self::Continuation => {
                let (address, length) = (fields.address()?, fields.length()?);
                found.name(address, length, Structure::HeaderChunk(chunk));
                Some(())
            }
            Self::SymbolTable => {
                let (tree, heap) = (fields.address()?, fields.address()?);
                symbol_table::name(tree, heap, &fields.format, found);
                Some(())
            }
        }
    }
}

/// Parses where the `objects` are, links or attributes, that do not fit an object header. The
/// largest creation order has `order_size` bytes.
fn parse_index(
    fields: &mut Fields<'_>,
    order_size: u64,
    objects: MessageType,
    found: &mut Found,
) -> Option<()> {
    fields.expect(&[0])?;
    let flags = fields.number(1)?;
    fields.bytes(if flags & MAX_CREATION_ORDER == 0 { 0 } else { order_size })?;
    fractal_heap::name(fields.address()?, objects, &fields.format, found);
    btree::name(fields.address()?, &fields.format, found);
    if flags & CREATION_ORDER_INDEX != 0 {
        btree::name(fields.address()?, &fields.format, found);
    }
    Some(())
}

fn parse_link(fields: &mut Fields<'_>, found: &mut Found) -> Option<()> {
    fields.expect(&[1])?;
    let flags = fields.number(1).filter(|flags| *flags < 0x20)?;
    let link_type = if flags & HAS_LINK_TYPE == 0 { 0 } else { fields.number(1)? };
    fields.bytes(if flags & HAS_CREATION_ORDER == 0 { 0 } else { 8 })?;
    fields.bytes(if flags & HAS_CHARACTER_SET == 0 { 0 } else { 1 })?;
    let name_length = fields.number(1 << (flags & 3))?;
    let _name = fields.bytes(name_length)?;
    if link_type == 0 {
        object_header::name(fields.address()?, found);
    } else {
        let length = fields.number(2)?;
        let _value = fields.bytes(length)?;
    }
    Some(())
}
