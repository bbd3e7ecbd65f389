//! How many pages S3 is asked for at once: fewer when it asks to slow down, more again as it
//! answers.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// S3 serves thousands a second; a page costs milliseconds of this machine's time.
const MOST: usize = 16;
/// Requests of one volley fail together, and count as one complaint.
const VOLLEY: Duration = Duration::from_millis(200);

/// Halved by a fault, one more after as many answers as there are requests at once (the way of
/// TCP).
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    at_once: usize,
    answers: usize,
    slowed: Option<Instant>,
}

impl Default for ConcurrencyLimit {
    fn default() -> Self {
        Self { state: Mutex::new(State { at_once: MOST, answers: 0, slowed: None }) }
    }
}

impl ConcurrencyLimit {
    pub(super) fn at_once(&self) -> usize {
        self.state().at_once
    }

    pub(super) fn slow_down(&self, now: Instant) {
        let mut state = self.state();
        if state.slowed.is_none_or(|slowed| now.saturating_duration_since(slowed) > VOLLEY) {
            *state = State { at_once: (state.at_once / 2).max(1), answers: 0, slowed: Some(now) };
        }
    }

    pub(super) fn answered(&self) {
        let mut state = self.state();
        state.answers += 1;
        if state.answers >= state.at_once && state.at_once < MOST {
            state.at_once += 1;
            state.answers = 0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_leads_to_one_at_a_time_and_answers_lead_back() {
        let (pace, mut now) = (ConcurrencyLimit::default(), Instant::now());
        assert_eq!(pace.at_once(), MOST);
        for _ in 0..MOST {
            pace.slow_down(now);
        }
        assert_eq!(pace.at_once(), MOST / 2, "one volley");
        for _ in 0..10 {
            now += VOLLEY * 2;
            pace.slow_down(now);
        }
        assert_eq!(pace.at_once(), 1);
        pace.answered();
        assert_eq!(pace.at_once(), 2);
        for _ in 0..1000 {
            pace.answered();
        }
        assert_eq!(pace.at_once(), MOST);
    }
}
