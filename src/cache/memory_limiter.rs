//! One limit in bytes for every block in memory: kept, in flight, or in the hands of a reader.
//!
//! The queue is kept by hand because two rules need what the first in it waits for: eviction makes
//! room for exactly that, and the first waiter may exceed the limit when nothing is in flight. A
//! `tokio::sync::Semaphore` tells neither who waits nor for how much, its waiters queue up when
//! they are first polled and not when their blocks are claimed, and it reports no free permits
//! while the first waiter has taken a part of what it needs.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::STALL_TIMEOUT;
use crate::error::Error;

/// The most fetches at once. With what S3 brings over a connection (90 MiB/s), this is more than
/// the wire takes. Each costs up to 400 KiB beside its bytes while the processor cannot keep up.
const MAX_FETCHES: usize = 128;
/// With this many fetches at once none is started for a guess, so that those that a reader waits
/// for find a place.
const MAX_GUESSES: usize = 96;

/// Grants bytes before they are fetched, and counts them until the last reader drops them.
#[derive(Debug)]
pub(super) struct MemoryLimiter {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes in memory, and bytes granted to fetches.
    held: usize,
    /// Of these, bytes granted to fetches that have not arrived.
    in_flight: usize,
    /// Fetches that hold a permit and have not lent it.
    fetches: usize,
    queue: VecDeque<Queued>,
}

#[derive(Debug)]
struct Queued {
    bytes: usize,
    granted: oneshot::Sender<()>,
}

impl MemoryLimiter {
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity, state: Mutex::default() })
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Takes a place in the queue, for a fetch of `bytes`.
    pub(super) fn enqueue(self: &Arc<Self>, bytes: usize) -> Waiter {
        let (sender, granted) = oneshot::channel();
        self.change(|state| state.queue.push_back(Queued { bytes, granted: sender }));
        Waiter { limiter: self.clone(), bytes, granted }
    }

    /// Whether `bytes` fit within the capacity beside what is held and what the first in the queue
    /// waits for.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.state.lock().with_first() + bytes <= self.capacity
    }

    /// Whether something should be evicted: the first in the queue does not fit, or more is held
    /// than the capacity.
    pub(super) fn is_over(&self) -> bool {
        !self.has_room(0)
    }

    /// Whether a guess, however small, has to stand back: there are many fetches, or some wait.
    pub(super) fn would_wait(&self) -> bool {
        let state = self.state.lock();
        state.fetches >= MAX_GUESSES || !state.queue.is_empty()
    }

    /// Bytes in memory and in flight.
    pub(super) fn held(&self) -> usize {
        self.state.lock().held
    }

    /// Makes a change, and grants in queue order what fits after it. When nothing is in flight,
    /// nothing would make room, so the first in the queue may exceed the limit:
    /// readers who hold one block and wait for another cannot lock each other up.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        while let Some(first) = state.queue.front()
            && (first.granted.is_closed()
                || (state.fetches < MAX_FETCHES && state.with_first() <= self.capacity)
                || state.in_flight == 0)
        {
            let bytes = first.bytes;
            if state.queue.pop_front().is_some_and(|first| first.granted.send(()).is_ok()) {
                state.held += bytes;
                state.in_flight += bytes;
                state.fetches += 1;
            }
        }
    }
}

impl State {
    /// Bytes held, and those that the first in the queue waits for.
    fn with_first(&self) -> usize {
        self.held + self.queue.front().map_or(0, |first| first.bytes)
    }
}

/// A place in the queue. Dropped, it is given up.
#[derive(Debug)]
pub(super) struct Waiter {
    limiter: Arc<MemoryLimiter>,
    bytes: usize,
    granted: oneshot::Receiver<()>,
}

impl Waiter {
    /// Waits for its turn. Safe to cancel. Returns one permit; there is no second.
    pub(super) async fn permit(&mut self) -> Result<Permit, Error> {
        (&mut self.granted)
            .await
            .map_err(|_| Error::transient("a fetch lost its place in the queue for memory"))?;
        Ok(Permit { limiter: self.limiter.clone(), in_flight: self.bytes, lent: None })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.granted.close();
        if self.granted.try_recv().is_ok() {
            // Granted, and not taken.
            drop(Permit { limiter: self.limiter.clone(), in_flight: self.bytes, lent: None });
        } else {
            self.limiter.change(|_| {});
        }
    }
}

/// Bytes granted to one fetch. Dropped, it gives back what has not arrived.
#[derive(Debug)]
pub(super) struct Permit {
    limiter: Arc<MemoryLimiter>,
    /// Bytes that have not arrived and are not lent.
    in_flight: usize,
    /// Bytes that are lent to others, together with the place among the fetches.
    lent: Option<usize>,
}

impl Permit {
    /// Makes a block that has arrived countable: it counts until its last clone is dropped.
    pub(super) fn count(&mut self, block: BytesMut) -> Bytes {
        self.in_flight -= block.len();
        self.limiter.state.lock().in_flight -= block.len();
        Bytes::from_owner(CountedBlock { limiter: self.limiter.clone(), block })
    }

    /// Waits for `work`. Where that takes long, what has not arrived is lent to others meanwhile,
    /// and waited for in the queue when `work` is done: the fetches of a bucket that stalls must
    /// not keep the memory from those of other buckets.
    pub(super) async fn lend_while_stalled<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Error> {
        let mut work = pin!(work);
        if let Ok(done) = timeout(STALL_TIMEOUT, &mut work).await {
            return Ok(done);
        }
        let lent = self.lent.unwrap_or(0) + self.give_back();
        self.lent = Some(lent);
        let done = work.await;
        *self = self.limiter.enqueue(lent).permit().await?;
        Ok(done)
    }

    fn give_back(&mut self) -> usize {
        let bytes = std::mem::take(&mut self.in_flight);
        self.limiter.change(|state| {
            state.in_flight -= bytes;
            state.held -= bytes;
            state.fetches -= usize::from(self.lent.is_none());
        });
        bytes
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.give_back();
    }
}

struct CountedBlock {
    limiter: Arc<MemoryLimiter>,
    block: BytesMut,
}

impl AsRef<[u8]> for CountedBlock {
    fn as_ref(&self) -> &[u8] {
        &self.block
    }
}

impl Drop for CountedBlock {
    fn drop(&mut self) {
        self.limiter.change(|state| state.held -= self.block.len());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn granted(waiter: &mut Waiter) -> Option<Permit> {
        waiter.permit().now_or_never().map(Result::unwrap)
    }

    #[test]
    fn waiters_pass_in_turn_and_bytes_count_until_the_last_reader_drops_them() {
        let limiter = MemoryLimiter::new(10);
        let mut first = granted(&mut limiter.enqueue(8)).unwrap();
        let (mut second, mut third) = (limiter.enqueue(4), limiter.enqueue(1));
        assert!(!limiter.has_room(1) && limiter.is_over());
        // The third would fit, but it is not its turn.
        assert!(granted(&mut second).is_none() && granted(&mut third).is_none());
        let block = first.count(BytesMut::from(&b"12345678"[..]));
        let reader = block.slice(2..3);
        drop(block);
        assert!(granted(&mut second).is_none());
        drop(reader);
        assert!(granted(&mut second).is_some() && granted(&mut third).is_some());
        assert_eq!(limiter.held(), 0);
    }

    #[test]
    fn more_than_the_whole_capacity_passes_when_nothing_is_in_flight() {
        let limiter = MemoryLimiter::new(10);
        let mut first = granted(&mut limiter.enqueue(10)).unwrap();
        let mut second = limiter.enqueue(100);
        let pinned = first.count(BytesMut::from(&b"1234567890"[..]));
        assert!(granted(&mut second).is_none());
        drop(first);
        let passed = granted(&mut second).map(|permit| permit.in_flight);
        assert_eq!((passed, limiter.held()), (Some(100), 10));
        drop(pinned);
        assert_eq!(limiter.held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_fetch_lends_its_bytes_and_queues_for_them_again() {
        let limiter = MemoryLimiter::new(10);
        let mut first = granted(&mut limiter.enqueue(8)).unwrap();
        drop(first.count(BytesMut::from(&b"123"[..])));
        let (moves, stall) = oneshot::channel();
        let mut stalled = Box::pin(first.lend_while_stalled(stall));
        assert!(timeout(STALL_TIMEOUT / 2, &mut stalled).await.is_err());
        assert_eq!(limiter.held(), 5);
        assert!(timeout(STALL_TIMEOUT, &mut stalled).await.is_err());
        let second = granted(&mut limiter.enqueue(10)).unwrap();
        moves.send(()).unwrap();
        assert!(timeout(STALL_TIMEOUT, &mut stalled).await.is_err(), "passed out of turn");
        drop(second);
        assert!(matches!((&mut stalled).await, Ok(Ok(()))));
        drop(stalled);
        assert_eq!((first.in_flight, first.lent, limiter.held()), (5, None, 5));
        drop(first);
        assert_eq!(limiter.held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn fetches_at_once_are_limited_and_a_stalled_one_lends_its_place() {
        let limiter = MemoryLimiter::new(10 * MAX_FETCHES);
        let mut fetches: Vec<_> =
            (1..MAX_GUESSES).map(|_| granted(&mut limiter.enqueue(1)).unwrap()).collect();
        assert!(!limiter.would_wait());
        // Tokio lets one task take only so many in a row.
        tokio::task::yield_now().await;
        let others = (MAX_GUESSES..MAX_FETCHES).map(|_| granted(&mut limiter.enqueue(1)).unwrap());
        fetches.extend(others);
        assert!(limiter.would_wait(), "guesses leave places to others");
        let mut last = granted(&mut limiter.enqueue(1)).unwrap();
        let mut next = limiter.enqueue(1);
        assert!(!limiter.is_over() && granted(&mut next).is_none());
        fetches.pop();
        let mut further = limiter.enqueue(1);
        drop(granted(&mut next).unwrap());
        drop(granted(&mut further).unwrap());
        fetches.push(granted(&mut limiter.enqueue(1)).unwrap());
        let mut stalled = Box::pin(last.lend_while_stalled(std::future::pending::<()>()));
        let mut waiting = limiter.enqueue(1);
        assert!(granted(&mut waiting).is_none());
        assert!(timeout(2 * STALL_TIMEOUT, &mut stalled).await.is_err());
        drop(granted(&mut waiting).unwrap());
        drop(stalled);
        drop((last, fetches));
        let fetches = limiter.state.lock().fetches;
        assert_eq!((fetches, limiter.held()), (0, 0));
    }

    proptest! {
        #[test]
        fn waiters_that_give_up_leave_nothing_behind(
            asked in prop::collection::vec((1..40_usize, any::<bool>()), 1..30),
        ) {
            let limiter = MemoryLimiter::new(50);
            let mut waiters: Vec<_> =
                asked.iter().map(|(bytes, stays)| (limiter.enqueue(*bytes), *stays)).collect();
            prop_assert!(limiter.held() <= 50);
            waiters.retain(|(_, stays)| *stays);
            for (mut waiter, _) in waiters {
                prop_assert!(granted(&mut waiter).is_some(), "stuck");
                prop_assert!(limiter.held() <= 50);
            }
            prop_assert!(!limiter.would_wait());
            let state = limiter.state.lock();
            prop_assert_eq!((state.held, state.in_flight, state.fetches), (0, 0, 0));
        }
    }
}
