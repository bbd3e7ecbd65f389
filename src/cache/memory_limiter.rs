//! One limiter in bytes for every block in memory: kept, on its way, or in the hands of a reader.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::PATIENCE;
use crate::error::Error;

/// Fetches on their way at once: with what S3 brings over a connection (90 MiB/s) more than the
/// wire takes. Each costs up to 400 KiB beside its bytes while the processor cannot keep up.
const CONNECTIONS: usize = 128;

/// Bytes promised before they are fetched, and counted until the last reader lets go of them.
#[derive(Debug)]
pub(super) struct MemoryLimiter {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: usize,
    /// Of these, what is promised to ranges and has not landed.
    in_flight: usize,
    /// Fetches on their way.
    flights: usize,
    queue: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
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

    /// A place in line for `bytes`.
    pub(super) fn ask(self: &Arc<Self>, bytes: usize) -> Waiter {
        let (granted, receiver) = oneshot::channel();
        self.settle(|state| state.queue.push_back(Waiting { bytes, granted }));
        Waiter { limiter: self.clone(), bytes, granted: receiver }
    }

    /// Whether `bytes` have room within the capacity, after whoever waits first.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.state().wanted() + bytes <= self.capacity
    }

    /// Whether something should be let go of: the first in line does not fit, or more is held than
    /// should be.
    pub(super) fn is_short(&self) -> bool {
        !self.has_room(0)
    }

    /// Whether somebody waits in line, or would have to.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.state();
        state.flights >= CONNECTIONS || !state.queue.is_empty()
    }

    /// Bytes held or promised.
    pub(super) fn held(&self) -> usize {
        self.state().held
    }

    /// Changes the state, and grants in turn what fits now. When nothing is on its way, nothing
    /// that is waited for would make room, so the first in line passes whatever is held: readers
    /// who hold one block and wait for another cannot lock up.
    fn settle(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        while let Some(first) = state.queue.front()
            && (first.granted.is_closed()
                || (state.flights < CONNECTIONS && state.wanted() <= self.capacity)
                || state.in_flight == 0)
        {
            let bytes = first.bytes;
            if state.queue.pop_front().is_some_and(|first| first.granted.send(()).is_ok()) {
                state.held += bytes;
                state.in_flight += bytes;
                state.flights += 1;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Bytes held, and what the first in line waits for.
    fn wanted(&self) -> usize {
        self.held + self.queue.front().map_or(0, |first| first.bytes)
    }
}

/// A place in line. Dropped, it is given up.
#[derive(Debug)]
pub(super) struct Waiter {
    limiter: Arc<MemoryLimiter>,
    bytes: usize,
    granted: oneshot::Receiver<()>,
}

impl Waiter {
    /// Waits for its turn. Safe to cancel.
    pub(super) async fn turn(&mut self) -> Result<Permit, Error> {
        (&mut self.granted)
            .await
            .map_err(|_| Error::transient("a fetch lost its place in line"))?;
        Ok(Permit { limiter: self.limiter.clone(), rest: self.bytes, lent: None })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.granted.close();
        if self.granted.try_recv().is_ok() {
            drop(Permit { limiter: self.limiter.clone(), rest: self.bytes, lent: None });
        } else {
            self.limiter.settle(|_| {});
        }
    }
}

/// Bytes promised to a range_. Dropped, it gives back what has not landed.
#[derive(Debug)]
pub(super) struct Permit {
    limiter: Arc<MemoryLimiter>,
    rest: usize,
    /// What was promised, and is with others together with the connection while the range_ stands
    /// still.
    lent: Option<usize>,
}

impl Permit {
    /// A block that has landed: counted until its last clone is gone.
    pub(super) fn hold(&mut self, block: BytesMut) -> Bytes {
        self.rest -= block.len();
        self.limiter.state().in_flight -= block.len();
        Bytes::from_owner(Held { limiter: self.limiter.clone(), block })
    }

    /// Waits for `work`. Where that takes long, what has not landed goes to others meanwhile, and
    /// is waited for in line when `work` is done: the ranges of a bucket that stands still must not
    /// keep the whole limiter from the others.
    pub(super) async fn lend_during<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Error> {
        let mut work = pin!(work);
        if let Ok(done) = timeout(PATIENCE, &mut work).await {
            return Ok(done);
        }
        let lent = self.lent.unwrap_or(0) + self.give_back();
        self.lent = Some(lent);
        let done = work.await;
        *self = self.limiter.ask(lent).turn().await?;
        Ok(done)
    }

    fn give_back(&mut self) -> usize {
        let rest = std::mem::take(&mut self.rest);
        self.limiter.settle(|state| {
            state.in_flight -= rest;
            state.held -= rest;
            state.flights -= usize::from(self.lent.is_none());
        });
        rest
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.give_back();
    }
}

struct Held {
    limiter: Arc<MemoryLimiter>,
    block: BytesMut,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.block
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.limiter.settle(|state| state.held -= self.block.len());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn granted(waiter: &mut Waiter) -> Option<Permit> {
        waiter.turn().now_or_never().map(Result::unwrap)
    }

    #[test]
    fn whoever_finds_no_room_waits_in_turn_and_bytes_count_until_the_last_reader_lets_go() {
        let limiter = MemoryLimiter::new(10);
        let mut first = granted(&mut limiter.ask(8)).unwrap();
        let (mut second, mut third) = (limiter.ask(4), limiter.ask(1));
        assert!(!limiter.has_room(1) && limiter.is_short());
        // The third would fit, but it is not its turn.
        assert!(granted(&mut second).is_none() && granted(&mut third).is_none());
        let block = first.hold(BytesMut::from(&b"12345678"[..]));
        let reader = block.slice(2..3);
        drop(block);
        assert!(granted(&mut second).is_none());
        drop(reader);
        assert!(granted(&mut second).is_some() && granted(&mut third).is_some());
        assert_eq!(limiter.held(), 0);
    }

    #[test]
    fn more_than_the_whole_budget_passes_when_nothing_is_on_its_way() {
        let limiter = MemoryLimiter::new(10);
        let mut first = granted(&mut limiter.ask(10)).unwrap();
        let mut second = limiter.ask(100);
        let pinned = first.hold(BytesMut::from(&b"1234567890"[..]));
        assert!(granted(&mut second).is_none());
        drop(first);
        assert_eq!((granted(&mut second).map(|seat| seat.rest), limiter.held()), (Some(100), 10));
        drop(pinned);
        assert_eq!(limiter.held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_stands_still_lends_its_promise_and_waits_in_line_for_it_again() {
        let limiter = MemoryLimiter::new(10);
        let mut first = granted(&mut limiter.ask(8)).unwrap();
        drop(first.hold(BytesMut::from(&b"123"[..])));
        let (moves, stall) = oneshot::channel();
        let mut stalled = Box::pin(first.lend_during(stall));
        assert!(timeout(PATIENCE / 2, &mut stalled).await.is_err());
        assert_eq!(limiter.held(), 5);
        assert!(timeout(PATIENCE, &mut stalled).await.is_err());
        let second = granted(&mut limiter.ask(10)).unwrap();
        moves.send(()).unwrap();
        assert!(timeout(PATIENCE, &mut stalled).await.is_err(), "passed without its turn");
        drop(second);
        assert!(matches!((&mut stalled).await, Ok(Ok(()))));
        drop(stalled);
        assert_eq!((first.rest, first.lent, limiter.held()), (5, None, 5));
        drop(first);
        assert_eq!(limiter.held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_fly_at_once_and_one_that_stands_still_lends_its_place() {
        let limiter = MemoryLimiter::new(10 * CONNECTIONS);
        let mut flying: Vec<_> =
            (1..CONNECTIONS).map(|_| granted(&mut limiter.ask(1)).unwrap()).collect();
        // So many in a row are all that tokio lets one task take.
        tokio::task::yield_now().await;
        assert!(!limiter.is_busy());
        let mut last = granted(&mut limiter.ask(1)).unwrap();
        let mut next = limiter.ask(1);
        assert!(limiter.is_busy() && !limiter.is_short() && granted(&mut next).is_none());
        flying.pop();
        let mut further = limiter.ask(1);
        drop(granted(&mut next).unwrap());
        drop(granted(&mut further).unwrap());
        flying.push(granted(&mut limiter.ask(1)).unwrap());
        let mut stalled = Box::pin(last.lend_during(std::future::pending::<()>()));
        assert!(timeout(2 * PATIENCE, &mut stalled).await.is_err());
        assert!(!limiter.is_busy());
        drop(stalled);
        drop((last, flying));
        let flights = limiter.state().flights;
        assert_eq!((flights, limiter.held()), (0, 0));
    }

    proptest! {
        #[test]
        fn whoever_gives_up_leaves_nothing_behind(asked in prop::collection::vec((1..40_usize, any::<bool>()), 1..30)) {
            let limiter = MemoryLimiter::new(50);
            let mut tickets: Vec<_> = asked.iter().map(|(bytes, stays)| (limiter.ask(*bytes), *stays)).collect();
            prop_assert!(limiter.held() <= 50);
            tickets.retain(|(_, stays)| *stays);
            for (mut waiter, _) in tickets {
                prop_assert!(granted(&mut waiter).is_some(), "stuck");
                prop_assert!(limiter.held() <= 50);
            }
            let in_flight = limiter.state().in_flight;
            let flights = limiter.state().flights;
            prop_assert_eq!((limiter.held(), in_flight, flights, limiter.is_busy()), (0, 0, 0, false));
        }
    }
}
