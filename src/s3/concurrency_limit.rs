//! How many pages S3 is asked for at once: fewer when it asks to slow down, more again as it
//! answers.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

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
        self.state.lock().at_once
    }

    pub(super) fn record_fault(&self, now: Instant) {
        let mut state = self.state.lock();
        if state.slowed.is_none_or(|slowed| now.saturating_duration_since(slowed) > VOLLEY) {
            *state = State { at_once: (state.at_once / 2).max(1), answers: 0, slowed: Some(now) };
        }
    }

    pub(super) fn record_answer(&self) {
        let mut state = self.state.lock();
        state.answers += 1;
        if state.answers >= state.at_once && state.at_once < MOST {
            state.at_once += 1;
            state.answers = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_leads_to_one_at_a_time_and_answers_lead_back() {
        let (limit, mut now) = (ConcurrencyLimit::default(), Instant::now());
        assert_eq!(limit.at_once(), MOST);
        for _ in 0..MOST {
            limit.record_fault(now);
        }
        assert_eq!(limit.at_once(), MOST / 2, "one volley");
        for _ in 0..10 {
            now += VOLLEY * 2;
            limit.record_fault(now);
        }
        assert_eq!(limit.at_once(), 1);
        limit.record_answer();
        assert_eq!(limit.at_once(), 2);
        for _ in 0..1000 {
            limit.record_answer();
        }
        assert_eq!(limit.at_once(), MOST);
    }
}
