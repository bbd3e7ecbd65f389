//! Attribute messages, as far as their values lie elsewhere.

use super::fields::Fields;
use super::place::Found;
use super::{global_heap, object_header};

const VARIABLE_LENGTH: u64 = 9;
const MAX_RANK: u64 = 32;
const IS_TYPE_SHARED: u64 = 0x01;
const IS_SPACE_SHARED: u64 = 0x02;

/// Parses an attribute, and leaves `fields` behind it.
pub(super) fn parse(fields: &mut Fields<'_>, found: &mut Found) -> Option<()> {
    let version = fields.number(1).filter(|version| matches!(version, 1..=3))?;
    let flags = fields.number(1).filter(|flags| *flags < 4)?;
    let sizes = [fields.number(2)?, fields.number(2)?, fields.number(2)?];
    let _character_set = fields.bytes(if version == 3 { 1 } else { 0 })?;
    // In version 1 each part is padded.
    let [name, datatype, dataspace] =
        if version == 1 { sizes.map(|size| size.next_multiple_of(8)) } else { sizes };
    let _name = fields.bytes(name)?;
    let mut datatype = fields.part(datatype)?;
    let dataspace = fields.part(dataspace)?;
    if version > 1 && flags & IS_TYPE_SHARED != 0 {
        object_header::parse_shared(&mut datatype, found)?;
        // Where the value ends is written with its type.
        return None;
    }
    if version > 1 && flags & IS_SPACE_SHARED != 0 {
        return None;
    }
    let class = datatype.number(1)? & 0x0f;
    let _class_bits = datatype.bytes(3)?;
    let element_size = datatype.number(4)?;
    let elements = elements(dataspace)?;
    let mut value = fields.part(elements.checked_mul(element_size)?)?;
    if class == VARIABLE_LENGTH {
        while !value.is_empty() {
            let mut element = value.part(element_size)?;
            let _length = element.number(4)?;
            global_heap::name(element.address()?, found);
        }
    }
    Some(())
}

/// Returns how many elements a dataspace has.
fn elements(mut dataspace: Fields<'_>) -> Option<u64> {
    let version = dataspace.number(1)?;
    let rank = dataspace.number(1).filter(|rank| *rank <= MAX_RANK)?;
    let _flags = dataspace.number(1)?;
    match version {
        1 => drop(dataspace.bytes(5)?),
        2 => {
            const NULL: u64 = 2;
            if dataspace.number(1)? == NULL {
                return Some(0);
            }
        }
        _ => return None,
    }
    (0..rank).try_fold(1, |elements: u64, _| elements.checked_mul(dataspace.length()?))
}
