//! Keeps a wrong password from being sent again by any login of this process, since NASA locks
//! accounts.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::identity::Password;
use crate::error::{Error, Refusal};
use crate::http::Response;

/// How long a password that was accepted is taken to be right.
const ACCEPTED_FOR: Duration = Duration::from_secs(60);

/// What Earthdata Login has said to the passwords that the user has had.
#[derive(Debug, Default)]
pub(super) struct PasswordGuard {
    history: Mutex<History>,
}

#[derive(Debug, Default)]
struct History {
    accepted: Option<(Password, Instant)>,
    /// Each with what was said. A user changes it a few times at most while a mount lives.
    refused: Vec<(Password, Error)>,
}

impl PasswordGuard {
    /// Sends `password` with `send` and returns the answer. While it is not known to be right, one
    /// login at a time sends it, and the others wait for what it learns. One that was refused is
    /// never sent again.
    ///
    /// # Errors
    /// Those of `send`; [`Refusal::WrongPassword`], without sending, after a refusal.
    pub(super) async fn attempt(
        &self,
        password: &Password,
        send: impl Future<Output = Result<Response, Error>>,
    ) -> Result<Response, Error> {
        let mut history = self.history.lock().await;
        if let Some(refusal) = history.refusal_of(password) {
            return Err(refusal);
        }
        if history.is_accepted(password, Instant::now()) {
            drop(history);
            let outcome = send.await;
            self.history.lock().await.record(password, &outcome);
            return outcome;
        }
        let outcome = send.await;
        history.record(password, &outcome);
        outcome
    }
}

impl History {
    fn is_accepted(&self, password: &Password, now: Instant) -> bool {
        self.accepted
            .as_ref()
            .is_some_and(|(accepted, at)| accepted.is_same(password) && now < *at + ACCEPTED_FOR)
    }

    fn refusal_of(&self, password: &Password) -> Option<Error> {
        let refused = self.refused.iter().find(|(refused, _)| refused.is_same(password));
        refused.map(|(_, error)| error.clone())
    }

    fn record(&mut self, password: &Password, outcome: &Result<Response, Error>) {
        match outcome {
            // Earthdata Login redirects only those whose password is right, also when something
            // else is missing.
            Ok(response) if response.status().is_redirection() => {
                self.accepted = Some((password.clone(), Instant::now()));
            }
            Err(error @ Error::Refused(Refusal::WrongPassword { .. })) => {
                self.accepted = None;
                if self.refusal_of(password).is_none() {
                    self.refused.push((password.clone(), error.clone()));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong() -> Error {
        Refusal::WrongPassword { host: "h".into(), origin: "o".into() }.into()
    }

    fn password(user: &str, secret: &str) -> Password {
        Password { user: user.into(), secret: secret.into(), origin: "o".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_password_is_never_sent_again_and_another_one_at_once() {
        let guard = PasswordGuard::default();
        let mut sent = 0;
        for (user, secret, expected) in [
            ("jane", "old", 1),
            ("jane", "old", 1),
            ("jane", "new", 2),
            ("jane", "old", 2),
            ("joe", "old", 3),
            ("jane", "new", 3),
        ] {
            let send = async {
                sent += 1;
                Err(wrong())
            };
            let outcome = guard.attempt(&password(user, secret), send).await;
            assert_eq!((outcome.err(), sent), (Some(wrong()), expected), "{user} {secret}");
            tokio::time::advance(Duration::from_secs(24 * 3600)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_transient_failure_says_nothing_about_the_password() {
        let guard = PasswordGuard::default();
        let (down, jane) = (Error::transient("down"), password("jane", "p"));
        for _ in 0..3 {
            let outcome = guard.attempt(&jane, async { Err(down.clone()) }).await;
            assert_eq!(outcome.err(), Some(down.clone()));
        }
    }

    #[test]
    fn an_accepted_password_is_right_for_a_minute_until_it_is_refused() {
        let (jane, now) = (password("jane", "p"), Instant::now());
        let mut history = History { accepted: Some((jane.clone(), now)), refused: Vec::new() };
        assert!(history.is_accepted(&jane, now) && !history.is_accepted(&jane, now + ACCEPTED_FOR));
        assert!(!history.is_accepted(&password("jane", "q"), now));
        history.record(&jane, &Err(wrong()));
        assert!(!history.is_accepted(&jane, now));
    }
}
