//! Where a structure lies, and which one it is.

use std::ops::Range;

use super::btree::{self, Node};
use super::fields::{Fields, Format};
use super::fractal_heap::{self, Heap};
use super::messages::MessageType;
use super::object_header::{self, Chunk};
use super::{MAX_STRUCTURES, data_layout, global_heap, superblock, symbol_table};

/// A structure of which no more is known than what names it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Structure {
    Superblock,
    ObjectHeader,
    /// A continuation of an object header.
    HeaderChunk(Chunk),
    /// A node of a version 1 B-tree, whose leaves are symbol table nodes.
    GroupTree,
    SymbolNode,
    LocalHeap,
    /// A fractal heap of messages of this type.
    FractalHeap(MessageType),
    IndirectBlock {
        heap: Heap,
        rows: u64,
    },
    DirectBlock(Heap),
    /// A version 2 B-tree.
    Tree,
    TreeNode(Node),
    GlobalHeap,
    /// A node of the version 1 B-tree of a dataset's chunks.
    ChunkTree {
        dimensions: u64,
    },
    /// The header of another index of a dataset's chunks.
    ChunkIndex,
    /// Something that readers need, and of which no other place is to be learned.
    Leaf,
}

impl Structure {
    /// Returns whether only a reader of data, or of the size of data, needs this structure.
    pub(super) fn is_chunk_index(self) -> bool {
        matches!(self, Self::ChunkTree { .. } | Self::ChunkIndex)
    }

    /// Adds to `found` what a structure that begins with `bytes` says. Ends early, with what was
    /// found until then, where the bytes end or are not those of such a structure.
    pub(super) fn parse(self, bytes: &[u8], format: Format, found: &mut Found) -> Option<()> {
        let fields = Fields::new(bytes, format);
        match self {
            Self::Superblock => superblock::parse(bytes, found),
            Self::ObjectHeader => object_header::parse(fields, found),
            Self::HeaderChunk(chunk) => chunk.parse(fields, found),
            Self::GroupTree => symbol_table::parse_tree(fields, found),
            Self::SymbolNode => symbol_table::parse_node(fields, found),
            Self::LocalHeap => symbol_table::parse_heap(fields, found),
            Self::FractalHeap(objects) => fractal_heap::parse(objects, fields, found),
            Self::IndirectBlock { heap, rows } => heap.parse_indirect(rows, fields, found),
            Self::DirectBlock(heap) => heap.parse_direct(fields, found),
            Self::Tree => btree::parse(fields, found),
            Self::TreeNode(node) => node.parse(fields, found),
            Self::GlobalHeap => global_heap::parse(fields, found),
            Self::ChunkTree { dimensions } => data_layout::parse_tree(dimensions, fields, found),
            Self::Leaf | Self::ChunkIndex => Some(()),
        }
    }
}

/// A structure and the bytes that it lies in, or the first of them if its size is in itself.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) range: Range<u64>,
    pub(super) structure: Structure,
}

/// What a structure says.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) places: Vec<Place>,
    /// The size of the structure itself, in bytes.
    pub(super) size: Option<u64>,
    /// What a superblock says of the other structures.
    pub(super) format: Option<Format>,
}

impl Found {
    /// Adds a structure of `size` bytes, unless there are more than are followed in a whole file.
    pub(super) fn name(&mut self, address: u64, size: u64, structure: Structure) {
        if self.places.len() < MAX_STRUCTURES {
            self.places.push(Place { range: address..address.saturating_add(size), structure });
        }
    }
}
