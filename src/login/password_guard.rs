//! How a password has fared: a wrong one is not sent again soon, by no login of this process, since
//! NASA locks accounts.

use std::time::Duration;

use reqwest::Response;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::{Error, Refusal};

const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// To this the pauses grow.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// For so long a password that was right is taken to be right.
const PROVEN: Duration = Duration::from_secs(60);

/// What Earthdata Login has said to one password.
#[derive(Debug, Default)]
pub(super) struct PasswordGuard {
    past: Mutex<Past>,
}

#[derive(Debug, Default)]
struct Past {
    accepted: Option<Instant>,
    refused: Option<Refused>,
}

#[derive(Debug)]
struct Refused {
    error: Error,
    times: u32,
    not_before: Instant,
}

impl PasswordGuard {
    /// The answer to the password, which `send` sends. Waits for its turn while it is not known to
    /// be right: one login then tries it for all.
    ///
    /// # Errors
    /// Those of `send`; [`Refusal::WrongPassword`] without sending when it was refused not long
    /// ago.
    pub(super) async fn attempt(
        &self,
        send: impl Future<Output = Result<Response, Error>>,
    ) -> Result<Response, Error> {
        let mut past = self.past.lock().await;
        let now = Instant::now();
        if let Some(refused) = past.refused.as_ref().filter(|refused| now < refused.not_before) {
            return Err(refused.error.clone());
        }
        if past.is_proven(now) {
            drop(past);
            let outcome = send.await;
            self.past.lock().await.learn(&outcome);
            return outcome;
        }
        let outcome = send.await;
        past.learn(&outcome);
        outcome
    }
}

impl Past {
    fn is_proven(&self, now: Instant) -> bool {
        self.accepted.is_some_and(|accepted| now < accepted + PROVEN)
    }

    fn learn(&mut self, outcome: &Result<Response, Error>) {
        match outcome {
            // Whatever is missing otherwise: who is sent on was let in.
            Ok(response) if response.status().is_redirection() => self.accepted(),
            Err(error @ Error::Refused(Refusal::WrongPassword { .. })) => self.refused(error),
            _ => {}
        }
    }

    fn accepted(&mut self) {
        *self = Self { accepted: Some(Instant::now()), refused: None };
    }

    fn refused(&mut self, error: &Error) {
        let times = self.refused.as_ref().map_or(0, |refused| refused.times);
        let pause = FIRST_PAUSE
            .saturating_mul(1 << times.min(16))
            .min(LONGEST_PAUSE)
            .mul_f64(0.75 + 0.5 * fastrand::f64());
        let refused =
            Refused { error: error.clone(), times: times + 1, not_before: Instant::now() + pause };
        *self = Self { accepted: None, refused: Some(refused) };
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
        let attempts = PasswordGuard::default();
        let mut sent = 0;
        // Before its first pause ends, behind it, and before the second one does.
        for (seconds, expected) in [(0, 1), (0, 1), (44, 1), (32, 2), (80, 2), (75, 3)] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            let send = async {
                sent += 1;
                Err(wrong())
            };
            assert_eq!(attempts.attempt(send).await.err(), Some(wrong()));
            assert_eq!(sent, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_says_nothing_of_the_password() {
        let attempts = PasswordGuard::default();
        let down = Error::transient("down");
        for _ in 0..3 {
            assert_eq!(
                attempts.attempt(async { Err(down.clone()) }).await.err(),
                Some(down.clone())
            );
        }
    }

    #[test]
    fn the_pauses_after_a_wrong_password_grow_from_a_minute_to_an_hour_until_it_is_right() {
        let mut past = Past::default();
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            past.refused(&wrong());
            let pause = past.refused.as_ref().unwrap().not_before - Instant::now();
            let part = pause.as_secs_f64() / 60.0 / f64::from(minutes);
            assert!((0.74..=1.25).contains(&part), "{minutes}: {part}");
            assert!(!past.is_proven(Instant::now()));
        }
        past.accepted();
        let now = Instant::now();
        assert!(past.refused.is_none() && past.is_proven(now) && !past.is_proven(now + PROVEN));
    }
}
