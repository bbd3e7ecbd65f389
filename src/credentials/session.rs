//! Session credentials and how they age.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::login::TemporaryCredentials;

/// Credentials as they are used: a [`TemporaryCredentials`] with its place in time.
#[derive(Debug)]
pub struct Session {
    /// What S3 is shown.
    pub grant: TemporaryCredentials,
    pub(super) number: u64,
    pub(super) issued: Duration,
    ageing: Duration,
    expires: Duration,
    accepted: AtomicBool,
}

/// How a session stands at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Good, and for long.
    Fresh,
    /// Good, but a renewal is due.
    Ageing,
    /// Of no more use.
    Expired,
}

impl Session {
    /// `spread` in 0..1 moves the start of ageing, so that a thousand machines do not renew at
    /// once.
    pub(super) fn new(
        grant: TemporaryCredentials,
        number: u64,
        issued: Duration,
        spread: f64,
    ) -> Self {
        let expires = grant.life.map_or(Duration::MAX, |life| issued + life);
        let ageing =
            grant.life.map_or(Duration::MAX, |life| issued + life.mul_f64(0.7 + 0.1 * spread));
        Self { grant, number, issued, ageing, expires, accepted: AtomicBool::new(false) }
    }

    /// Notes that S3 has answered a request of this session.
    pub fn accept(&self) {
        self.accepted.store(true, Ordering::Relaxed);
    }

    pub(super) fn was_accepted(&self) -> bool {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(super) fn age(&self, now: Duration) -> Age {
        match now {
            now if now >= self.expires => Age::Expired,
            now if now >= self.ageing => Age::Ageing,
            _ => Age::Fresh,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(life: Option<Duration>, spread: f64) -> Session {
        let grant = TemporaryCredentials {
            access_key: "A".into(),
            secret_key: "hush".into(),
            session_token: Some("hush".into()),
            life,
        };
        Session::new(grant, 1, Duration::from_secs(100), spread)
    }

    #[test]
    fn credentials_age_in_the_last_part_of_their_life() {
        let hour = Duration::from_secs(3600);
        for spread in [0.0, 0.5, 1.0] {
            let session = session(Some(hour), spread);
            let age_at = |seconds| session.age(Duration::from_secs(100 + seconds));
            assert_eq!([0_u64, 2500, 2900, 3599, 3600, 90_000].map(age_at), {
                use Age::{Ageing, Expired, Fresh};
                [Fresh, Fresh, Ageing, Ageing, Expired, Expired]
            });
        }
        assert_eq!(session(None, 0.0).age(Duration::from_secs(1 << 40)), Age::Fresh);
    }

    #[test]
    fn debug_hides_the_secrets() {
        assert!(!format!("{:?}", session(None, 0.0)).contains("hush"));
    }
}
