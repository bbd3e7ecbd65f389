//! Deduplication of the log: a fault that comes again and again is logged once in a while.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::weighted_lru::WeightedLru;

/// A fault with the same cause is logged once in this time: often enough to be found in a log that
/// somebody looks at now, seldom enough not to fill it.
const INTERVAL: Duration = Duration::from_secs(300);
/// The number of causes that are told apart; the one that was not seen for longest makes room.
const MAX_CAUSES: usize = 1000;

/// The faults that were logged lately, by their causes.
#[derive(Debug)]
pub(super) struct LogDedup {
    logged: Mutex<WeightedLru<String, Logged>>,
}

#[derive(Debug)]
struct Logged {
    at: Instant,
    /// How often the fault came since then, and was not logged.
    suppressed: u64,
}

impl Default for LogDedup {
    fn default() -> Self {
        Self { logged: Mutex::new(WeightedLru::new(MAX_CAUSES)) }
    }
}

impl LogDedup {
    /// Counts a fault at `now`. If it is to be logged, returns how often it was suppressed since
    /// it was last logged.
    pub(super) fn record(&self, cause: String, now: Instant) -> Option<u64> {
        let mut logged = self.logged.lock();
        match logged.remove(&cause) {
            Some(Logged { at, suppressed }) if now.saturating_duration_since(at) < INTERVAL => {
                logged.insert(cause, Logged { at, suppressed: suppressed + 1 }, 1);
                None
            }
            before => {
                logged.insert(cause, Logged { at: now, suppressed: 0 }, 1);
                Some(before.map_or(0, |logged| logged.suppressed))
            }
        }
    }

    /// Logs how often faults were suppressed, at the end of the mount.
    pub(super) fn flush(&self) {
        for (cause, suppressed) in self.take_suppressed() {
            tracing::warn!(cause, suppressed, "repeated failures");
        }
    }

    fn take_suppressed(&self) -> Vec<(String, u64)> {
        let mut logged = self.logged.lock();
        std::iter::from_fn(|| logged.pop())
            .filter(|(_, logged)| logged.suppressed > 0)
            .map(|(cause, logged)| (cause, logged.suppressed))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads that fail for one reason leave one line in the log, not one line each.
    #[test]
    fn a_fault_is_logged_once_in_a_while_with_how_often_it_came() {
        let (dedup, start) = (LogDedup::default(), Instant::now());
        let record =
            |cause: &str, seconds| dedup.record(cause.into(), start + Duration::from_secs(seconds));
        assert_eq!(
            [record("a", 0), record("a", 1), record("b", 1), record("a", 299)],
            [Some(0), None, Some(0), None]
        );
        assert_eq!(
            [record("a", 300), record("b", 302), record("a", 301)],
            [Some(2), Some(0), None]
        );
        assert_eq!(dedup.take_suppressed(), [("a".into(), 1)]);
        for number in 0..MAX_CAUSES {
            record(&number.to_string(), 302);
        }
        assert_eq!(record("a", 302), Some(0), "the cause not seen for longest makes room");
    }
}
