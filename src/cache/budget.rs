//! One budget in bytes for every block in memory: kept, on its way, or in the hands of a reader.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::PATIENCE;
use crate::error::Error;

/// Fetches on their way at once: with what S3 brings over a connection (90 MiB/s) more than the wire takes. Each costs up to
/// 400 KiB beside its bytes while the processor cannot keep up.
const CONNECTIONS: usize = 128;

/// Bytes promised before they are fetched, and counted until the last reader lets go of them.
#[derive(Debug)]
pub(super) struct Budget {
    capacity: usize,
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    held: usize,
    /// Of these, what is promised to runs and has not landed.
    aloft: usize,
    /// Fetches on their way.
    flights: usize,
    queue: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    bytes: usize,
    granted: oneshot::Sender<()>,
}

impl Budget {
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity, ledger: Mutex::default() })
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// A place in line for `bytes`.
    pub(super) fn ask(self: &Arc<Self>, bytes: usize) -> Ticket {
        let (granted, receiver) = oneshot::channel();
        self.settle(|ledger| ledger.queue.push_back(Waiting { bytes, granted }));
        Ticket { budget: self.clone(), bytes, granted: receiver }
    }

    /// Whether `bytes` have room within the capacity, after whoever waits first.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.ledger().wanted() + bytes <= self.capacity
    }

    /// Whether something should be let go of: the first in line does not fit, or more is held than should be.
    pub(super) fn is_short(&self) -> bool {
        !self.has_room(0)
    }

    /// Whether somebody waits in line, or would have to.
    pub(super) fn is_busy(&self) -> bool {
        let ledger = self.ledger();
        ledger.flights >= CONNECTIONS || !ledger.queue.is_empty()
    }

    /// Bytes held or promised.
    pub(super) fn held(&self) -> usize {
        self.ledger().held
    }

    /// Changes the ledger, and grants in turn what fits now. When nothing is on its way, nothing that is waited for would make
    /// room, so the first in line passes whatever is held: readers who hold one block and wait for another cannot lock up.
    fn settle(&self, change: impl FnOnce(&mut Ledger)) {
        let mut ledger = self.ledger();
        change(&mut ledger);
        while let Some(first) = ledger.queue.front()
            && (first.granted.is_closed()
                || (ledger.flights < CONNECTIONS && ledger.wanted() <= self.capacity)
                || ledger.aloft == 0)
        {
            let bytes = first.bytes;
            if ledger.queue.pop_front().is_some_and(|first| first.granted.send(()).is_ok()) {
                ledger.held += bytes;
                ledger.aloft += bytes;
                ledger.flights += 1;
            }
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// Bytes held, and what the first in line waits for.
    fn wanted(&self) -> usize {
        self.held + self.queue.front().map_or(0, |first| first.bytes)
    }
}

/// A place in line. Dropped, it is given up.
#[derive(Debug)]
pub(super) struct Ticket {
    budget: Arc<Budget>,
    bytes: usize,
    granted: oneshot::Receiver<()>,
}

impl Ticket {
    /// Waits for its turn. Safe to cancel.
    pub(super) async fn turn(&mut self) -> Result<Reservation, Error> {
        (&mut self.granted).await.map_err(|_| Error::transient("a fetch lost its place in line"))?;
        Ok(Reservation { budget: self.budget.clone(), rest: self.bytes, lent: None })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.granted.close();
        if self.granted.try_recv().is_ok() {
            drop(Reservation { budget: self.budget.clone(), rest: self.bytes, lent: None });
        } else {
            self.budget.settle(|_| {});
        }
    }
}

/// Bytes promised to a run. Dropped, it gives back what has not landed.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<Budget>,
    rest: usize,
    /// What was promised, and is with others together with the connection while the run stands still.
    lent: Option<usize>,
}

impl Reservation {
    /// A block that has landed: counted until its last clone is gone.
    pub(super) fn hold(&mut self, block: BytesMut) -> Bytes {
        self.rest -= block.len();
        self.budget.ledger().aloft -= block.len();
        Bytes::from_owner(Held { budget: self.budget.clone(), block })
    }

    /// Waits for `work`. Where that takes long, what has not landed goes to others meanwhile, and is waited for in line when
    /// `work` is done: the runs of a bucket that stands still must not keep the whole budget from the others.
    pub(super) async fn lend_during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Error> {
        let mut work = pin!(work);
        if let Ok(done) = timeout(PATIENCE, &mut work).await {
            return Ok(done);
        }
        let lent = self.lent.unwrap_or(0) + self.give_back();
        self.lent = Some(lent);
        let done = work.await;
        *self = self.budget.ask(lent).turn().await?;
        Ok(done)
    }

    fn give_back(&mut self) -> usize {
        let rest = std::mem::take(&mut self.rest);
        self.budget.settle(|ledger| {
            ledger.aloft -= rest;
            ledger.held -= rest;
            ledger.flights -= usize::from(self.lent.is_none());
        });
        rest
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.give_back();
    }
}

struct Held {
    budget: Arc<Budget>,
    block: BytesMut,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.block
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.settle(|ledger| ledger.held -= self.block.len());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn granted(ticket: &mut Ticket) -> Option<Reservation> {
        ticket.turn().now_or_never().map(Result::unwrap)
    }

    #[test]
    fn whoever_finds_no_room_waits_in_turn_and_bytes_count_until_the_last_reader_lets_go() {
        let budget = Budget::new(10);
        let mut first = granted(&mut budget.ask(8)).unwrap();
        let (mut second, mut third) = (budget.ask(4), budget.ask(1));
        assert!(!budget.has_room(1) && budget.is_short());
        // The third would fit, but it is not its turn.
        assert!(granted(&mut second).is_none() && granted(&mut third).is_none());
        let block = first.hold(BytesMut::from(&b"12345678"[..]));
        let reader = block.slice(2..3);
        drop(block);
        assert!(granted(&mut second).is_none());
        drop(reader);
        assert!(granted(&mut second).is_some() && granted(&mut third).is_some());
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn more_than_the_whole_budget_passes_when_nothing_is_on_its_way() {
        let budget = Budget::new(10);
        let mut first = granted(&mut budget.ask(10)).unwrap();
        let mut second = budget.ask(100);
        let pinned = first.hold(BytesMut::from(&b"1234567890"[..]));
        assert!(granted(&mut second).is_none());
        drop(first);
        assert_eq!((granted(&mut second).map(|seat| seat.rest), budget.held()), (Some(100), 10));
        drop(pinned);
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_stands_still_lends_its_promise_and_waits_in_line_for_it_again() {
        let budget = Budget::new(10);
        let mut first = granted(&mut budget.ask(8)).unwrap();
        drop(first.hold(BytesMut::from(&b"123"[..])));
        let (moves, stall) = oneshot::channel();
        let mut stalled = Box::pin(first.lend_during(stall));
        assert!(timeout(PATIENCE / 2, &mut stalled).await.is_err());
        assert_eq!(budget.held(), 5);
        assert!(timeout(PATIENCE, &mut stalled).await.is_err());
        let second = granted(&mut budget.ask(10)).unwrap();
        moves.send(()).unwrap();
        assert!(timeout(PATIENCE, &mut stalled).await.is_err(), "passed without its turn");
        drop(second);
        assert!(matches!((&mut stalled).await, Ok(Ok(()))));
        drop(stalled);
        assert_eq!((first.rest, first.lent, budget.held()), (5, None, 5));
        drop(first);
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_fly_at_once_and_one_that_stands_still_lends_its_place() {
        let budget = Budget::new(10 * CONNECTIONS);
        let mut flying: Vec<_> = (1..CONNECTIONS).map(|_| granted(&mut budget.ask(1)).unwrap()).collect();
        // So many in a row are all that tokio lets one task take.
        tokio::task::yield_now().await;
        assert!(!budget.is_busy());
        let mut last = granted(&mut budget.ask(1)).unwrap();
        let mut next = budget.ask(1);
        assert!(budget.is_busy() && !budget.is_short() && granted(&mut next).is_none());
        flying.pop();
        let mut further = budget.ask(1);
        drop(granted(&mut next).unwrap());
        drop(granted(&mut further).unwrap());
        flying.push(granted(&mut budget.ask(1)).unwrap());
        let mut stalled = Box::pin(last.lend_during(std::future::pending::<()>()));
        assert!(timeout(2 * PATIENCE, &mut stalled).await.is_err());
        assert!(!budget.is_busy());
        drop(stalled);
        drop((last, flying));
        let flights = budget.ledger().flights;
        assert_eq!((flights, budget.held()), (0, 0));
    }

    proptest! {
        #[test]
        fn whoever_gives_up_leaves_nothing_behind(asked in prop::collection::vec((1..40_usize, any::<bool>()), 1..30)) {
            let budget = Budget::new(50);
            let mut tickets: Vec<_> = asked.iter().map(|(bytes, stays)| (budget.ask(*bytes), *stays)).collect();
            prop_assert!(budget.held() <= 50);
            tickets.retain(|(_, stays)| *stays);
            for (mut ticket, _) in tickets {
                prop_assert!(granted(&mut ticket).is_some(), "stuck");
                prop_assert!(budget.held() <= 50);
            }
            let aloft = budget.ledger().aloft;
            let flights = budget.ledger().flights;
            prop_assert_eq!((budget.held(), aloft, flights, budget.is_busy()), (0, 0, 0, false));
        }
    }
}
