//! How fast the store answers.

use std::time::Duration;

use parking_lot::Mutex;

/// What S3 shows within its region: 30 ms to the first byte, then 90 MiB/s over a connection.
const FIRST_BYTE: f64 = 0.03;
const RATE: f64 = 90.0 * 1024.0 * 1024.0;
/// How much of the estimate each fetch replaces.
const WEIGHT: f64 = 0.125;
/// A fetch of fewer bytes does not tell the rate: they may have arrived before they were taken.
const MIN_BYTES: usize = 1024 * 1024;
/// A fetch that takes longer tells of a fault.
const LONGEST: Duration = Duration::from_secs(1);

/// An estimate of how long fetches take, from those that were made.
#[derive(Debug)]
pub struct Throughput {
    seen: Mutex<Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Seconds until the first byte.
    first_byte: f64,
    /// Bytes per second of one connection after it.
    rate: f64,
}

impl Default for Throughput {
    fn default() -> Self {
        Self { seen: Mutex::new(Seen { first_byte: FIRST_BYTE, rate: RATE }) }
    }
}

impl Throughput {
    /// Records a fetch of `bytes` over one connection, whose first byte came after `first_byte`,
    /// and the last one `body` later.
    pub(super) fn record(&self, first_byte: Duration, bytes: usize, body: Duration) {
        let mut seen = self.seen.lock();
        if first_byte < LONGEST {
            seen.first_byte += (first_byte.as_secs_f64() - seen.first_byte) * WEIGHT;
        }
        if bytes >= MIN_BYTES && body > Duration::ZERO {
            seen.rate += (bytes as f64 / body.as_secs_f64() - seen.rate) * WEIGHT;
        }
    }

    /// Returns how long a fetch of `bytes` takes that is spread evenly over `connections`.
    #[must_use]
    pub fn fetch_time(&self, bytes: u64, connections: u64) -> Duration {
        let Seen { first_byte, rate } = *self.seen.lock();
        Duration::from_secs_f64(first_byte + bytes as f64 / (rate * connections as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_follows_what_is_seen_and_leaves_faults_out() {
        let throughput = Throughput::default();
        let time = throughput.fetch_time(180 << 20, 2);
        assert!((1030..1031).contains(&time.as_millis()), "{time:?}");
        for _ in 0..100 {
            throughput.record(Duration::from_millis(10), 1 << 20, Duration::from_millis(100));
            throughput.record(Duration::from_secs(30), 4096, Duration::from_millis(1));
        }
        let time = throughput.fetch_time(10 << 20, 1);
        assert!((1005..1015).contains(&time.as_millis()), "{time:?}");
    }
}
