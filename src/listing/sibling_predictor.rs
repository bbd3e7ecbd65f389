//! Predicts that the children of one prefix are going to be listed one after the other.

use std::time::{Duration, Instant};

/// So many children may be listed by chance.
const MAX_COINCIDENCES: u32 = 2;
/// Whoever lists the next child later than this does something else.
const MAX_INTERVAL: Duration = Duration::from_secs(10);
/// The pause after wasted listings doubles no further than this.
const MAX_DOUBLINGS: u32 = 10;

/// What is known of the readers of one prefix's children.
#[derive(Debug, Default)]
pub(super) struct SiblingPredictor {
    /// How many children were listed one after the other.
    listed: u32,
    last: Option<Instant>,
    /// How many more must be listed before the next prediction.
    suspended_for: u32,
    wasted: u32,
}

impl SiblingPredictor {
    /// Records that one more child is listed.
    pub(super) fn record(&mut self, now: Instant) {
        if self.last.replace(now).is_some_and(|last| now.duration_since(last) > MAX_INTERVAL) {
            self.listed = 0;
        }
        self.listed += 1;
        self.suspended_for = self.suspended_for.saturating_sub(1);
    }

    /// Returns whether more children, or what is below them, are going to be listed.
    pub(super) fn is_walk(&self, now: Instant) -> bool {
        let is_recent = self.last.is_some_and(|last| now.duration_since(last) <= MAX_INTERVAL);
        is_recent && self.listed > MAX_COINCIDENCES && self.suspended_for == 0
    }

    /// Records that a recursive listing filled a directory.
    pub(super) fn mark_useful(&mut self, now: Instant) {
        self.last = Some(now);
        (self.wasted, self.suspended_for) = (0, 0);
    }

    /// Records that a recursive listing was of no use: the subtree is huge, or nobody read what it
    /// brought.
    pub(super) fn mark_wasted(&mut self) {
        self.wasted += 1;
        self.suspended_for = 1 << self.wasted.min(MAX_DOUBLINGS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_sibling_makes_a_prediction_and_wasted_ones_suspend_it() {
        let (mut siblings, now) = (SiblingPredictor::default(), Instant::now());
        let record = |siblings: &mut SiblingPredictor| {
            siblings.record(now);
            siblings.is_walk(now)
        };
        assert_eq!([(); 3].map(|()| record(&mut siblings)), [false, false, true]);
        siblings.mark_wasted();
        assert_eq!([(); 2].map(|()| record(&mut siblings)), [false, true]);
        siblings.mark_wasted();
        assert_eq!((0..4).filter(|_| record(&mut siblings)).count(), 1);
        siblings.mark_wasted();
        siblings.mark_useful(now + MAX_INTERVAL);
        assert!(siblings.is_walk(now + MAX_INTERVAL) && !siblings.is_walk(now + MAX_INTERVAL * 3));
        siblings.record(now + MAX_INTERVAL * 3);
        assert!(!siblings.is_walk(now + MAX_INTERVAL * 3));
    }
}
