//! How long a request is tried again: for ever in a mount, a few seconds before there is one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::Bucket;
use super::backoff::Backoff;
use crate::error::Error;

/// A cause that waiting seldom cures is believed after so many tries, and this time: all tries of a
/// login that is refused a connection take about as long.
const TRIES: u32 = 3;
const TIME: Duration = Duration::from_secs(4);

/// How many [`Impatience`]s of a bucket there are.
#[derive(Debug, Default)]
pub(super) struct Patience(AtomicUsize);

/// While there is one, requests to its bucket are given up within seconds for causes that waiting
/// seldom cures: nobody is there to connect to, or somebody else than S3 answers.
#[derive(Debug)]
#[must_use]
pub struct Impatience(Bucket);

/// The tries of one request.
#[derive(Debug, Default)]
pub(super) struct Tries {
    pub(super) backoff: Backoff,
    /// How many of them, one after the other, failed for a cause that waiting seldom cures.
    lasting: u32,
    /// When the first of these did.
    lasting_since: Option<Instant>,
}

impl Tries {
    /// Notes a try that failed for another cause.
    pub(super) fn note_other_fault(&mut self) {
        (self.lasting, self.lasting_since) = (0, None);
    }
}

impl Bucket {
    /// Makes requests to this bucket end, with [`Error::Transient`], for causes that waiting seldom
    /// cures, until the returned value is dropped.
    pub fn impatient(&self) -> Impatience {
        self.inner.patience.0.fetch_add(1, Ordering::Relaxed);
        Impatience(self.clone())
    }

    /// Returns `fault`, which waiting seldom cures, as an error, where it has been tried long
    /// enough.
    pub(super) fn give_up(&self, tries: &mut Tries, fault: &Error) -> Result<(), Error> {
        tries.lasting += 1;
        let waited = tries.lasting_since.get_or_insert_with(Instant::now).elapsed();
        let is_impatient = self.inner.patience.0.load(Ordering::Relaxed) > 0;
        if !is_impatient || tries.lasting < TRIES || waited < TIME {
            return Ok(());
        }
        Err(Error::transient(format!("{fault}; given up after {} s", waited.as_secs())))
    }
}

impl Drop for Impatience {
    fn drop(&mut self) {
        self.0.inner.patience.0.fetch_sub(1, Ordering::Relaxed);
    }
}
