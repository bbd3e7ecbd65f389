//! Object headers, of groups, datasets and named datatypes alike.

use super::fields::Fields;
use super::messages::MessageType;
use super::place::{Found, Structure};

/// How much of an object header is read before its size is known: as much as the HDF5 library
/// reads.
const FIRST_BYTES: u64 = 512;
const SIGNATURE: &[u8] = b"OHDR";
const CHECKSUM: u64 = 4;
const HAS_TIMES: u64 = 0x20;
const HAS_ATTRIBUTE_LIMITS: u64 = 0x10;
const HAS_CREATION_ORDER: u64 = 0x04;
const IS_SHARED: u64 = 0x02;

/// Adds the object header at `address`.
pub(super) fn name(address: u64, found: &mut Found) {
    found.name(address, FIRST_BYTES, Structure::ObjectHeader);
}

pub(super) fn parse(fields: Fields<'_>, found: &mut Found) -> Option<()> {
    let mut version_2 = fields.clone();
    if version_2.expect(SIGNATURE).is_some() {
        parse_version_2(version_2, found)
    } else {
        parse_version_1(fields, found)
    }
}

fn parse_version_1(mut fields: Fields<'_>, found: &mut Found) -> Option<()> {
    fields.expect(&[1, 0])?;
    let _messages = fields.number(2)?;
    let _references = fields.number(4)?;
    let size = fields.number(4)?;
    let _padding = fields.bytes(4)?;
    found.size = Some(16 + size);
    Chunk::Version1.parse_messages(fields, size, found)
}

fn parse_version_2(mut fields: Fields<'_>, found: &mut Found) -> Option<()> {
    fields.expect(&[2])?;
    let flags = fields.number(1)?;
    let times = if flags & HAS_TIMES == 0 { 0 } else { 16 };
    let limits = if flags & HAS_ATTRIBUTE_LIMITS == 0 { 0 } else { 4 };
    fields.bytes(times + limits)?;
    let width = 1 << (flags & 3);
    let size = fields.number(width)?;
    found.size = size.checked_add(6 + times + limits + width + CHECKSUM);
    let has_creation_order = flags & HAS_CREATION_ORDER != 0;
    Chunk::Version2 { has_creation_order }.parse_messages(fields, size, found)
}

/// How the messages of an object header are written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chunk {
    Version1,
    Version2 { has_creation_order: bool },
}

impl Chunk {
    /// Parses a continuation.
    pub(super) fn parse(self, mut fields: Fields<'_>, found: &mut Found) -> Option<()> {
        if let Self::Version2 { .. } = self {
            fields.expect(b"OCHK")?;
        }
        self.parse_messages(fields, u64::MAX, found)
    }

    /// Parses the messages in the first `size` bytes of `fields`, or in all that there are.
    fn parse_messages(self, mut fields: Fields<'_>, size: u64, found: &mut Found) -> Option<()> {
        let mut fields = fields.part(size).unwrap_or(fields);
        loop {
            let (message, size, flags) = match self {
                Self::Version1 => {
                    let header = (fields.number(2)?, fields.number(2)?, fields.number(1)?);
                    let _reserved = fields.bytes(3)?;
                    header
                }
                Self::Version2 { has_creation_order } => {
                    let header = (fields.number(1)?, fields.number(2)?, fields.number(1)?);
                    let _creation_order = fields.bytes(if has_creation_order { 2 } else { 0 })?;
                    header
                }
            };
            let mut body = fields.part(size)?;
            if flags & IS_SHARED != 0 {
                parse_shared(&mut body, found);
            } else if let Some(message) = MessageType::of(message) {
                message.parse(&mut body, self, found);
            }
        }
    }
}

/// Parses what stands for a message that is shared: the address of the object header that has it,
/// unless it is in a heap.
pub(super) fn parse_shared(fields: &mut Fields<'_>, found: &mut Found) -> Option<()> {
    let version = fields.number(1)?;
    let kind = fields.number(1)?;
    match (version, kind) {
        (1, _) => drop(fields.bytes(6)?),
        (2, _) | (3, 2) => {}
        _ => return None,
    }
    name(fields.address()?, found);
    Some(())
}
