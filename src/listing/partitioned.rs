//! How a long listing is fetched: in segments of the key space, several at a time, read in order.
//!
//! The first pages come one after the other: most listings end there. One that goes on is cut, a
//! little more the longer it is known to be. A cut costs about half a page, where its segment ends
//! in the middle of one, and a whole one where nothing is behind it; so cuts are counted against
//! the pages that are known to be there.

use std::collections::VecDeque;
use std::sync::Arc;

use super::key_interpolation::Alphabet;
use super::name_table::NameTable;
use crate::object::{Entry, NamedEntry, Page, Prefix};
use crate::s3::Position;

/// Pages for each cut.
const PAGES_PER_CUT: f64 = 9.0;
/// The end may turn out to be near, or far: so much more than is known may be there.
const LEAP: f64 = 1.5;
/// A segment with fewer pages left is not worth a cut.
const WORTH_CUTTING: f64 = 3.0;
/// How many names of a page teach the alphabet.
const LESSONS: usize = 50;

/// The segments of one listing that are not read yet.
#[derive(Debug)]
pub(super) struct PartitionedListing {
    prefix: Prefix,
    queue: VecDeque<Segment>,
    alphabet: Alphabet,
    first_name: Option<String>,
    pages: usize,
    cuts: usize,
    numbers: u64,
}

/// Names from `start` to `limit`, keys without the prefix. The last segment has no limit.
#[derive(Debug)]
struct Segment {
    number: u64,
    start: String,
    limit: Option<String>,
    /// The last name so far, or the start.
    reached: String,
    next: Option<Position>,
    is_in_flight: bool,
    pages: usize,
    landed: VecDeque<Waiting>,
}

/// A page that is not read yet.
#[derive(Debug)]
enum Waiting {
    /// Of the first segment, which is read at once.
    Whole(Landed),
    /// Of a later one, which may wait for long: of three million names, half a million do.
    NameTable { names: NameTable, bucket: Arc<str>, unshowable: usize, last: String },
}

/// A page, as names.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) names: Vec<NamedEntry>,
    pub(super) unshowable: usize,
    /// The last key, without the prefix; empty where the page was.
    pub(super) last: String,
}

impl Landed {
    /// The names that `page` gives to the directory `prefix`.
    pub(super) fn of_page(prefix: &Prefix, page: Page) -> Self {
        let last_object = page.objects.last().map_or("", |object| &object.id.key);
        let last_prefix = page.prefixes.last().map_or("", Prefix::as_str);
        let last = last_object
            .max(last_prefix)
            .strip_prefix(prefix.as_str())
            .unwrap_or_default()
            .to_owned();
        let (names, unshowable) = NamedEntry::of_page(prefix, page);
        Self { names, unshowable, last }
    }
}

/// A page to fetch.
#[derive(Clone, Debug)]
pub(super) struct Job {
    segment: u64,
    pub(super) at: Position,
}

impl Waiting {
    fn pack(landed: Landed) -> Self {
        let object = landed.names.iter().find_map(|shown| match &shown.entry {
            Entry::File(object) => Some(object.id.bucket.clone()),
            Entry::Directory(_) => None,
        });
        let mut names = NameTable::default();
        names.append(&landed.names);
        Self::NameTable {
            names,
            bucket: object.unwrap_or_default(),
            unshowable: landed.unshowable,
            last: landed.last,
        }
    }

    fn unpack(self, prefix: &Prefix) -> Landed {
        match self {
            Self::Whole(landed) => landed,
            Self::NameTable { names, bucket, unshowable, last } => {
                Landed { names: names.iter(prefix, &bucket, 0).collect(), unshowable, last }
            }
        }
    }
}

impl PartitionedListing {
    pub(super) fn new(prefix: Prefix) -> Self {
        let mut segments = Self {
            prefix,
            queue: VecDeque::new(),
            alphabet: Alphabet::default(),
            first_name: None,
            pages: 0,
            cuts: 0,
            numbers: 0,
        };
        let whole = segments.segment(String::new(), None, Position::Start);
        segments.queue.push_back(whole);
        segments
    }

    /// Whether every page was read.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The pages to fetch now, so that `most` are on their way.
    pub(super) fn jobs(&mut self, most: usize) -> Vec<Job> {
        let mut left =
            most.saturating_sub(self.queue.iter().filter(|segment| segment.is_in_flight).count());
        let mut jobs = Vec::new();
        let waiting = self.queue.iter_mut().filter(|segment| !segment.is_in_flight);
        let waiting = waiting.filter_map(|segment| segment.next.clone().map(|at| (segment, at)));
        for (segment, at) in waiting.take(left) {
            segment.is_in_flight = true;
            jobs.push(Job { segment: segment.number, at });
        }
        left -= jobs.len();
        while left > 0
            && let Some(at) = self.worth_cutting(most)
            && let Some(job) = self.cut(at)
        {
            jobs.push(job);
            left -= 1;
        }
        jobs
    }

    /// Takes in what a job fetched.
    pub(super) fn land(&mut self, job: &Job, mut page: Page) {
        let Some(at) = self.queue.iter().position(|segment| segment.number == job.segment) else {
            return;
        };
        let segment = &mut self.queue[at];
        self.pages += 1;
        segment.is_in_flight = false;
        segment.pages += 1;
        segment.next = page.next.take().map(Position::Token);
        if let Some(limit) = segment.limit.as_ref().map(|limit| self.prefix.key(limit)) {
            let (objects, prefixes) = (page.objects.len(), page.prefixes.len());
            page.objects.retain(|object| *object.id.key < *limit);
            page.prefixes.retain(|prefix| prefix.as_str() < limit.as_str());
            if objects + prefixes > page.objects.len() + page.prefixes.len() {
                segment.next = None;
            }
        }
        let landed = Landed::of_page(&self.prefix, page);
        let names = &landed.names;
        let lessons = names.iter().step_by((names.len() / LESSONS).max(1)).chain(names.last());
        self.alphabet.learn(lessons.map(|shown| &*shown.name));
        if self.first_name.is_none() {
            self.first_name = names.first().map(|shown| shown.name.to_string());
        }
        if !landed.last.is_empty() {
            segment.reached = landed.last.trim_end_matches('/').to_owned();
        }
        segment.landed.push_back(if at == 0 {
            Waiting::Whole(landed)
        } else {
            Waiting::pack(landed)
        });
    }

    /// The next page in order, when it is there.
    pub(super) fn next(&mut self) -> Option<Landed> {
        loop {
            let front = self.queue.front_mut()?;
            if let Some(landed) = front.landed.pop_front() {
                return Some(landed.unpack(&self.prefix));
            }
            if front.is_in_flight || front.next.is_some() {
                return None;
            }
            self.queue.pop_front();
        }
    }

    /// Nothing more is to be fetched.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    /// Forgets that pages are on their way: whoever fetched them is gone.
    pub(super) fn abandon(&mut self) {
        for segment in &mut self.queue {
            segment.is_in_flight = false;
        }
    }

    fn segment(&mut self, start: String, limit: Option<String>, next: Position) -> Segment {
        self.numbers += 1;
        let (number, reached) = (self.numbers, start.clone());
        Segment {
            number,
            start,
            limit,
            reached,
            next: Some(next),
            is_in_flight: false,
            pages: 0,
            landed: VecDeque::new(),
        }
    }

    /// The segment to cut next. First the end is looked for, in steps that double; then the longest
    /// are halved.
    fn worth_cutting(&self, most: usize) -> Option<usize> {
        let cuts = (self.cuts + 1) as f64;
        let estimate = self.estimate();
        let last = self.queue.len().checked_sub(1)?;
        let open = &self.queue[last];
        if open.next.is_some() || open.is_in_flight {
            // Once it has shown that there is something behind the last cut.
            return (open.pages > 0
                && open.next.is_some()
                && cuts <= LEAP * estimate / PAGES_PER_CUT)
                .then_some(last);
        }
        let density = self.density();
        let rests = self
            .queue
            .iter()
            .map(|segment| if segment.next.is_some() { self.rest(segment, density) } else { 0.0 });
        let (at, rest) = rests
            .enumerate()
            .filter(|(at, _)| self.queue[*at].pages > 0)
            .max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        let worth = WORTH_CUTTING.max(estimate / (2 * most) as f64);
        (rest >= worth && cuts <= estimate / PAGES_PER_CUT).then_some(at)
    }

    /// Cuts a segment, and answers the first page of the new one.
    fn cut(&mut self, at: usize) -> Option<Job> {
        let segment = &self.queue[at];
        let cut = match &segment.limit {
            Some(limit) => self.alphabet.between(&segment.reached, limit)?,
            None => self.alphabet.beyond(self.first_name.as_deref()?, &segment.reached)?,
        };
        let limit = self.queue[at].limit.replace(cut.clone());
        // The cut itself may be a key: start just before it, where no key can be.
        let position = Position::After(self.prefix.key(&before(&cut)));
        let mut segment = self.segment(cut, limit, position.clone());
        segment.is_in_flight = true;
        let job = Job { segment: segment.number, at: position };
        self.queue.insert(at + 1, segment);
        self.cuts += 1;
        Some(job)
    }

    /// How many pages the listing has at least, as far as the cuts have shown.
    fn estimate(&self) -> f64 {
        let density = self.density();
        let open = |segment: &&Segment| segment.limit.is_some() && segment.next.is_some();
        self.pages as f64
            + self.queue.iter().filter(open).map(|segment| self.rest(segment, density)).sum::<f64>()
    }

    /// Pages for each unit of the alphabet's measure.
    fn density(&self) -> f64 {
        let Some(first) = &self.first_name else { return 0.0 };
        let Some(last) = self.queue.back().map(|segment| &segment.reached) else { return 0.0 };
        let waiting: f64 = self
            .queue
            .iter()
            .skip(1)
            .map(|segment| self.alphabet.distance(&segment.start, &segment.reached, first, last))
            .sum();
        let front = self
            .queue
            .front()
            .map_or(0.0, |segment| self.alphabet.distance(first, &segment.reached, first, last));
        if waiting + front > 0.0 { self.pages as f64 / (waiting + front) } else { 0.0 }
    }

    /// Pages that a segment still has, by its distance; of the open one, as many as there were so
    /// far.
    fn rest(&self, segment: &Segment, density: f64) -> f64 {
        match (&segment.limit, &self.first_name, self.queue.back()) {
            (Some(limit), Some(first), Some(last)) => {
                density * self.alphabet.distance(&segment.reached, limit, first, &last.reached)
            }
            _ => self.pages as f64,
        }
    }
}

/// The greatest string below `name` that matters: no key is between them.
fn before(name: &str) -> String {
    let mut chars = name.chars();
    match chars.next_back() {
        // A cut ends in an ASCII byte, and the byte before it is ASCII as well.
        Some(last) if last > '\0' => {
            let lower = char::from_u32(u32::from(last) - 1).unwrap_or('\0');
            format!("{}{lower}\u{10FFFF}", chars.as_str())
        }
        _ => chars.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::object::{Object, ObjectId};

    /// S3 over sorted names below `p/`, a page at a time.
    fn page(names: &[String], at: &Position, size: usize) -> Page {
        let from = match at {
            Position::Start => 0,
            Position::After(key) => names.partition_point(|name| format!("p/{name}") <= *key),
            Position::Token(token) => token.parse().unwrap(),
        };
        let to = (from + size).min(names.len());
        let object = |name: &String| Object {
            id: ObjectId { bucket: "b".into(), key: format!("p/{name}").into(), etag: "e".into() },
            size: 1,
            modified: SystemTime::UNIX_EPOCH,
            storage_class: "STANDARD".into(),
        };
        let next = (to < names.len()).then(|| Arc::from(to.to_string()));
        Page { objects: names[from..to].iter().map(object).collect(), next, ..Page::default() }
    }

    /// Lists all `names`, `most` pages at a time, answered together or at random. Answers names,
    /// requests and rounds.
    fn list(
        names: &[String],
        size: usize,
        most: usize,
        random: Option<&mut fastrand::Rng>,
    ) -> (Vec<String>, usize, usize) {
        let mut random = random;
        let mut segments = PartitionedListing::new(Prefix::new("p"));
        let (mut aloft, mut listed, mut requests, mut rounds) = (Vec::new(), Vec::new(), 0, 0);
        while !segments.is_empty() {
            let jobs = segments.jobs(most);
            requests += jobs.len();
            aloft.extend(jobs);
            assert!(aloft.len() <= most);
            rounds += 1;
            let mut landing = aloft.len();
            if let Some(random) = &mut random {
                random.shuffle(&mut aloft);
                landing = random.usize(1..=aloft.len());
            }
            for job in aloft.drain(..landing) {
                segments.land(&job, page(names, &job.at, size));
            }
            while let Some(landed) = segments.next() {
                listed.extend(landed.names.into_iter().map(|shown| shown.name.to_string()));
            }
        }
        (listed, requests, rounds)
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
            let (listed, _, _) = list(&names, size, most, Some(&mut random));
            assert_eq!(listed, names, "size {size}, most {most}");
        }
    }

    #[test]
    fn long_listings_are_parallel_and_cost_a_tenth_more_short_ones_nothing() {
        let date = |n: usize| format!("{}{:02}{:02}", 2002 + n / 336, n / 28 % 12 + 1, n % 28 + 1);
        type Naming = Box<dyn Fn(usize) -> String>;
        let kinds: [(&str, Naming); 5] = [
            ("numbers", Box::new(|n| format!("granule-{n:08}.nc"))),
            (
                "dates",
                Box::new(move |n| format!("{}090000-JPL-L4_GHRSST-{:03}.nc", date(n / 30), n % 30)),
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
                let (listed, requests, rounds) = list(&names, 500, 16, None);
                assert!(listed == names, "{kind} {count}");
                let least = count.div_ceil(500);
                let allowed = if least <= 5 { least } else { least + least / 9 + 2 };
                assert!(
                    requests <= allowed,
                    "{kind} {count}: {requests} requests for {least} pages"
                );
                assert!(count < 100_000 || rounds < 99, "{kind}: {rounds} rounds");
                println!(
                    "{kind} {count}: {requests} requests for {least} pages in {rounds} rounds"
                );
            }
        }
    }
}
