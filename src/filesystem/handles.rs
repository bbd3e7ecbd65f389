//! Handles: numbers for what the kernel has open.

use std::collections::HashMap;

use parking_lot::Mutex;

/// Open files or directories by their handles.
#[derive(Debug)]
pub(super) struct Handles<T> {
    table: Mutex<Table<T>>,
}

#[derive(Debug)]
struct Table<T> {
    open: HashMap<u64, T>,
    last: u64,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self { table: Mutex::new(Table { open: HashMap::new(), last: 0 }) }
    }
}

impl<T: Clone> Handles<T> {
    /// Returns a handle for `value` that was never given out before.
    pub(super) fn insert(&self, value: T) -> u64 {
        let mut table = self.table.lock();
        table.last += 1;
        let handle = table.last;
        table.open.insert(handle, value);
        handle
    }

    pub(super) fn get(&self, handle: u64) -> Option<T> {
        self.table.lock().open.get(&handle).cloned()
    }

    pub(super) fn remove(&self, handle: u64) {
        // The value is dropped after the lock is released, since closing it may take other locks.
        let removed = self.table.lock().open.remove(&handle);
        drop(removed);
    }
}
