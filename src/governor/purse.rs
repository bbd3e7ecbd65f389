//! What the guesses of one kind, in files of one product, have earned.

use parking_lot::Mutex;

use super::Kind;

/// A balance of bytes, which guesses that are read increase and wasted ones decrease.
#[derive(Debug)]
pub(super) struct Purse {
    kind: Kind,
    /// `None`: nothing was proposed yet.
    balance: Mutex<Option<Balance>>,
}

#[derive(Clone, Copy, Debug)]
struct Balance {
    bytes: u64,
    largest: u64,
}

impl Purse {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, balance: Mutex::new(None) }
    }

    /// Returns the balance, bytes, when `wanted` are proposed.
    pub(super) fn balance(&self, wanted: u64) -> u64 {
        let first = || Balance { bytes: self.kind.first_balance(wanted), largest: 0 };
        let mut balance = self.balance.lock();
        let balance = balance.get_or_insert_with(first);
        balance.largest = balance.largest.max(self.kind.largest_balance(wanted));
        balance.bytes
    }

    /// Books `bytes` that were guessed and read.
    pub(super) fn earn(&self, bytes: u64) {
        if let Some(balance) = &mut *self.balance.lock() {
            let earned = bytes.saturating_mul(self.kind.gain());
            balance.bytes = balance.bytes.saturating_add(earned).min(balance.largest);
        }
    }

    /// Books `bytes` that were guessed for nothing.
    pub(super) fn lose(&self, bytes: u64) {
        if let Some(balance) = &mut *self.balance.lock() {
            balance.bytes = balance.bytes.saturating_sub(bytes);
        }
    }
}
