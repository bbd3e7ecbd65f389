//! How long to wait before a request is sent again.

use std::time::Duration;

/// Exponential back-off with full jitter, so that throttled machines spread out.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    pub(super) tries: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(5);

    pub(super) fn next(&mut self) -> Duration {
        let ceiling = Self::FIRST.saturating_mul(1 << self.tries.min(16)).min(Self::LONGEST);
        self.tries += 1;
        ceiling.mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_below_their_ceiling() {
        let mut backoff = Backoff::default();
        for tries in 0..40 {
            let ceiling = Duration::from_millis(50 << tries.min(7)).min(Backoff::LONGEST);
            assert!(backoff.next() <= ceiling);
        }
    }
}
