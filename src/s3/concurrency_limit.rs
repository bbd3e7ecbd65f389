//! How many pages S3 is asked for at once: fewer when it asks to slow down, more again as it
//! answers.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// S3 serves thousands of pages a second; this machine needs milliseconds for each.
const MOST: usize = 16;
/// Requests that were sent together fail together, and count as one fault within this time.
const SAME_FAULT: Duration = Duration::from_millis(200);

/// An AIMD limit, as TCP's: halved by a fault, and one higher after as many answers as there are
/// requests at once.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    at_once: usize,
    answers: usize,
    halved: Option<Instant>,
}

impl Default for ConcurrencyLimit {
    fn default() -> Self {
        Self { state: Mutex::new(State { at_once: MOST, answers: 0, halved: None }) }
    }
}

impl ConcurrencyLimit {
    pub(super) fn at_once(&self) -> usize {
        self.state.lock().at_once
    }

    pub(super) fn record_fault(&self, now: Instant) {
        let mut state = self.state.lock();
        if state.halved.is_none_or(|halved| now.saturating_duration_since(halved) > SAME_FAULT) {
            *state = State { at_once: (state.at_once / 2).max(1), answers: 0, halved: Some(now) };
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
        assert_eq!(limit.at_once(), MOST / 2, "sent together");
        for _ in 0..10 {
            now += SAME_FAULT * 2;
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
