//! The operations that wait for an answer, for people who ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// An operation that takes less than this is not worth a word.
const LONG: Duration = Duration::from_secs(3);

/// The operations that wait, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct WaitingOperations {
    began: AtomicU64,
    by_number: Mutex<BTreeMap<u64, Operation>>,
}

#[derive(Clone, Copy, Debug)]
struct Operation {
    node: u64,
    since: Instant,
}

/// The operations that have waited for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LongWaits {
    pub(super) count: usize,
    /// What the oldest has waited, and the node that it is about.
    pub(super) longest: Duration,
    pub(super) node: u64,
}

/// An operation that waits until this is dropped.
#[derive(Debug)]
pub(super) struct Wait {
    operations: Arc<WaitingOperations>,
    number: u64,
}

impl WaitingOperations {
    /// Records that an operation on `node` waits from `now` on.
    pub(super) fn begin(self: &Arc<Self>, node: u64, now: Instant) -> Wait {
        let number = self.began.fetch_add(1, Ordering::Relaxed);
        self.by_number.lock().insert(number, Operation { node, since: now });
        Wait { operations: self.clone(), number }
    }

    pub(super) fn long(&self, now: Instant) -> Option<LongWaits> {
        let operations = self.by_number.lock();
        let waited = |operation: &Operation| now.saturating_duration_since(operation.since);
        let long = operations.values().filter(|operation| waited(operation) >= LONG);
        let count = long.clone().count();
        let oldest = long.min_by_key(|operation| operation.since)?;
        Some(LongWaits { count, longest: waited(oldest), node: oldest.node })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.operations.by_number.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_told_of_while_it_waits_for_long() {
        let (operations, start) = (Arc::<WaitingOperations>::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let first = operations.begin(7, at(0));
        let _second = operations.begin(8, at(1));
        assert_eq!(operations.long(at(2)), None);
        let long = |count, longest, node| {
            Some(LongWaits { count, longest: Duration::from_secs(longest), node })
        };
        assert_eq!(operations.long(at(3)), long(1, 3, 7));
        assert_eq!(operations.long(at(5)), long(2, 5, 7));
        drop(first);
        assert_eq!(operations.long(at(5)), long(1, 4, 8));
    }
}
