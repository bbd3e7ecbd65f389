//! For how long what was learned may be believed.

use std::time::{Duration, Instant};

use super::lookups::CachedLookup;

/// An absence, and what is only assumed, is believed for this part of the time that a presence is,
/// and never longer than [`LONGEST_ABSENCE`]: granules appear, and hardly ever go.
const ABSENCE_PART: u32 = 10;
const LONGEST_ABSENCE: Duration = Duration::from_secs(30);

/// The user's `--metadata-ttl`, and what follows from it. Each answer is for how long from now on;
/// zero is no longer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ttl {
    pub(super) ttl: Duration,
}

impl Ttl {
    /// In what was seen to be there at `at`.
    pub(super) fn in_presence(self, at: Instant) -> Duration {
        self.ttl.saturating_sub(at.elapsed())
    }

    /// In what was not there at `at`.
    pub(super) fn in_absence(self, at: Instant) -> Duration {
        (self.ttl / ABSENCE_PART).min(LONGEST_ABSENCE).saturating_sub(at.elapsed())
    }

    /// In a name that was looked up.
    pub(super) fn in_lookup(self, learned: &CachedLookup) -> Duration {
        if learned.entry.is_some() && !learned.is_assumed {
            self.in_presence(learned.at)
        } else {
            self.in_absence(learned.at)
        }
    }
}
