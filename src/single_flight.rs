//! One flight, one answer: everyone who waits for the same thing shares its result and its failure.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};

use crate::error::Error;

type Work<V> = Pin<Box<dyn Future<Output = Result<V, Error>> + Send>>;

/// SingleFlight under way, by what they fetch. Nothing is kept of a flight that has landed.
///
/// Waiters carry the flight: it is cancelled when the last of them goes, so that it needs no
/// deadline of its own.
#[derive(Debug)]
pub struct SingleFlight<K, V: Clone> {
    aloft: Arc<Mutex<Aloft<K, V>>>,
}

#[derive(Debug)]
struct Aloft<K, V: Clone> {
    flights: HashMap<K, (u64, WeakShared<Work<V>>)>,
    started: u64,
}

impl<K, V: Clone> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self { aloft: Arc::new(Mutex::new(Aloft { flights: HashMap::new(), started: 0 })) }
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Joins the flight for `key`, or starts it with `work`. Nothing happens until the answer is
    /// awaited.
    pub fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> Shared<Work<V>>
    where
        F: Future<Output = Result<V, Error>> + Send + 'static,
    {
        let mut aloft = self.aloft.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = aloft.flights.get(&key).and_then(|(_, flight)| flight.upgrade()) {
            return flight;
        }
        aloft.started += 1;
        let number = aloft.started;
        let landing = Landing { aloft: self.aloft.clone(), key: key.clone(), number };
        let work = work();
        let work: Work<V> = Box::pin(async move {
            let _landing = landing;
            work.await
        });
        let flight = work.shared();
        if let Some(weak) = flight.downgrade() {
            aloft.flights.insert(key, (number, weak));
        }
        flight
    }

    /// Whether a flight for `key` is under way.
    pub fn is_in_flight(&self, key: &K) -> bool {
        let aloft = self.aloft.lock().unwrap_or_else(PoisonError::into_inner);
        aloft.flights.contains_key(key)
    }
}

/// Takes a flight off the table when it has landed or was cancelled.
struct Landing<K: Hash + Eq, V: Clone> {
    aloft: Arc<Mutex<Aloft<K, V>>>,
    key: K,
    number: u64,
}

impl<K: Hash + Eq, V: Clone> Drop for Landing<K, V> {
    fn drop(&mut self) {
        let mut aloft = self.aloft.lock().unwrap_or_else(PoisonError::into_inner);
        // A cancelled flight may have been followed by another one already.
        if aloft.flights.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            aloft.flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn everyone_shares_one_flight_and_its_failure_and_the_next_starts_anew() {
        let flights = SingleFlight::<u8, ()>::default();
        let started = Arc::new(AtomicUsize::new(0));
        let work = || {
            let started = started.clone();
            async move {
                started.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Err(Error::transient("lost"))
            }
        };
        let (a, b) = (flights.join(1, work), flights.join(1, work));
        let (a, b) = futures_util::future::join(a, b).await;
        assert!(a.is_err() && b.is_err());
        assert_eq!(started.load(Ordering::Relaxed), 1);
        assert!(!flights.is_in_flight(&1));
        assert!(flights.join(1, work).await.is_err());
        assert_eq!(started.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_flight_is_cancelled_with_its_last_waiter_only() {
        let flights = SingleFlight::<u8, u8>::default();
        let (send, receive) = tokio::sync::oneshot::channel::<()>();
        let first = flights.join(1, || async move {
            receive.await.map(|()| 7).map_err(|_| Error::transient("gone"))
        });
        let second = flights.join(1, || async { Ok(8) });
        assert!(first.clone().now_or_never().is_none());
        drop(first);
        assert!(flights.is_in_flight(&1));
        send.send(()).unwrap();
        assert_eq!(second.await.unwrap(), 7);
        drop(flights.join(1, std::future::pending::<Result<u8, Error>>));
        assert!(!flights.is_in_flight(&1));
    }
}
