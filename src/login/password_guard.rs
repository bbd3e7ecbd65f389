//! Keeps a wrong password from being sent again soon by any login of this process, since NASA locks
//! accounts.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::{Error, Refusal};
use crate::http::Response;

const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// The pauses double up to this one.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// How long a password that was accepted is taken to be right.
const ACCEPTED_FOR: Duration = Duration::from_secs(60);

/// What Earthdata Login has said to one password.
#[derive(Debug, Default)]
pub(super) struct PasswordGuard {
    history: Mutex<History>,
}

#[derive(Debug, Default)]
struct History {
    accepted_at: Option<Instant>,
    refused: Option<Refused>,
}

#[derive(Debug)]
struct Refused {
    error: Error,
    times: u32,
    not_before: Instant,
}

impl PasswordGuard {
    /// Sends the password with `send` and returns the answer. While the password is not known to be
    /// right, one login at a time sends it, and the others wait for what it learns.
    ///
    /// # Errors
    /// Those of `send`; [`Refusal::WrongPassword`], without sending, during the pause after a
    /// refusal.
    pub(super) async fn attempt(
        &self,
        send: impl Future<Output = Result<Response, Error>>,
    ) -> Result<Response, Error> {
        let mut history = self.history.lock().await;
        let now = Instant::now();
        if let Some(refused) = history.refused.as_ref().filter(|refused| now < refused.not_before) {
            return Err(refused.error.clone());
        }
        if history.is_accepted(now) {
            drop(history);
            let outcome = send.await;
            self.history.lock().await.record(&outcome);
            return outcome;
        }
        let outcome = send.await;
        history.record(&outcome);
        outcome
    }
}

impl History {
    fn is_accepted(&self, now: Instant) -> bool {
        self.accepted_at.is_some_and(|at| now < at + ACCEPTED_FOR)
    }

    fn record(&mut self, outcome: &Result<Response, Error>) {
        match outcome {
            // Earthdata Login redirects only those whose password is right, also when something
            // else is missing.
            Ok(response) if response.status().is_redirection() => self.record_accepted(),
            Err(error @ Error::Refused(Refusal::WrongPassword { .. })) => {
                self.record_refused(error);
            }
            _ => {}
        }
    }

    fn record_accepted(&mut self) {
        *self = Self { accepted_at: Some(Instant::now()), refused: None };
    }

    fn record_refused(&mut self, error: &Error) {
        let times = self.refused.as_ref().map_or(0, |refused| refused.times);
        let pause = FIRST_PAUSE
            .saturating_mul(1 << times.min(16))
            .min(LONGEST_PAUSE)
            .mul_f64(0.75 + 0.5 * fastrand::f64());
        let refused =
            Refused { error: error.clone(), times: times + 1, not_before: Instant::now() + pause };
        *self = Self { accepted_at: None, refused: Some(refused) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong() -> Error {
        Refusal::WrongPassword { host: "h".into(), origin: "o".into() }.into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_password_is_sent_again_after_its_pause_only() {
        let guard = PasswordGuard::default();
        let mut sent = 0;
        // Within the first pause, after it, within the second pause, and after that.
        for (seconds, expected) in [(0, 1), (0, 1), (44, 1), (32, 2), (80, 2), (75, 3)] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            let send = async {
                sent += 1;
                Err(wrong())
            };
            assert_eq!(guard.attempt(send).await.err(), Some(wrong()));
            assert_eq!(sent, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_transient_failure_says_nothing_about_the_password() {
        let guard = PasswordGuard::default();
        let down = Error::transient("down");
        for _ in 0..3 {
            assert_eq!(guard.attempt(async { Err(down.clone()) }).await.err(), Some(down.clone()));
        }
    }

    #[test]
    fn the_pauses_after_a_wrong_password_grow_from_a_minute_to_an_hour_until_it_is_right() {
        let mut history = History::default();
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            history.record_refused(&wrong());
            let pause = history.refused.as_ref().unwrap().not_before - Instant::now();
            let part = pause.as_secs_f64() / 60.0 / f64::from(minutes);
            assert!((0.74..=1.25).contains(&part), "{minutes}: {part}");
            assert!(!history.is_accepted(Instant::now()));
        }
        history.record_accepted();
        let now = Instant::now();
        assert!(
            history.refused.is_none()
                && history.is_accepted(now)
                && !history.is_accepted(now + ACCEPTED_FOR)
        );
    }
}
