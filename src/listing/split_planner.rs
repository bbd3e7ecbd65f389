//! Where a long listing is split, so that its parts are fetched side by side.
//!
//! A split costs about half a page where the partition before it ends in the middle of one, and a
//! whole page where no key is behind it. So the splits are counted against the pages that the
//! listing is known to have.

use std::collections::VecDeque;

use super::key_interpolation::KeySpace;
use super::packed_names::PackedNames;
use super::partitioned::Partition;

/// How many pages a new partition is to have.
pub(super) const PARTITION: f64 = 20.0;
/// A partition is cut a little before a page's end, so that the last page misses no few names.
const MARGIN: f64 = 0.1;
/// A split may cost half a page or a whole one, so a listing must have so many pages for each.
const PAGES_PER_SPLIT: f64 = 12.0;
/// While nothing is known of what is ahead, the listing is taken to have so many times the pages
/// that are known.
const HIDDEN_PAGES: f64 = 1.5;
/// A partition with fewer pages left is not worth a split.
const WORTH_SPLITTING: f64 = 3.0;
/// A partition with so many pages left is cut where a new one is to start, and a shorter one is
/// halved.
const LONG: f64 = 1.5 * PARTITION;
/// A partition that has had many pages is taken to have at least this part of them left: the keys
/// may be denser than they were.
const LEAST_LEFT: f64 = 0.25;
/// With so many pages, a partition shows by itself how dense its keys are.
const DENSITY_PAGES: usize = 3;
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
    /// Records the names of one more page, which are behind the name `last` if there is one.
    pub(super) fn record(&mut self, last: &str, names: &PackedNames) {
        self.pages += 1;
        let samples = names.names().step_by((names.len() / SAMPLES).max(1));
        self.keys.learn(last, samples.chain(names.last_name()));
        if self.first_name.is_none() {
            self.first_name = names.first_name().map(str::to_owned);
        }
    }

    /// Records that a partition was split.
    pub(super) fn record_split(&mut self) {
        self.splits += 1;
    }

    /// Returns whether to split a partition that has so many pages `left`.
    pub(super) fn is_worth_splitting(
        &self,
        partitions: &VecDeque<Partition>,
        index: usize,
        left: f64,
    ) -> bool {
        let partition = &partitions[index];
        // Only once it has shown that there are keys behind the last split.
        if partition.pages == 0 || !partition.has_next() {
            return false;
        }
        let estimate = match partition.limit {
            Some(_) => self.pages as f64 + left,
            None => HIDDEN_PAGES * self.pages as f64,
        };
        left >= WORTH_SPLITTING && (self.splits + 1) as f64 <= estimate / PAGES_PER_SPLIT
    }

    /// Returns the key, without the prefix, at which to split a partition that has so many pages
    /// `left`: so far behind what it has reached as a partition is to be long.
    pub(super) fn split_key(
        &self,
        partitions: &VecDeque<Partition>,
        index: usize,
        left: f64,
    ) -> Option<String> {
        let (partition, length) = (&partitions[index], PARTITION - MARGIN);
        match &partition.limit {
            Some(limit) => {
                let part = if left < LONG { 0.5 } else { length / left };
                self.keys.between(&partition.reached, limit, part)
            }
            None => {
                let known: f64 = (0..index).map(|index| self.pages_left(partitions, index)).sum();
                let known = known + partitions.iter().map(|p| p.pages as f64).sum::<f64>();
                let first = self.start(partitions.front()?)?;
                self.keys.beyond(first, &partition.reached, length / known.max(1.0))
            }
        }
    }

    /// Returns how many pages a partition still has, by the distance to its limit. The last one,
    /// which has no limit, is taken to be worth a split once it has shown that it has keys.
    pub(super) fn pages_left(&self, partitions: &VecDeque<Partition>, index: usize) -> f64 {
        let partition = &partitions[index];
        if !partition.has_next() {
            return 0.0;
        }
        let Some(limit) = &partition.limit else {
            return if partition.pages > 0 { LONG } else { 1.0 };
        };
        let own = partitions.range(index..=index);
        let seen = if partition.pages < DENSITY_PAGES { partitions.iter() } else { own };
        let (Some(first), Some(back)) =
            (partitions.front().and_then(|front| self.start(front)), partitions.back())
        else {
            return 1.0;
        };
        let distance = |from: &str, to: &str| self.keys.distance(from, to, first, &back.reached);
        let (mut pages, mut covered) = (0, 0.0);
        for partition in seen.filter(|partition| partition.pages > 0) {
            pages += partition.pages;
            covered +=
                self.start(partition).map_or(0.0, |start| distance(start, &partition.reached));
        }
        let left = distance(&partition.reached, limit);
        let least = (partition.pages as f64 * LEAST_LEFT).max(1.0);
        if covered > 0.0 { (pages as f64 / covered * left).max(least) } else { least }
    }

    /// Returns where a partition starts: the first one where the names do.
    fn start<'a>(&'a self, partition: &'a Partition) -> Option<&'a str> {
        let start = Some(&*partition.start).filter(|start| !start.is_empty());
        start.or(self.first_name.as_deref())
    }
}
