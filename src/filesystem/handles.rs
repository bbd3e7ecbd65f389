//! Numbers for what the kernel has open.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Open things by number.
#[derive(Debug)]
pub(super) struct Handles<T> {
    open: Mutex<Open<T>>,
}

#[derive(Debug)]
struct Open<T> {
    things: HashMap<u64, T>,
    last: u64,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self { open: Mutex::new(Open { things: HashMap::new(), last: 0 }) }
    }
}

impl<T: Clone> Handles<T> {
    pub(super) fn put(&self, thing: T) -> u64 {
        let mut open = self.open();
        open.last += 1;
        let number = open.last;
        open.things.insert(number, thing);
        number
    }

    pub(super) fn get(&self, number: u64) -> Option<T> {
        self.open().things.get(&number).cloned()
    }

    pub(super) fn take(&self, number: u64) {
        self.open().things.remove(&number);
    }

    fn open(&self) -> MutexGuard<'_, Open<T>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
