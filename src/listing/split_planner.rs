//! Where a long listing is split, so that its parts are fetched side by side.
//!
//! A split costs about half a page where the partition before it ends in the middle of one, and a
//! whole page where no key is behind it. So the splits are counted against the pages that the
//! listing is known to have.

use std::collections::VecDeque;

use super::key_interpolation::KeySpace;
use super::packed_names::PackedNames;
use super::partitioned::Partition;

/// A split may cost half a page or a whole one, so a listing must have so many pages for each.
const PAGES_PER_SPLIT: f64 = 9.0;
/// While the end of the listing is looked for, it is taken to have so many times the pages that are
/// known.
const HIDDEN_PAGES: f64 = 1.5;
/// A partition with fewer pages left is not worth a split.
const WORTH_SPLITTING: f64 = 3.0;
/// How many names of a page teach the key space.
const SAMPLES: usize = 50;

/// What the pages so far tell of the whole listing.
#[derive(Debug, Default)]
pub(super) struct SplitPlanner {
    keys: KeySpace,
    first_name: Option<String>,
    pages: usize,
    splits: usize,
}

impl SplitPlanner {
    /// Records the names of one more page.
    pub(super) fn record(&mut self, names: &PackedNames) {
        self.pages += 1;
        let samples = names.names().step_by((names.len() / SAMPLES).max(1));
        self.keys.learn(samples.chain(names.last_name()));
        if self.first_name.is_none() {
            self.first_name = names.first_name().map(str::to_owned);
        }
    }

    /// Records that a partition was split.
    pub(super) fn record_split(&mut self) {
        self.splits += 1;
    }

    /// Returns the index of the partition to split next. First the end of the listing is looked
    /// for, in steps that double; then the longest partitions are halved.
    pub(super) fn worth_splitting(
        &self,
        partitions: &VecDeque<Partition>,
        most: usize,
    ) -> Option<usize> {
        let splits = (self.splits + 1) as f64;
        let density = self.density(partitions);
        let estimate = self.estimate(partitions, density);
        let last = partitions.len().checked_sub(1)?;
        let open = &partitions[last];
        if open.has_next() || open.is_in_flight() {
            // Only once it has shown that there are keys behind the last split.
            return (open.pages > 0
                && open.has_next()
                && splits <= HIDDEN_PAGES * estimate / PAGES_PER_SPLIT)
                .then_some(last);
        }
        let (index, left) = partitions
            .iter()
            .map(|partition| self.pages_left(partition, partitions, density))
            .enumerate()
            .filter(|(index, _)| partitions[*index].pages > 0)
            .max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        let worth = WORTH_SPLITTING.max(estimate / (2 * most) as f64);
        (left >= worth && splits <= estimate / PAGES_PER_SPLIT).then_some(index)
    }

    /// Returns the key, without the prefix, at which to split a partition: in the middle of what is
    /// left of it, or behind the last name that is known.
    pub(super) fn split_key(&self, partition: &Partition) -> Option<String> {
        match &partition.limit {
            Some(limit) => self.keys.between(&partition.reached, limit),
            None => self.keys.beyond(self.first_name.as_deref()?, &partition.reached),
        }
    }

    /// Returns how many pages the listing has at least, as far as the splits have shown.
    fn estimate(&self, partitions: &VecDeque<Partition>, density: f64) -> f64 {
        let bounded = partitions.iter().filter(|partition| partition.limit.is_some());
        let left: f64 =
            bounded.map(|partition| self.pages_left(partition, partitions, density)).sum();
        self.pages as f64 + left
    }

    /// Returns the pages per unit of distance in the key space.
    fn density(&self, partitions: &VecDeque<Partition>) -> f64 {
        let (Some(first), Some(back)) = (&self.first_name, partitions.back()) else { return 0.0 };
        let covered = |partition: &Partition, start: &str| {
            self.keys.distance(start, &partition.reached, first, &back.reached)
        };
        let mut partitions = partitions.iter();
        // The front also counts the finished partitions before it.
        let front = partitions.next().map_or(0.0, |front| covered(front, first));
        let others: f64 = partitions.map(|partition| covered(partition, &partition.start)).sum();
        if front + others > 0.0 { self.pages as f64 / (front + others) } else { 0.0 }
    }

    /// Returns how many pages a partition still has, by the distance to its limit. The last one,
    /// which has no limit, is taken to have as many as came so far.
    fn pages_left(
        &self,
        partition: &Partition,
        partitions: &VecDeque<Partition>,
        density: f64,
    ) -> f64 {
        if !partition.has_next() {
            return 0.0;
        }
        match (&partition.limit, &self.first_name, partitions.back()) {
            (Some(limit), Some(first), Some(back)) => {
                density * self.keys.distance(&partition.reached, limit, first, &back.reached)
            }
            _ => self.pages as f64,
        }
    }
}
