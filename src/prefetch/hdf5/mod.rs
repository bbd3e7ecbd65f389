//! The places of an HDF5 file that describe its objects.
//!
//! A reader of such a file follows addresses: the superblock names the root group, a group's trees
//! and heaps name its members, and an object header names its continuations and the heaps of its
//! attributes. Each address is known only once the structure before it was read. [`Metadata`]
//! follows them all at once, a level at a time, without the data.
//!
//! | module | structures |
//! |---|---|
//! | `superblock` | superblocks of versions 0 to 3 |
//! | `object_header` | object headers of versions 1 and 2, with their continuations |
//! | `messages` | the messages of a header that name other places |
//! | `attribute` | attributes, and where their values of variable length are |
//! | `data_layout` | the indices of the chunks of a dataset |
//! | `symbol_table` | groups of the old style: version 1 B-trees, symbol table nodes, local heaps |
//! | `fractal_heap`, `btree` | groups and attributes of the new style |
//! | `global_heap` | values of variable length |
//!
//! The layouts are those of the "HDF5 File Format Specification", version 3.0. Where a structure is
//! not as it says, the rest of that structure is ignored: what was fetched for it was for nothing.

mod attribute;
mod btree;
mod data_layout;
mod fields;
mod fractal_heap;
mod global_heap;
mod messages;
mod object_header;
mod place;
mod superblock;
mod symbol_table;

use std::collections::{HashSet, VecDeque};
use std::mem::{Discriminant, discriminant};
use std::ops::Range;

use fields::Format;
use place::{Found, Place, Structure};

/// The most structures that are followed. Products of many objects have a few thousand.
const MAX_STRUCTURES: usize = 20_000;
/// The most bytes that are wanted of a file.
const MAX_BYTES: u64 = 32 << 20;
/// The longest structure that is followed. Beyond it are only heaps of very many names.
const MAX_STRUCTURE_BYTES: u64 = 1 << 20;
/// The longest way from the superblock. Each group on it takes two or three steps, and each
/// continuation of a header takes one.
const MAX_DEPTH: u32 = 64;

/// The metadata of one HDF5 file, as far as it is known.
#[derive(Debug)]
pub(super) struct Metadata {
    /// The size of the file, in bytes.
    size: u64,
    format: Format,
    /// Structures that were not parsed yet, with how many steps they are from the superblock.
    wanted: VecDeque<(Place, u32)>,
    /// All that was ever wanted.
    known: HashSet<(u64, Discriminant<Structure>)>,
    /// The bytes of all that was ever wanted.
    bytes: u64,
}

impl Metadata {
    /// Returns what is known of a file of `size` bytes before anything of it was read.
    pub(super) fn new(size: u64) -> Self {
        let mut metadata = Self {
            size,
            format: Format::default(),
            wanted: VecDeque::new(),
            known: HashSet::new(),
            bytes: 0,
        };
        let superblock = Place { range: 0..superblock::SIZE, structure: Structure::Superblock };
        metadata.want(superblock, 0);
        metadata
    }

    /// Returns the ranges of bytes that the known structures of objects lie in and that were not
    /// parsed yet, those nearest to the superblock first. They are not empty, lie in the file, and
    /// may overlap.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &Range<u64>> {
        self.unparsed(false)
    }

    /// Returns what is wanted to find chunks of data, as [`Self::wanted`] does for objects. Readers
    /// of names and attributes do without, but h5py's `visititems` reads it too.
    pub(super) fn wanted_chunk_indices(&self) -> impl Iterator<Item = &Range<u64>> {
        self.unparsed(true)
    }

    fn unparsed(&self, is_chunk_index: bool) -> impl Iterator<Item = &Range<u64>> {
        let unparsed = self.wanted.iter().map(|(place, _)| place);
        unparsed
            .filter(move |place| place.structure.is_chunk_index() == is_chunk_index)
            .map(|place| &place.range)
    }

    /// Parses each wanted structure whose bytes `read` returns, then those that it names, and so
    /// on. `read` returns all bytes of a range, or `None` if they are not there yet. It is called
    /// once for each range that is wanted, of chunk indices too.
    pub(super) fn advance<B: AsRef<[u8]>>(
        &mut self,
        mut read: impl FnMut(&Range<u64>) -> Option<B>,
    ) {
        let mut missing = VecDeque::new();
        while let Some((place, depth)) = self.wanted.pop_front() {
            match read(&place.range) {
                Some(bytes) => self.parse(place, bytes.as_ref(), depth),
                None => missing.push_back((place, depth)),
            }
        }
        self.wanted = missing;
    }

    fn parse(&mut self, place: Place, bytes: &[u8], depth: u32) {
        let mut found = Found::default();
        place.structure.parse(bytes, self.format, &mut found);
        self.format = found.format.unwrap_or(self.format);
        if let Some(size) = found.size {
            let end = place.range.start.saturating_add(size).min(self.size);
            if end > place.range.end {
                self.grow(Place { range: place.range.start..end, ..place }, place.range.end, depth);
            }
        }
        for named in found.places {
            self.want(named, depth + 1);
        }
    }

    /// Adds a structure, unless it is known or beyond the limits.
    fn want(&mut self, mut place: Place, depth: u32) {
        let start = place.range.start;
        let is_valid = start < self.size && place.range.end > start && depth <= MAX_DEPTH;
        let has_room = self.known.len() < MAX_STRUCTURES;
        if is_valid && has_room && self.known.insert((start, discriminant(&place.structure))) {
            place.range.end = place.range.end.min(self.size);
            self.grow(place, start, depth);
        }
    }

    /// Adds a structure of which the bytes before `from` were already wanted.
    fn grow(&mut self, place: Place, from: u64, depth: u32) {
        let bytes = self.bytes + (place.range.end - from);
        if place.range.end - place.range.start <= MAX_STRUCTURE_BYTES && bytes <= MAX_BYTES {
            self.bytes = bytes;
            self.wanted.push_back((place, depth));
        }
    }
}

#[cfg(test)]
mod tests;
