//! How far ahead each stream may be, so that what is fetched for one is not thrown out for another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A stream that was not read for this long gives its share to the others; it gets it back with the
/// next read.
const IDLE: Duration = Duration::from_secs(10);

/// Bytes fetched ahead, shared out evenly among all streams of a mount.
#[derive(Debug)]
pub(crate) struct ReadAheadQuota {
    total: u64,
    streams: Mutex<Streams>,
}

#[derive(Debug, Default)]
struct Streams {
    active: HashMap<u64, Stream>,
    last: u64,
}

#[derive(Debug)]
struct Stream {
    ahead: u64,
    read: Instant,
}

impl ReadAheadQuota {
    pub(crate) fn new(total: u64) -> Arc<Self> {
        Arc::new(Self { total, streams: Mutex::default() })
    }

    /// A share for one more stream.
    pub(crate) fn join(self: &Arc<Self>) -> Share {
        let mut streams = self.streams();
        streams.last += 1;
        Share { shares: self.clone(), stream: streams.last }
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The share of one stream. Dropped, it goes to the others.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Arc<ReadAheadQuota>,
    stream: u64,
}

impl Share {
    /// Says how many bytes the stream is ahead at `now`, and answers how many it may be.
    pub(crate) fn limit(&self, ahead: u64, now: Instant) -> u64 {
        let mut streams = self.shares.streams();
        streams.active.insert(self.stream, Stream { ahead, read: now });
        streams.active.retain(|_, stream| now.saturating_duration_since(stream.read) <= IDLE);
        let taken: u64 = streams.active.values().map(|stream| stream.ahead).sum();
        let free = self.shares.total.saturating_sub(taken - ahead);
        free.min(self.shares.total / streams.active.len().max(1) as u64)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shares.streams().active.remove(&self.stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_share_evenly_and_never_promise_more_than_there_is() {
        let (shares, now) = (ReadAheadQuota::new(80), Instant::now());
        let first = shares.join();
        assert_eq!(first.limit(0, now), 80);
        assert_eq!(first.limit(80, now), 80);
        let second = shares.join();
        assert_eq!(second.limit(0, now), 0);
        assert_eq!(first.limit(30, now), 40);
        assert_eq!(second.limit(0, now), 40);
        drop(first);
        assert_eq!(second.limit(0, now), 80);
    }

    #[test]
    fn an_idle_stream_lends_its_share() {
        let (shares, now) = (ReadAheadQuota::new(80), Instant::now());
        let (first, second) = (shares.join(), shares.join());
        first.limit(60, now);
        assert_eq!(second.limit(0, now + IDLE), 20);
        let later = now + IDLE + Duration::from_secs(1);
        assert_eq!(second.limit(0, later), 80);
        assert_eq!(first.limit(10, later), 40);
    }
}
