//! Global heap collections, which hold values of variable length.

use super::fields::Fields;
use super::place::{Found, Structure};

/// The least size of a collection.
const FIRST_BYTES: u64 = 4096;

/// Adds the collection at `address`.
pub(super) fn name(address: u64, found: &mut Found) {
    found.name(address, FIRST_BYTES, Structure::GlobalHeap);
}

pub(super) fn parse(mut fields: Fields<'_>, found: &mut Found) -> Option<()> {
    fields.expect(b"GCOL\x01")?;
    let _reserved = fields.bytes(3)?;
    found.size = Some(fields.length()?);
    Some(())
}
