//! How far ahead each stream may be, so that what is prefetched for one is not evicted for another.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A stream that was not read for this long gives its share to the others, and gets it back with
/// its next read.
const IDLE: Duration = Duration::from_secs(10);

/// Bytes of read-ahead, shared evenly by all streams of a mount.
#[derive(Debug)]
pub(super) struct ReadAheadQuota {
    total: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    active: HashMap<u64, Usage>,
    last_number: u64,
}

#[derive(Debug)]
struct Usage {
    /// Bytes that are prefetched and not read.
    ahead: u64,
    last_read: Instant,
}

impl ReadAheadQuota {
    pub(super) fn new(total: u64) -> Arc<Self> {
        Arc::new(Self { total, state: Mutex::default() })
    }

    /// Returns a share for one more stream. It counts from its first update on.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        let mut state = self.state.lock();
        state.last_number += 1;
        Share { quota: self.clone(), number: state.last_number }
    }
}

/// The share of one stream. Dropped, it goes to the others.
#[derive(Debug)]
pub(super) struct Share {
    quota: Arc<ReadAheadQuota>,
    number: u64,
}

impl Share {
    /// Records that the stream, which is read at `now`, is `ahead` bytes ahead. Returns how many it
    /// may be.
    pub(super) fn update(&self, ahead: u64, now: Instant) -> u64 {
        let mut state = self.quota.state.lock();
        state.active.insert(self.number, Usage { ahead, last_read: now });
        state.active.retain(|_, usage| now.saturating_duration_since(usage.last_read) <= IDLE);
        let used: u64 = state.active.values().map(|usage| usage.ahead).sum();
        let free = self.quota.total.saturating_sub(used - ahead);
        free.min(self.quota.total / state.active.len().max(1) as u64)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.quota.state.lock().active.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_share_evenly_and_together_never_exceed_the_total() {
        let (quota, now) = (ReadAheadQuota::new(80), Instant::now());
        let first = quota.share();
        assert_eq!(first.update(0, now), 80);
        assert_eq!(first.update(80, now), 80);
        let second = quota.share();
        assert_eq!(second.update(0, now), 0);
        assert_eq!(first.update(30, now), 40);
        assert_eq!(second.update(0, now), 40);
        drop(first);
        assert_eq!(second.update(0, now), 80);
    }

    #[test]
    fn an_idle_stream_gives_its_share_to_the_others() {
        let (quota, now) = (ReadAheadQuota::new(80), Instant::now());
        let (first, second) = (quota.share(), quota.share());
        first.update(60, now);
        assert_eq!(second.update(0, now + IDLE), 20);
        let later = now + IDLE + Duration::from_secs(1);
        assert_eq!(second.update(0, later), 80);
        assert_eq!(first.update(10, later), 40);
    }
}
