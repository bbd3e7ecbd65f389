//! Credentials in the cache, and how they age.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;

/// Credentials with their place in time.
///
/// Time is that since boot, which a wrong or stepped wall clock does not touch and which goes on
/// while the machine is suspended.
#[derive(Debug)]
pub struct CachedCredentials {
    keys: Credentials,
    life: Option<Duration>,
    /// Distinguishes these credentials from those that came before and after them.
    pub(super) generation: u64,
    /// When they were handed out, when they begin to age, and when they end: time since boot.
    pub(super) issued: Duration,
    pub(super) ageing: Duration,
    pub(super) expires: Duration,
    was_accepted: AtomicBool,
}

/// How credentials stand at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Good, and for long.
    Fresh,
    /// Good, but a renewal is due.
    Ageing,
    /// Of no more use.
    Expired,
}

impl CachedCredentials {
    /// Takes `keys` that were issued at `issued` and live for `life`, or for ever. `spread` in 0..1
    /// moves the start of ageing, so that a thousand machines do not renew at once.
    pub(super) fn new(
        keys: Credentials,
        life: Option<Duration>,
        generation: u64,
        issued: Duration,
        spread: f64,
    ) -> Self {
        let expires = life.map_or(Duration::MAX, |life| issued + life);
        let ageing = life.map_or(Duration::MAX, |life| issued + life.mul_f64(0.7 + 0.1 * spread));
        let was_accepted = AtomicBool::new(false);
        Self { keys, life, generation, issued, ageing, expires, was_accepted }
    }

    /// Returns what S3 is shown.
    #[must_use]
    pub fn keys(&self) -> &Credentials {
        &self.keys
    }

    /// Returns how long they live from the moment when they were handed out; `None` for ever.
    #[must_use]
    pub fn life(&self) -> Option<Duration> {
        self.life
    }

    /// Records that S3 has answered a request that was signed with these credentials.
    pub fn mark_accepted(&self) {
        self.was_accepted.store(true, Ordering::Relaxed);
    }

    pub(super) fn was_accepted(&self) -> bool {
        self.was_accepted.load(Ordering::Relaxed)
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

    fn cached(life: Option<Duration>, spread: f64) -> CachedCredentials {
        let keys = Credentials::new("A", "hush", Some("hush".into()), None, "test");
        CachedCredentials::new(keys, life, 1, Duration::from_secs(100), spread)
    }

    #[test]
    fn credentials_age_in_the_last_part_of_their_life() {
        let hour = Duration::from_secs(3600);
        for spread in [0.0, 0.5, 1.0] {
            let credentials = cached(Some(hour), spread);
            let age_at = |seconds| credentials.age(Duration::from_secs(100 + seconds));
            assert_eq!([0_u64, 2500, 2900, 3599, 3600, 90_000].map(age_at), {
                use Age::{Ageing, Expired, Fresh};
                [Fresh, Fresh, Ageing, Ageing, Expired, Expired]
            });
        }
        assert_eq!(cached(None, 0.0).age(Duration::from_secs(1 << 40)), Age::Fresh);
    }

    #[test]
    fn debug_hides_the_secrets() {
        assert!(!format!("{:?}", cached(None, 0.0)).contains("hush"));
    }
}
