//! Which guesses of what will be read are fetched, and what became of them.
//!
//! Predictors only propose. Each of their guesses is booked in a purse: there is one for each
//! [`Kind`] of guess and each [`Product`].
//! - A purse has a balance in bytes, which starts small. A guessed byte that somebody reads adds
//!   several to it; one that is wasted, since it was evicted or its file was closed unread, takes
//!   one.
//! - No more guessed bytes are unread at a time than the balance has.
//! - A guess that the balance does not cover is kept on paper: it is not fetched, but booked as if
//!   it had been. So a purse that is empty opens again as soon as its guesses are right.
//!
//! All guesses of a mount that are unread have half of the cache together, which its streams share
//! evenly. These have a quarter more where other guesses take the half.

mod account;
mod kind;
mod product;
mod purse;
mod totals;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

pub use account::{Account, Allowance, Guess};
pub use kind::Kind;
pub use product::Product;
pub use totals::Totals;

use crate::weighted_lru::WeightedLru;
use account::Usage;
use purse::Purse;
use totals::Books;

/// The purses that are remembered, of some 100 bytes each.
const MAX_PURSES: usize = 10_000;
/// Guesses of whom nothing was proposed or read for this long give their room to others, until
/// they go on.
const IDLE: Duration = Duration::from_secs(10);

/// Grants the guesses of a mount.
#[derive(Debug)]
pub struct Governor {
    /// The most bytes that are guessed and unread.
    limit: u64,
    books: Books,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    purses: WeightedLru<(Product, Kind), Arc<Purse>>,
    /// Of accounts, by their numbers, that have unread guesses or made some lately.
    usages: HashMap<u64, Usage>,
    last_number: u64,
}

impl Governor {
    /// Returns a governor for at most `limit` guessed bytes at a time.
    #[must_use]
    pub fn new(limit: u64) -> Arc<Self> {
        let state =
            State { purses: WeightedLru::new(MAX_PURSES), usages: HashMap::new(), last_number: 0 };
        Arc::new(Self { limit, books: Books::default(), state: Mutex::new(state) })
    }

    /// Returns an account for one predictor's guesses of this kind in objects of `product`.
    #[must_use]
    pub fn account(self: &Arc<Self>, kind: Kind, product: &Product) -> Arc<Account> {
        let mut state = self.state.lock();
        let key = (product.clone(), kind);
        let known = state.purses.get(&key).cloned();
        let purse = known.unwrap_or_else(|| {
            let new = Arc::new(Purse::new(kind));
            state.purses.insert(key, new.clone(), 1);
            new
        });
        state.last_number += 1;
        Arc::new(Account::new(self.clone(), state.last_number, kind, purse))
    }

    /// Returns what became of the guesses of each kind so far.
    #[must_use]
    pub fn totals(&self) -> Vec<(Kind, Totals)> {
        Kind::ALL.iter().map(|kind| (*kind, self.books.totals(*kind))).collect()
    }
}

#[cfg(test)]
mod tests;
