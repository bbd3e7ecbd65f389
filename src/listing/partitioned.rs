//! How a long listing is fetched: what the reader comes to next is partitioned, several partitions
//! are fetched at a time, and their pages are given out in key order.
//!
//! The first pages come one after the other, since most listings end there. A listing that goes on
//! is split, a little more the longer it is known to be (see [`SplitPlanner`]). No more pages are
//! fetched than the caller wants to have ahead of the reader.

use std::collections::VecDeque;

use super::key_interpolation::just_before;
use super::packed_page::PackedPage;
use super::split_planner::{PARTITION, SplitPlanner};
use crate::object::{Page, Prefix};
use crate::s3::Position;

/// The pages of one listing that were not given out yet.
#[derive(Debug)]
pub(super) struct PartitionedListing {
    prefix: Prefix,
    /// In key order.
    partitions: VecDeque<Partition>,
    planner: SplitPlanner,
    last_id: u64,
}

/// The keys from `start` to `limit`, given without the prefix. The last partition has no limit.
#[derive(Debug)]
pub(super) struct Partition {
    id: u64,
    pub(super) start: String,
    pub(super) limit: Option<String>,
    /// The last key that a page has brought, or the start.
    pub(super) reached: String,
    /// Where the next page starts, even while it is in flight; `None` when the last page has come.
    next: Option<Position>,
    is_in_flight: bool,
    /// How many pages have come.
    pub(super) pages: usize,
    /// Pages that wait for those before them.
    waiting: VecDeque<PackedPage>,
}

/// A page to fetch.
#[derive(Clone, Debug)]
pub(super) struct PageRequest {
    partition: u64,
    /// Where the page starts.
    pub(super) at: Position,
}

impl PartitionedListing {
    pub(super) fn new(prefix: Prefix) -> Self {
        let whole = Partition::new(1, String::new(), None, Position::Start);
        Self {
            prefix,
            partitions: VecDeque::from([whole]),
            planner: SplitPlanner::default(),
            last_id: 1,
        }
    }

    /// Returns whether every page was given out.
    pub(super) fn is_finished(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Returns the pages to fetch now, so that `most` are in flight. No more than `ahead` pages are
    /// to wait or be in flight, and no partition is begun farther ahead than that.
    pub(super) fn requests(&mut self, most: usize, ahead: usize) -> Vec<PageRequest> {
        let mut in_flight = self.in_flight();
        let mut held = in_flight + self.waiting();
        let mut requests = Vec::new();
        // Pages to come before the partition that is looked at.
        let mut before = 0.0;
        let mut index = 0;
        while index < self.partitions.len() && before < ahead as f64 {
            // What is nearly due is fetched whatever waits behind it.
            let is_due = index == 0 || before < most as f64;
            let may_request = |in_flight, held| in_flight < most && (held < ahead || is_due);
            let partition = &mut self.partitions[index];
            // One that is longer than it was meant to be leaves room for those before it.
            let is_long = partition.waiting.len() as f64 >= 2.0 * PARTITION;
            if !partition.is_in_flight
                && (is_due || !is_long)
                && may_request(in_flight, held)
                && let Some(at) = partition.next.clone()
            {
                partition.is_in_flight = true;
                requests.push(PageRequest { partition: partition.id, at });
                (in_flight, held) = (in_flight + 1, held + 1);
            }
            before += partition.waiting.len() as f64;
            let left = self.planner.pages_left(&self.partitions, index);
            if self.partitions[index].is_in_flight
                && may_request(in_flight, held)
                && before + left.min(PARTITION) < ahead as f64
                && self.planner.is_worth_splitting(&self.partitions, index, left)
                && let Some(request) = self.split(index, left)
            {
                requests.push(request);
                (in_flight, held) = (in_flight + 1, held + 1);
                before += PARTITION;
            } else {
                before += left;
            }
            index += 1;
        }
        requests
    }

    /// Returns how many pages are being fetched.
    pub(super) fn in_flight(&self) -> usize {
        self.partitions.iter().filter(|partition| partition.is_in_flight).count()
    }

    fn waiting(&self) -> usize {
        self.partitions.iter().map(|partition| partition.waiting.len()).sum()
    }

    /// Returns the bytes of memory that pages take which wait for those before them.
    pub(super) fn bytes(&self) -> usize {
        let waiting = self.partitions.iter().flat_map(|partition| &partition.waiting);
        waiting.map(|page| page.names.bytes()).sum()
    }

    /// Takes out of the page that `request` fetched what belongs to the next partition: S3 is not
    /// told where a partition ends. No further requests may be made before the page is recorded,
    /// since they may move that end.
    pub(super) fn trim(&self, request: &PageRequest, page: &mut Page) {
        let partition = self.partitions.iter().find(|partition| partition.id == request.partition);
        let Some(limit) = partition.and_then(|partition| partition.limit.as_ref()) else { return };
        let limit = self.prefix.key(limit);
        let count = |page: &Page| page.objects.len() + page.prefixes.len();
        let all = count(page);
        page.objects.retain(|object| *object.id.key < *limit);
        page.prefixes.retain(|prefix| prefix.as_str() < limit.as_str());
        if count(page) < all {
            page.next = None;
        }
    }

    /// Records the page that `request` fetched, after it was trimmed.
    pub(super) fn record(&mut self, request: &PageRequest, page: PackedPage) {
        let mut partitions = self.partitions.iter_mut();
        let Some(partition) = partitions.find(|partition| partition.id == request.partition) else {
            return;
        };
        partition.add(page, &mut self.planner);
    }

    /// Records a first page that came with other keys, before any other was asked for.
    pub(super) fn begin_with(&mut self, page: PackedPage) {
        if let Some(partition) = self.partitions.front_mut() {
            partition.add(page, &mut self.planner);
        }
    }

    /// Returns the next page in key order, when it is there.
    pub(super) fn next_page(&mut self) -> Option<PackedPage> {
        loop {
            let front = self.partitions.front_mut()?;
            if let Some(page) = front.waiting.pop_front() {
                return Some(page);
            }
            if front.is_in_flight || front.next.is_some() {
                return None;
            }
            self.partitions.pop_front();
        }
    }

    /// Drops what waits: nothing more is to be fetched or given out.
    pub(super) fn finish(&mut self) {
        self.partitions.clear();
    }

    /// Records that the requests in flight were given up, so that they are made again.
    pub(super) fn cancel_in_flight(&mut self) {
        for partition in &mut self.partitions {
            partition.is_in_flight = false;
        }
    }

    /// Splits a partition that has so many pages `left`, and returns the request for the first page
    /// of the new one.
    fn split(&mut self, index: usize, left: f64) -> Option<PageRequest> {
        let start = self.planner.split_key(&self.partitions, index, left)?;
        let limit = self.partitions[index].limit.replace(start.clone());
        // S3 starts behind the key that it is given, and a key may be just where the split is.
        let at = Position::After(self.prefix.key(&just_before(&start)));
        self.last_id += 1;
        let mut partition = Partition::new(self.last_id, start, limit, at.clone());
        partition.is_in_flight = true;
        self.partitions.insert(index + 1, partition);
        self.planner.record_split();
        Some(PageRequest { partition: self.last_id, at })
    }
}

impl Partition {
    fn new(id: u64, start: String, limit: Option<String>, next: Position) -> Self {
        Self {
            id,
            reached: start.clone(),
            start,
            limit,
            next: Some(next),
            is_in_flight: false,
            pages: 0,
            waiting: VecDeque::new(),
        }
    }

    fn add(&mut self, mut page: PackedPage, planner: &mut SplitPlanner) {
        // The first page starts behind a key that was guessed.
        let last = if self.pages > 0 { &*self.reached } else { "" };
        planner.record(last, &page.names);
        self.is_in_flight = false;
        self.pages += 1;
        self.next = page.next.take();
        if !page.last_key.is_empty() {
            page.last_key.trim_end_matches('/').clone_into(&mut self.reached);
        }
        self.waiting.push_back(page);
    }

    /// Returns whether the partition is known to have another page, which may be in flight.
    pub(super) fn has_next(&self) -> bool {
        self.next.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::listing::test_objects::object;

    /// S3 over sorted names below `p/`, a page at a time.
    fn page(names: &[String], at: &Position, size: usize) -> Page {
        let from = match at {
            Position::Start => 0,
            Position::After(key) => names.partition_point(|name| format!("p/{name}") <= *key),
            Position::Token(token) => token.parse().unwrap(),
        };
        let to = (from + size).min(names.len());
        let object = |name: &String| object(&format!("p/{name}"), "e");
        let next = (to < names.len()).then(|| Arc::from(to.to_string()));
        Page { objects: names[from..to].iter().map(object).collect(), next, ..Page::default() }
    }

    /// Lists all `names`, `most` pages at a time, answered together or at random. Returns the
    /// names, and how many requests and rounds that took.
    fn list(
        names: &[String],
        size: usize,
        most: usize,
        ahead: usize,
        mut random: Option<&mut fastrand::Rng>,
    ) -> (Vec<String>, usize, usize) {
        let prefix = Prefix::new("p");
        let mut listing = PartitionedListing::new(prefix.clone());
        let (mut in_flight, mut listed, mut count, mut rounds) = (Vec::new(), Vec::new(), 0, 0);
        while !listing.is_finished() {
            let requests = listing.requests(most, ahead);
            count += requests.len();
            in_flight.extend(requests);
            assert!(in_flight.len() <= most);
            rounds += 1;
            let mut answered = in_flight.len();
            if let Some(random) = &mut random {
                random.shuffle(&mut in_flight);
                answered = random.usize(1..=in_flight.len());
            }
            for request in in_flight.drain(..answered) {
                let mut page = page(names, &request.at, size);
                listing.trim(&request, &mut page);
                listing.record(&request, PackedPage::new(&prefix, &page));
            }
            while let Some(page) = listing.next_page() {
                listed.extend(page.names.names().map(str::to_owned));
            }
        }
        (listed, count, rounds)
    }

    #[test]
    fn every_name_comes_once_and_in_order_whatever_the_names() {
        let mut random = fastrand::Rng::with_seed(3);
        for round in 0..300 {
            let alphabet: Vec<char> =
                ["01", "abc", "09az-_.", "aé日!~"][round % 4].chars().collect();
            let longest = random.usize(1..12);
            let mut names: Vec<String> = (0..random.usize(0..900))
                .map(|_| {
                    (0..random.usize(1..=longest))
                        .map(|_| alphabet[random.usize(..alphabet.len())])
                        .collect()
                })
                .filter(|name: &String| name != "." && name != "..")
                .collect();
            names.sort();
            names.dedup();
            let (size, most) = (random.usize(1..9), random.usize(1..20));
            let ahead = random.usize(1..150);
            let (listed, _, _) = list(&names, size, most, ahead, Some(&mut random));
            assert_eq!(listed, names, "size {size}, most {most}");
        }
    }

    #[test]
    fn long_listings_are_parallel_and_cost_a_tenth_more_short_ones_nothing() {
        let date = |n: usize| format!("{}{:02}{:02}", 2002 + n / 336, n / 28 % 12 + 1, n % 28 + 1);
        type Naming = Box<dyn Fn(usize) -> String>;
        let kinds: [(&str, Naming); 7] = [
            ("numbers", Box::new(|n| format!("granule-{n:08}.nc"))),
            (
                "dates",
                Box::new(move |n| format!("{}090000-JPL-L4_GHRSST-{:03}.nc", date(n / 30), n % 30)),
            ),
            (
                "a page a day",
                Box::new(move |n| format!("{}090000-JPL-v02.0-{:06}.nc", date(n / 500), n % 500)),
            ),
            (
                "dates with gaps",
                Box::new(move |n| {
                    let day = n / 40 * if n / 4000 % 2 == 0 { 1 } else { 3 };
                    format!("{}-{:04}.nc", date(day), n % 40 * 7)
                }),
            ),
            (
                "long common prefix",
                Box::new(|n| format!("{}{:09}", "ATL03_very_long_product_name_".repeat(3), n * 37)),
            ),
            (
                "tiles",
                Box::new(|n| {
                    format!(
                        "HLS.S30.T{:02}{}.{}",
                        n / 2600,
                        (b'A' + (n / 100 % 26) as u8) as char,
                        n % 100 + 100
                    )
                }),
            ),
            (
                "hashes",
                Box::new(|n| {
                    format!("{:016x}", (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
                }),
            ),
        ];
        for (kind, name) in kinds {
            for count in [500, 2_500, 10_000, 100_000] {
                let mut names: Vec<String> = (0..count).map(&name).collect();
                names.sort();
                names.dedup();
                let (listed, requests, rounds) = list(&names, 500, 16, 320, None);
                assert!(listed == names, "{kind} {count}");
                let least = names.len().div_ceil(500);
                let allowed = if least <= 5 { least } else { least + least / 9 + 2 };
                assert!(
                    requests <= allowed,
                    "{kind} {count}: {requests} requests for {least} pages"
                );
                assert!(count < 100_000 || rounds < 99, "{kind}: {rounds} rounds");
                eprintln!(
                    "{kind} {count}: {requests} requests for {least} pages in {rounds} rounds"
                );
            }
        }
    }
}
