//! Faults that come again and again, and are logged now and then.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::weighted_lru::WeightedLru;

/// A fault is logged once in this time: often enough for who looks at the log, seldom enough for
/// who reads it.
const PAUSE: Duration = Duration::from_secs(300);
/// Faults that are told apart.
const REMEMBERED: usize = 1000;

/// What was logged lately, by its cause.
#[derive(Debug)]
pub(super) struct LogDedup {
    told: Mutex<WeightedLru<String, Told>>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    /// How often it came since, and was not logged.
    hidden: u64,
}

impl Default for LogDedup {
    fn default() -> Self {
        Self { told: Mutex::new(WeightedLru::new(REMEMBERED)) }
    }
}

impl LogDedup {
    /// Takes note of a fault at `now`. Where it is to be logged, answers how often it came since it
    /// last was.
    pub(super) fn note(&self, cause: String, now: Instant) -> Option<u64> {
        let mut told = self.told();
        match told.remove(&cause) {
            Some(Told { at, hidden }) if now.saturating_duration_since(at) < PAUSE => {
                told.insert(cause, Told { at, hidden: hidden + 1 }, 1);
                None
            }
            before => {
                told.insert(cause, Told { at: now, hidden: 0 }, 1);
                Some(before.map_or(0, |told| told.hidden))
            }
        }
    }

    /// Logs how often faults came that were not logged, when no other will come.
    pub(super) fn end(&self) {
        for (cause, hidden) in self.rest() {
            tracing::warn!(cause, hidden, "came again");
        }
    }

    fn rest(&self) -> Vec<(String, u64)> {
        let mut told = self.told();
        let all = std::iter::from_fn(|| told.pop());
        all.filter(|(_, told)| told.hidden > 0).map(|(cause, told)| (cause, told.hidden)).collect()
    }

    fn told(&self) -> MutexGuard<'_, WeightedLru<String, Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "A read that fails later for such a reason leaves one clear log line, not one per read"
    /// (issue 5, item 6).
    #[test]
    fn a_fault_is_logged_once_in_a_while_with_how_often_it_came() {
        let (repeats, start) = (LogDedup::default(), Instant::now());
        let note =
            |cause: &str, seconds| repeats.note(cause.into(), start + Duration::from_secs(seconds));
        assert_eq!(
            [note("a", 0), note("a", 1), note("b", 1), note("a", 299)],
            [Some(0), None, Some(0), None]
        );
        assert_eq!([note("a", 300), note("b", 302), note("a", 301)], [Some(2), Some(0), None]);
        assert_eq!(repeats.rest(), [("a".into(), 1)]);
        for number in 0..REMEMBERED {
            note(&number.to_string(), 302);
        }
        assert_eq!(note("a", 302), Some(0), "what was not seen for longest makes room");
    }
}
