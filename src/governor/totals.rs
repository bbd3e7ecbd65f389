//! What became of all guesses of a mount, by kind.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Kind;

/// Bytes of the guesses of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Asked for.
    pub granted: u64,
    /// Read by somebody afterwards.
    pub read: u64,
    /// Evicted, or their file closed, before anybody read them.
    pub wasted: u64,
}

/// [`Totals`] that are being counted.
#[derive(Debug, Default)]
pub(super) struct Books {
    of_kinds: [Counters; Kind::ALL.len()],
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) granted: AtomicU64,
    pub(super) read: AtomicU64,
    pub(super) wasted: AtomicU64,
}

impl Books {
    pub(super) fn of(&self, kind: Kind) -> &Counters {
        &self.of_kinds[kind as usize]
    }

    pub(super) fn totals(&self, kind: Kind) -> Totals {
        let Counters { granted, read, wasted } = self.of(kind);
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals { granted: load(granted), read: load(read), wasted: load(wasted) }
    }
}
