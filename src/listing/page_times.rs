//! When the pages of one directory came.

use std::time::{Duration, Instant};

/// A listing that takes hours has some thousand marks at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// Since when names were not known yet: each mark says how many were at that moment.
#[derive(Debug)]
pub(super) struct PageTimes {
    marks: Vec<(usize, Instant)>,
}

impl PageTimes {
    /// Returns the times of a listing that begins at `began`.
    pub(super) fn new(began: Instant) -> Self {
        Self { marks: vec![(0, began)] }
    }

    /// Records that there are `available` names now.
    pub(super) fn record(&mut self, available: usize, now: Instant) {
        let is_due = |(known, at): &(usize, Instant)| {
            available > *known && now.saturating_duration_since(*at) >= INTERVAL
        };
        if self.marks.last().is_some_and(is_due) {
            self.marks.push((available, now));
        }
    }

    /// Returns when the listing began.
    pub(super) fn began(&self) -> Instant {
        self.of(0)
    }

    /// Returns the last moment at which the name at `index` was not known yet, or one before it.
    pub(super) fn of(&self, index: usize) -> Instant {
        let behind = self.marks.partition_point(|(available, _)| *available <= index);
        self.marks[behind.max(1) - 1].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_as_old_as_the_last_mark_before_it() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut times = PageTimes::new(began);
        for (available, seconds) in [(1000, 0), (2000, 2), (2000, 5), (3000, 6)] {
            times.record(available, after(seconds));
        }
        for (index, seconds) in [(0, 0), (1999, 0), (2000, 2), (2999, 2), (3000, 6), (9999, 6)] {
            assert_eq!(times.of(index), after(seconds), "{index}");
        }
        assert_eq!(times.began(), began);
    }
}
