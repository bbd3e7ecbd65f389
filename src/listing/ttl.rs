//! For how long what was learned may be believed.

use std::time::{Duration, Instant};

use super::lookups::CachedLookup;

/// An absence, and what is only assumed, is valid for this fraction of the time that a presence is,
/// and never longer than [`LONGEST_ABSENCE`]: objects of NASA's archives appear, and hardly ever
/// go.
const ABSENCE_DIVISOR: u32 = 10;
const LONGEST_ABSENCE: Duration = Duration::from_secs(30);

/// A name that an open directory shows is believed for this long from then on, however old it is,
/// so that whoever lists a directory with its attributes need not ask for each by itself.
const SHOWN: Duration = Duration::from_secs(5);
/// For how many times that long after its time to live it is.
const SHOWN_LATE: u32 = 12;

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

    /// Returns for how long a name of a listing is believed that was there at `at` and was shown,
    /// with others of its directory, at `shown`.
    pub(super) fn of_listed(self, at: Instant, shown: Instant) -> Duration {
        let longer = self.0.min(SHOWN);
        let is_late = at.elapsed() > self.0 + longer * SHOWN_LATE;
        let longer = if is_late { Duration::ZERO } else { longer };
        self.of_presence(at).max(longer.saturating_sub(shown.elapsed()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_shown_late_is_believed_for_a_moment() {
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        // The time to live, the ages of the name and of its showing, and for how long it is
        // believed, all in seconds.
        for (ttl, age, shown, expected) in [
            (300, 0, 0, 300),
            (300, 100, 100, 200),
            (300, 298, 0, 5),
            (300, 310, 0, 5),
            (300, 310, 3, 2),
            (300, 310, 310, 0),
            (300, 359, 0, 5),
            (300, 361, 0, 0),
            (1, 12, 0, 1),
            (1, 14, 0, 0),
            (0, 0, 0, 0),
        ] {
            let left = Ttl(Duration::from_secs(ttl)).of_listed(ago(age), ago(shown));
            let rounded = (left + Duration::from_millis(500)).as_secs();
            assert_eq!(rounded, expected, "{ttl} {age} {shown}");
        }
    }
}
