//! The guesses of one predictor, and each of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::purse::Purse;
use super::{Governor, IDLE, Kind, State};

/// What one predictor has guessed: one stream, or one kind of guess about an open object.
#[derive(Debug)]
pub struct Account {
    governor: Arc<Governor>,
    number: u64,
    kind: Kind,
    purse: Arc<Purse>,
}

/// The unread guesses of an account.
#[derive(Debug)]
pub(super) struct Usage {
    kind: Kind,
    purse: Arc<Purse>,
    /// Bytes that are fetched, and those that are on paper.
    fetched: u64,
    on_paper: u64,
    /// When something was last proposed or read.
    last: Instant,
}

/// How much of a proposal to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Bytes to be fetched.
    pub granted: u64,
    /// Whether the rest is to be kept on paper, since the purse does not cover it.
    pub is_noted: bool,
}

/// What limits an account, bytes.
struct Bounds {
    /// What the purse covers beside what is unread.
    covered: u64,
    /// What the mount has room for.
    room: u64,
    /// What is unread of the account itself.
    own: u64,
}

impl Usage {
    fn new(account: &Account) -> Self {
        let (kind, purse) = (account.kind, account.purse.clone());
        Self { kind, purse, fetched: 0, on_paper: 0, last: Instant::now() }
    }

    fn unread(&mut self, is_fetched: bool) -> &mut u64 {
        if is_fetched { &mut self.fetched } else { &mut self.on_paper }
    }
}

impl Account {
    pub(super) fn new(governor: Arc<Governor>, number: u64, kind: Kind, purse: Arc<Purse>) -> Self {
        Self { governor, number, kind, purse }
    }

    /// Returns the kind of its guesses.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns how many bytes of this account may be unread now, whatever they have earned.
    #[must_use]
    pub fn share(&self) -> u64 {
        let Bounds { room, own, .. } = self.bounds(0);
        room.saturating_add(own)
    }

    /// Returns how many bytes of this account may be unread now.
    #[must_use]
    pub fn limit(&self) -> u64 {
        let Bounds { covered, room, own } = self.bounds(0);
        covered.min(room).saturating_add(own)
    }

    /// Returns how much may be fetched when `wanted` bytes more are proposed.
    #[must_use]
    pub fn allowance(&self, wanted: u64) -> Allowance {
        let Bounds { covered, room, .. } = self.bounds(wanted);
        let mut granted = wanted.min(covered).min(room);
        if self.kind.is_indivisible() && granted < wanted {
            granted = 0;
        }
        Allowance { granted, is_noted: covered < room.min(wanted) }
    }

    fn bounds(&self, wanted: u64) -> Bounds {
        let balance = self.purse.balance(wanted);
        let mut state = self.governor.state.lock();
        let own = state.usage_of(self);
        own.last = Instant::now();
        let (now, on_paper, own) = (own.last, own.on_paper, own.fetched);
        let (mut of_purse, mut of_streams, mut of_all, mut streams) = (on_paper, 0, 0, 0);
        state.usages.retain(|_, usage| {
            if now.saturating_duration_since(usage.last) > IDLE {
                return usage.fetched + usage.on_paper > 0;
            }
            of_all += usage.fetched;
            if Arc::ptr_eq(&usage.purse, &self.purse) {
                // What others have on paper costs nothing.
                of_purse += usage.fetched;
            }
            if usage.kind == Kind::Stream {
                of_streams += usage.fetched;
                streams += 1;
            }
            true
        });
        let limit = self.governor.limit;
        let room = if self.kind == Kind::Stream {
            // Other guesses must not stop a stream.
            let room = limit.saturating_sub(of_streams).min((limit / 2 * 3).saturating_sub(of_all));
            room.min((limit / streams.max(1)).saturating_sub(own))
        } else {
            limit.saturating_sub(of_all)
        };
        Bounds { covered: balance.saturating_sub(of_purse), room, own }
    }

    /// Books a guess of `bytes` that is fetched.
    #[must_use]
    pub fn fetch(self: &Arc<Self>, bytes: u64) -> Guess {
        self.governor.books.of(self.kind).granted.fetch_add(bytes, Ordering::Relaxed);
        self.book(bytes, true)
    }

    /// Books a guess of `bytes` that is kept on paper.
    #[must_use]
    pub fn note(self: &Arc<Self>, bytes: u64) -> Guess {
        self.book(bytes, false)
    }

    fn book(self: &Arc<Self>, bytes: u64, is_fetched: bool) -> Guess {
        self.with_usage(|usage| *usage.unread(is_fetched) += bytes);
        Guess { account: self.clone(), bytes, is_fetched }
    }

    fn with_usage(&self, change: impl FnOnce(&mut Usage)) {
        change(self.governor.state.lock().usage_of(self));
    }
}

impl State {
    fn usage_of(&mut self, account: &Account) -> &mut Usage {
        self.usages.entry(account.number).or_insert_with(|| Usage::new(account))
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.governor.state.lock().usages.remove(&self.number);
    }
}

/// Bytes of a block that were guessed and not read so far. Dropped, they are neither read nor
/// wasted: their fetch has failed, or they are proposed anew.
#[derive(Debug)]
pub struct Guess {
    account: Arc<Account>,
    pub(super) bytes: u64,
    is_fetched: bool,
}

impl Guess {
    /// Books that somebody reads them.
    pub fn read(self) {
        self.account.purse.earn(self.bytes);
        self.account.with_usage(|usage| usage.last = Instant::now());
        if self.is_fetched {
            let books = self.account.governor.books.of(self.account.kind);
            books.read.fetch_add(self.bytes, Ordering::Relaxed);
        }
    }

    /// Books that nobody has read them.
    pub fn waste(self) {
        self.account.purse.lose(self.bytes);
        if self.is_fetched {
            let books = self.account.governor.books.of(self.account.kind);
            books.wasted.fetch_add(self.bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Guess {
    fn drop(&mut self) {
        let (bytes, is_fetched) = (self.bytes, self.is_fetched);
        self.account.with_usage(|usage| *usage.unread(is_fetched) -= bytes);
    }
}
