//! The little-endian fields of a structure.

/// What the superblock says that the fields of all other structures depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    /// Where the superblock lies: addresses count from there.
    pub(super) base: u64,
    /// Bytes of an address.
    pub(super) address_size: u64,
    /// Bytes of a length.
    pub(super) length_size: u64,
    /// Entries that a symbol table node has room for.
    pub(super) symbol_node_entries: u64,
    /// Children that a node of a group's version 1 B-tree has room for.
    pub(super) group_tree_children: u64,
    /// Children that a node of the version 1 B-tree of a dataset's chunks has room for.
    pub(super) chunk_tree_children: u64,
}

impl Default for Format {
    /// Returns what the HDF5 library writes unless it is told otherwise.
    fn default() -> Self {
        Self {
            base: 0,
            address_size: 8,
            length_size: 8,
            symbol_node_entries: 8,
            group_tree_children: 32,
            chunk_tree_children: 64,
        }
    }
}

/// The fields of a structure that were not read yet. Whatever would go beyond the bytes at hand is
/// `None`, and leaves the fields as they were.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    pub(super) format: Format,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], format: Format) -> Self {
        Self { rest: bytes, format }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn bytes(&mut self, count: u64) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(usize::try_from(count).ok()?)?;
        self.rest = rest;
        Some(bytes)
    }

    /// Returns the next `count` bytes as fields of their own.
    pub(super) fn part(&mut self, count: u64) -> Option<Self> {
        Some(Self { rest: self.bytes(count)?, ..*self })
    }

    /// Returns an unsigned number of `size` bytes, which are at most 8.
    pub(super) fn number(&mut self, size: u64) -> Option<u64> {
        let bytes = self.bytes(size)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    pub(super) fn length(&mut self) -> Option<u64> {
        self.number(self.format.length_size)
    }

    /// Returns an address as a place in the file, and the undefined address as `u64::MAX`, which is
    /// outside of every file.
    pub(super) fn address(&mut self) -> Option<u64> {
        let address = self.number(self.format.address_size)?;
        let is_undefined = address.count_ones() == self.format.address_size as u32 * 8;
        Some(if is_undefined { u64::MAX } else { address.saturating_add(self.format.base) })
    }

    /// Passes over `expected`, or returns `None` if something else is there.
    pub(super) fn expect(&mut self, expected: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }
}
