//! The one identity that all logins of a process show, and that follows what the user changes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::identity::Identity;
use super::identity_source::IdentitySource;
use super::password_guard::PasswordGuard;
use crate::error::Error;

/// How long reading may take: a home directory may be on a server that does not answer.
const READING_LIMIT: Duration = Duration::from_secs(5);
/// While a login is refused, operations look no more often than this for another identity.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Long enough before a token's end for a user who is away for a week.
const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// An identity that is read again for each login. All logins of a process share one, so that a
/// password which one of them finds to be wrong is not sent by another.
#[derive(Debug)]
pub struct SharedIdentity {
    /// `None`: it does not change.
    source: Option<IdentitySource>,
    current: Mutex<Arc<Identity>>,
    pub(super) password_guard: PasswordGuard,
    /// Held while it is read: a reader that hangs is not joined by others.
    reading: Arc<tokio::sync::Mutex<()>>,
    last_look: Mutex<Option<Instant>>,
    warnings: Mutex<Warnings>,
}

/// What was logged, and need not be again.
#[derive(Debug, Default)]
struct Warnings {
    /// Why the identity could not be read the last time.
    unreadable: Option<String>,
    token_end_at: Option<SystemTime>,
}

impl SharedIdentity {
    /// Reads the identity for the first time.
    ///
    /// # Errors
    /// Those of [`IdentitySource::read`].
    pub fn read(source: IdentitySource) -> Result<Self, Error> {
        let identity = source.read()?;
        log_notes(&identity);
        Ok(Self { source: Some(source), ..Self::from(Arc::new(identity)) })
    }

    /// Returns the identity as it was read last.
    pub(super) fn current(&self) -> Arc<Identity> {
        self.current.lock().clone()
    }

    /// Reads the identity again. Keeps the old one while there is none: a file may be half written.
    pub(super) async fn read_again(&self) -> Arc<Identity> {
        let Some(source) = self.source.clone() else { return self.current() };
        *self.last_look.lock() = Some(Instant::now());
        let reading = async {
            let turn = self.reading.clone().lock_owned().await;
            let read = move || {
                let read = source.read();
                drop(turn);
                read
            };
            tokio::task::spawn_blocking(read)
                .await
                .unwrap_or_else(|panic| Err(Error::Defect(panic.to_string().into())))
        };
        match tokio::time::timeout(READING_LIMIT, reading).await {
            Ok(Ok(identity)) => self.replace(identity),
            Ok(Err(error)) => self.warn_unreadable(error.to_string()),
            Err(_) => self.warn_unreadable("reading it takes too long".into()),
        }
        self.current()
    }

    /// Reads the identity again, unless that was done a moment ago.
    pub(super) async fn look(&self) -> Arc<Identity> {
        let is_recent =
            |look: &Option<Instant>| look.is_some_and(|look| look.elapsed() < LOOK_INTERVAL);
        if is_recent(&self.last_look.lock()) {
            return self.current();
        }
        self.read_again().await
    }

    /// Logs, at most once a day, that the token at `host` ends soon.
    pub(super) fn warn_of_token_end(&self, host: &str) {
        if let Some(words) = self.token_end(SystemTime::now()) {
            tracing::warn!("{words}; make a new one at https://{host}/");
        }
    }

    /// What there is to say at `now` about the token's end, and was not said within a day.
    fn token_end(&self, now: SystemTime) -> Option<String> {
        let identity = self.current();
        let token = identity.token.as_ref()?;
        let words = match identity.token_expiration()?.duration_since(now) {
            Ok(left) if left > SOON => return None,
            Ok(left) => format!(
                "the Earthdata token from {} ends in {}",
                token.origin,
                days_or_hours(left.as_secs())
            ),
            Err(_) => format!("the Earthdata token from {} has expired", token.origin),
        };
        let mut warnings = self.warnings.lock();
        let is_recent = |at: SystemTime| now.duration_since(at).is_ok_and(|since| since < DAY);
        if warnings.token_end_at.is_some_and(is_recent) {
            return None;
        }
        warnings.token_end_at = Some(now);
        Some(words)
    }

    fn replace(&self, identity: Identity) {
        self.warnings.lock().unreadable = None;
        let mut current = self.current.lock();
        if current.shows_the_same_as(&identity) {
            return;
        }
        let has_other_token = !current.has_same_token(&identity);
        *current = Arc::new(identity);
        tracing::info!("the Earthdata identity has changed");
        log_notes(&current);
        if has_other_token {
            self.warnings.lock().token_end_at = None;
        }
    }

    fn warn_unreadable(&self, error: String) {
        let mut warnings = self.warnings.lock();
        if warnings.unreadable.as_ref() != Some(&error) {
            tracing::warn!(error, "the Earthdata identity cannot be read again; the old one stays");
            warnings.unreadable = Some(error);
        }
    }
}

/// An identity that does not change.
impl From<Arc<Identity>> for SharedIdentity {
    fn from(identity: Arc<Identity>) -> Self {
        Self {
            source: None,
            current: Mutex::new(identity),
            password_guard: PasswordGuard::default(),
            reading: Arc::default(),
            last_look: Mutex::default(),
            warnings: Mutex::default(),
        }
    }
}

impl From<Identity> for Arc<SharedIdentity> {
    fn from(identity: Identity) -> Self {
        Self::new(Arc::new(identity).into())
    }
}

fn log_notes(identity: &Identity) {
    for note in &identity.notes {
        tracing::warn!("{note}");
    }
}

fn days_or_hours(seconds: u64) -> String {
    let hours = seconds / 3600;
    if hours < 48 { format!("{hours} hours") } else { format!("{} days", hours / 24) }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

    use super::*;
    use crate::login::Token;

    #[test]
    fn the_end_of_a_token_is_told_a_week_before_and_once_a_day() {
        let end = SystemTime::UNIX_EPOCH + 1000 * DAY;
        let claims = format!(r#"{{"exp":{}}}"#, 1000 * DAY.as_secs());
        let secret = format!("h.{}.s", BASE64.encode(claims));
        let token = Token { secret: secret.clone().into(), origin: "/run/token".into() };
        let shared = Arc::<SharedIdentity>::from(Identity::new(Some(token), None));
        let hour = DAY / 24;
        for (before, expected) in [
            (8 * DAY, None),
            (7 * DAY - hour, Some("from /run/token ends in 6 days")),
            (7 * DAY - 2 * hour, None),
            (6 * DAY - 2 * hour, Some("ends in 5 days")),
            (5 * hour, Some("ends in 5 hours")),
        ] {
            let words = shared.token_end(end - before);
            assert_eq!(words.is_some(), expected.is_some(), "{before:?}: {words:?}");
            let words = words.unwrap_or_default();
            assert!(words.contains(expected.unwrap_or_default()) && !words.contains(&secret));
        }
        assert!(shared.token_end(end + DAY).unwrap().contains("has expired"));
        let opaque = Token { secret: "opaque".into(), origin: "here".into() };
        let shared = Arc::<SharedIdentity>::from(Identity::new(Some(opaque), None));
        assert_eq!(shared.token_end(end), None);
    }
}
