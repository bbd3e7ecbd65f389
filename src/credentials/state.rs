//! What a store has, and what it has been through.

use std::sync::Arc;
use std::time::Duration;

use super::session::{Age, Session};
use crate::error::Error;

/// How long a refused login is not tried again: short enough to notice a cure.
const REFUSAL_PAUSE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) current: Option<Arc<Session>>,
    /// What S3 said when it refused the current session, whatever its age.
    pub(super) rejection: Option<Error>,
    /// How many sessions in a row S3 has refused that it had never accepted.
    pub(super) stillborn: u32,
    pub(super) numbers: u64,
    pub(super) failures: u32,
    pub(super) not_before: Duration,
    pub(super) last_failure: Option<Error>,
}

impl State {
    pub(super) fn age(&self, now: Duration) -> Age {
        self.current.as_ref().map_or(Age::Expired, |session| match self.rejection {
            Some(_) => Age::Expired,
            None => session.age(now),
        })
    }

    /// Notes that S3 does not accept `session`. An endpoint and a store that do not belong together
    /// would else cost a login for every request: the first such session may have been bad luck,
    /// from the second on operations fail while the pause lasts.
    pub(super) fn rejected(&mut self, session: &Session, error: &Error, now: Duration) {
        self.rejection = Some(error.clone());
        let is_stillborn = !session.was_accepted()
            && session.age(now) != Age::Expired
            && session.grant.life.is_some();
        self.stillborn = if is_stillborn { self.stillborn + 1 } else { 0 };
        if is_stillborn {
            let pause =
                FIRST_PAUSE.saturating_mul(1 << (self.stillborn - 1).min(16)).min(REFUSAL_PAUSE);
            self.put_off(pause, now);
        }
        if self.stillborn > 1 {
            self.last_failure = Some(error.clone());
        }
    }

    pub(super) fn failed(&mut self, error: Error, now: Duration) {
        let pause = match error {
            Error::Refused(_) => REFUSAL_PAUSE,
            _ => FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE),
        };
        self.failures += 1;
        self.put_off(pause, now);
        self.last_failure = Some(error);
    }

    fn put_off(&mut self, pause: Duration, now: Duration) {
        self.not_before = now + pause.mul_f64(0.75 + 0.5 * fastrand::f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Refusal;

    #[test]
    fn pauses_grow_to_a_limit_and_a_refusal_is_left_alone_for_a_minute() {
        let mut state = State::default();
        let mut pauses = Vec::new();
        for _ in 0..20 {
            state.failed(Error::transient("down"), Duration::ZERO);
            pauses.push(state.not_before.as_secs_f64());
        }
        assert!(
            pauses[0] <= 1.25 && pauses[19] >= 22.5 && pauses.iter().all(|p| *p <= 37.5),
            "{pauses:?}"
        );
        state.failed(Refusal::NoData { endpoint: "e".into() }.into(), Duration::ZERO);
        assert!(state.not_before >= Duration::from_secs(45));
    }
}
