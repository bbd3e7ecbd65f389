//! For how long what was learned may be believed.

use std::time::{Duration, Instant};

use super::lookups::CachedLookup;

/// An absence, and what is only assumed, is valid for this fraction of the time that a presence is,
/// and never longer than [`LONGEST_ABSENCE`]: objects of NASA's archives appear, and hardly ever
/// go.
const ABSENCE_DIVISOR: u32 = 10;
const LONGEST_ABSENCE: Duration = Duration::from_secs(30);

/// The user's `--metadata-ttl`, and what follows from it.
///
/// What is returned is the time that is left from now on; zero when it is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ttl(pub(super) Duration);

impl Ttl {
    /// Returns for how long something is believed that was there at `at`.
    pub(super) fn of_presence(self, at: Instant) -> Duration {
        self.0.saturating_sub(at.elapsed())
    }

    /// Returns for how long an absence is believed that was seen at `at`.
    pub(super) fn of_absence(self, at: Instant) -> Duration {
        (self.0 / ABSENCE_DIVISOR).min(LONGEST_ABSENCE).saturating_sub(at.elapsed())
    }

    /// Returns for how long a lookup is believed.
    pub(super) fn of_lookup(self, lookup: &CachedLookup) -> Duration {
        if lookup.entry.is_some() && lookup.assumed.is_none() {
            self.of_presence(lookup.at)
        } else {
            self.of_absence(lookup.at)
        }
    }
}
