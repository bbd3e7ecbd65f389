//! What a cache holds, and when it may ask for more.

use std::sync::Arc;
use std::time::Duration;

use super::cached::{Age, CachedCredentials};
use crate::error::Error;

/// How long a refused login is not tried again: short enough to notice when the cause is cured.
const REFUSAL_PAUSE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) current: Option<Arc<CachedCredentials>>,
    /// What S3 said when it refused the current credentials, whatever their age.
    pub(super) rejection: Option<Error>,
    /// How many credentials in a row S3 has refused without ever having accepted them.
    pub(super) never_accepted: u32,
    /// How many credentials were handed out so far.
    pub(super) generation: u64,
    /// How many renewals in a row have failed.
    pub(super) failures: u32,
    /// No renewal begins earlier: time since boot.
    pub(super) not_before: Duration,
    pub(super) last_failure: Option<Error>,
}

impl State {
    pub(super) fn age(&self, now: Duration) -> Age {
        self.current.as_ref().map_or(Age::Expired, |current| match self.rejection {
            Some(_) => Age::Expired,
            None => current.age(now),
        })
    }

    /// Replaces the credentials by new ones, of generation `self.generation`.
    pub(super) fn replace(&mut self, credentials: Arc<CachedCredentials>) {
        *self = Self {
            current: Some(credentials),
            generation: self.generation,
            never_accepted: self.never_accepted,
            ..Self::default()
        };
    }

    /// Records that S3 does not accept `refused`. An endpoint and a store that do not belong
    /// together would otherwise cost a login for every request: the first credentials that were
    /// never accepted may have been bad luck, from the second on operations fail while the pause
    /// lasts.
    pub(super) fn record_rejection(
        &mut self,
        refused: &CachedCredentials,
        error: &Error,
        now: Duration,
    ) {
        self.rejection = Some(error.clone());
        let has_failed_at_once =
            !refused.was_accepted() && refused.age(now) != Age::Expired && refused.life().is_some();
        self.never_accepted = if has_failed_at_once { self.never_accepted + 1 } else { 0 };
        if has_failed_at_once {
            let doubled = FIRST_PAUSE.saturating_mul(1 << (self.never_accepted - 1).min(16));
            self.pause_until_after(doubled.min(REFUSAL_PAUSE), now);
        }
        if self.never_accepted > 1 {
            self.last_failure = Some(error.clone());
        }
    }

    /// Records that a renewal has failed.
    pub(super) fn record_failure(&mut self, error: Error, now: Duration) {
        let pause = match error {
            Error::Refused(_) => REFUSAL_PAUSE,
            _ => FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE),
        };
        self.failures += 1;
        self.pause_until_after(pause, now);
        self.last_failure = Some(error);
    }

    /// Ends the pause: the next renewal begins at once, and nobody hears of the last failure.
    pub(super) fn end_pause(&mut self) {
        (self.failures, self.not_before, self.last_failure) = (0, Duration::ZERO, None);
    }

    fn pause_until_after(&mut self, pause: Duration, now: Duration) {
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
            state.record_failure(Error::transient("down"), Duration::ZERO);
            pauses.push(state.not_before.as_secs_f64());
        }
        assert!(
            pauses[0] <= 1.25 && pauses[19] >= 22.5 && pauses.iter().all(|pause| *pause <= 37.5),
            "{pauses:?}"
        );
        let refused = Refusal::NoData { endpoint: "e".into() };
        state.record_failure(refused.into(), Duration::ZERO);
        assert!(state.not_before >= Duration::from_secs(45));
    }
}
