//! One fetch, one answer: everyone who waits for the same thing shares its result and its failure.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};
use parking_lot::Mutex;

use crate::error::Error;

type Work<V> = Pin<Box<dyn Future<Output = Result<V, Error>> + Send>>;

/// Fetches in flight, by what they fetch. Nothing is kept of one that is complete.
///
/// Those who wait for a fetch poll it, and it is cancelled when the last of them is dropped; so it
/// needs no deadline of its own.
#[derive(Debug)]
pub struct SingleFlight<K, V: Clone> {
    in_flight: Arc<Mutex<InFlight<K, V>>>,
}

#[derive(Debug)]
struct InFlight<K, V: Clone> {
    fetches: HashMap<K, (u64, WeakShared<Work<V>>)>,
    last_number: u64,
}

impl<K, V: Clone> Default for SingleFlight<K, V> {
    fn default() -> Self {
        let in_flight = InFlight { fetches: HashMap::new(), last_number: 0 };
        Self { in_flight: Arc::new(Mutex::new(in_flight)) }
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Joins the fetch for `key`, or starts it with `work`. Nothing happens until the answer is
    /// awaited.
    pub fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> Shared<Work<V>>
    where
        F: Future<Output = Result<V, Error>> + Send + 'static,
    {
        let mut in_flight = self.in_flight.lock();
        if let Some(fetch) = in_flight.fetches.get(&key).and_then(|(_, fetch)| fetch.upgrade()) {
            return fetch;
        }
        in_flight.last_number += 1;
        let number = in_flight.last_number;
        let entry = Entry { in_flight: self.in_flight.clone(), key: key.clone(), number };
        let work = work();
        let work: Work<V> = Box::pin(async move {
            let _entry = entry;
            work.await
        });
        let fetch = work.shared();
        if let Some(weak) = fetch.downgrade() {
            in_flight.fetches.insert(key, (number, weak));
        }
        fetch
    }

    /// Whether a fetch for `key` is in flight.
    pub fn is_in_flight(&self, key: &K) -> bool {
        self.in_flight.lock().fetches.contains_key(key)
    }
}

/// A fetch's entry in the table: removed when the fetch is complete or cancelled.
struct Entry<K: Hash + Eq, V: Clone> {
    in_flight: Arc<Mutex<InFlight<K, V>>>,
    key: K,
    number: u64,
}

impl<K: Hash + Eq, V: Clone> Drop for Entry<K, V> {
    fn drop(&mut self) {
        let mut in_flight = self.in_flight.lock();
        // Another fetch may have been started for the key after this one was cancelled.
        if in_flight.fetches.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            in_flight.fetches.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn everyone_shares_one_fetch_and_its_failure_and_the_next_starts_anew() {
        let fetches = SingleFlight::<u8, ()>::default();
        let started = Arc::new(AtomicUsize::new(0));
        let work = || {
            let started = started.clone();
            async move {
                started.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Err(Error::transient("lost"))
            }
        };
        let (a, b) = (fetches.join(1, work), fetches.join(1, work));
        let (a, b) = futures_util::future::join(a, b).await;
        assert!(a.is_err() && b.is_err());
        assert_eq!(started.load(Ordering::Relaxed), 1);
        assert!(!fetches.is_in_flight(&1));
        assert!(fetches.join(1, work).await.is_err());
        assert_eq!(started.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_fetch_is_cancelled_with_its_last_waiter_only() {
        let fetches = SingleFlight::<u8, u8>::default();
        let (send, receive) = tokio::sync::oneshot::channel::<()>();
        let first = fetches.join(1, || async move {
            receive.await.map(|()| 7).map_err(|_| Error::transient("gone"))
        });
        let second = fetches.join(1, || async { Ok(8) });
        assert!(first.clone().now_or_never().is_none());
        drop(first);
        assert!(fetches.is_in_flight(&1));
        send.send(()).unwrap();
        assert_eq!(second.await.unwrap(), 7);
        drop(fetches.join(1, std::future::pending::<Result<u8, Error>>));
        assert!(!fetches.is_in_flight(&1));
    }
}
