//! The memory that names take, in bytes, against the limit of the mount.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What all names of a mount take together, and may take.
#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    used: AtomicUsize,
}

/// The memory of one thing that holds names. It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    memory: Arc<Memory>,
    bytes: AtomicUsize,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the bytes that are in use.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Returns by how many bytes the limit is exceeded.
    pub(super) fn excess(&self) -> usize {
        self.used().saturating_sub(self.limit)
    }
}

impl Charge {
    pub(super) fn new(memory: &Arc<Memory>, bytes: usize) -> Self {
        memory.used.fetch_add(bytes, Ordering::Relaxed);
        Self { memory: memory.clone(), bytes: AtomicUsize::new(bytes) }
    }

    /// Changes how many bytes are taken.
    pub(super) fn set(&self, bytes: usize) {
        let before = self.bytes.swap(bytes, Ordering::Relaxed);
        // The sum wraps around to the right one whichever is greater.
        self.memory.used.fetch_add(bytes.wrapping_sub(before), Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_charges_count_together_until_they_are_dropped() {
        let memory = Memory::new(100);
        let (one, other) = (Charge::new(&memory, 60), Charge::new(&memory, 70));
        assert_eq!((memory.used(), memory.excess()), (130, 30));
        one.set(10);
        assert_eq!((memory.used(), memory.excess(), one.bytes()), (80, 0, 10));
        drop(one);
        other.set(75);
        assert_eq!(memory.used(), 75);
        drop(other);
        assert_eq!(memory.used(), 0);
    }
}
