//! The kinds of guesses, and what each costs and earns.

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What a byte earns that keeps a stream busy. Such guesses go on while a quarter of them is read.
const OF_THROUGHPUT: u64 = 3;
/// What a byte earns that saves a round trip. At 30 ms and 90 MiB/s over a connection, that is
/// worth 2.7 MiB, of which a read takes some 64 KiB.
const OF_LATENCY: u64 = 64;

/// What a guess is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Reads that go on where another one ended.
    Stream,
    /// Reads at distances that repeat.
    Stride,
    /// What lies around a read, and is fetched with it.
    ReadAround,
    /// The end of a file whose format keeps something there.
    FileTail,
    /// Files that are read one after the other.
    NextFile,
    /// An object whose missing reads cost as much as all of it.
    WholeObject,
    /// What was read first of another file of the same product.
    FirstReads,
    /// What the metadata of an HDF5 file names.
    Hdf5Metadata,
}

impl Kind {
    pub(super) const ALL: [Self; 8] = [
        Self::Stream,
        Self::Stride,
        Self::ReadAround,
        Self::FileTail,
        Self::NextFile,
        Self::WholeObject,
        Self::FirstReads,
        Self::Hdf5Metadata,
    ];

    /// Returns the kind's name in statistics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Stride => "stride",
            Self::ReadAround => "read_around",
            Self::FileTail => "file_tail",
            Self::NextFile => "next_file",
            Self::WholeObject => "whole_object",
            Self::FirstReads => "first_reads",
            Self::Hdf5Metadata => "hdf5_metadata",
        }
    }

    /// Returns the first balance of a purse, bytes, when `wanted` are proposed.
    pub(super) fn first_balance(self, wanted: u64) -> u64 {
        match self {
            Self::Stream => 16 * MIB,
            Self::NextFile | Self::Stride => 2 * MIB,
            Self::FirstReads | Self::Hdf5Metadata | Self::ReadAround => MIB,
            Self::FileTail => 512 * KIB,
            // One of them tells whether they are worth it.
            Self::WholeObject => wanted,
        }
    }

    /// Returns the largest balance, bytes.
    pub(super) fn largest_balance(self, wanted: u64) -> u64 {
        match self {
            Self::Stream => 256 * MIB,
            Self::NextFile => 64 * MIB,
            Self::Stride | Self::Hdf5Metadata => 32 * MIB,
            Self::ReadAround => 16 * MIB,
            Self::FirstReads => 8 * MIB,
            Self::FileTail => 4 * MIB,
            Self::WholeObject => wanted.saturating_mul(2),
        }
    }

    /// Returns how many bytes a guessed byte adds to the balance when it is read.
    pub(super) fn gain(self) -> u64 {
        match self {
            Self::Stream | Self::NextFile => OF_THROUGHPUT,
            _ => OF_LATENCY,
        }
    }

    /// Returns whether a part of a guess is worth nothing.
    pub(super) fn is_indivisible(self) -> bool {
        self == Self::WholeObject
    }
}
