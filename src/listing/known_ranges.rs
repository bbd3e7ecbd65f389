//! Parts of a directory of which one page told everything: what is between two names there, so that
//! a name which is not among them does not exist.
//!
//! Programs ask for the sidecars of a file one by one (`gdalinfo` for more than 40), and hardly any
//! exists. All that share the file's stem come in one page, and those that share nothing lie in a
//! few gaps between the names that exist.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use super::Ttl;
use super::lookups::CachedLookup;
use crate::error::Error;
use crate::object::{Entry, Name, Page, Prefix};
use crate::s3::{Bucket, Position};
use crate::weighted_lru::WeightedLru;

/// How many names the ranges hold, at about 400 bytes each.
const REMEMBERED: usize = 8192;
/// What a range counts beside its names. It also limits how many there are, since each lookup that
/// nothing else answers looks at all of them.
const RANGE_WEIGHT: usize = 16;
/// How many of the last lookups tell which range is asked for next: the sidecars of a few files
/// that are opened side by side.
const RECENT: usize = 64;
/// How many names are asked for from a name on that shares its stem with none: enough for the gap
/// that it lies in and a granule's files behind it, and few enough to cost little more than one.
const GAP_NAMES: i32 = 100;

/// What stands for all ranges of a directory whose listing is denied. No stem is empty.
static DENIED: LazyLock<RangeRequest> = LazyLock::new(|| RangeRequest::Stem("".into()));

/// The number of a tree, and a directory in it.
pub(super) type DirectoryKey = (usize, Prefix);

/// Names of a directory that S3 can be asked for with one request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum RangeRequest {
    /// All that start with this.
    Stem(Box<str>),
    /// Those behind this, as many as one small page has.
    After(Box<str>),
}

/// What S3 answered to a [`RangeRequest`].
#[derive(Clone, Debug)]
pub(super) struct KnownRange {
    request: RangeRequest,
    /// The last key of a page that was not the last one, without the directory's prefix: what
    /// comes behind it is not known.
    last_key: Option<Box<str>>,
    /// The plain names in between.
    entries: HashMap<Box<str>, Entry>,
    /// When S3 was asked.
    at: Instant,
}

/// A name that was looked up.
#[derive(Debug)]
struct RecentLookup {
    directory: DirectoryKey,
    name: Box<str>,
    exists: bool,
}

/// The ranges of all trees of a mount.
#[derive(Debug)]
pub(super) struct KnownRanges {
    ranges: WeightedLru<(DirectoryKey, RangeRequest), KnownRange>,
    /// Oldest first. A directory has one absence at most, the one that was asked for last of all.
    recent: VecDeque<RecentLookup>,
}

impl KnownRanges {
    pub(super) fn new() -> Self {
        Self { ranges: WeightedLru::new(REMEMBERED), recent: VecDeque::new() }
    }

    /// Returns what is known of `name`, as long as an absence is believed.
    pub(super) fn find(
        &self,
        directory: &DirectoryKey,
        name: &str,
        ttl: Ttl,
    ) -> Option<CachedLookup> {
        let here = self.ranges.iter().filter(|((known, _), _)| known == directory);
        here.filter(|(_, range)| !ttl.of_absence(range.at).is_zero())
            .find_map(|(_, range)| range.find(name))
    }

    /// Returns the range to ask for in place of the plain `name`, if the last lookups in this
    /// directory suggest one that was not asked for lately.
    pub(super) fn plan(
        &mut self,
        directory: &DirectoryKey,
        name: &str,
        ttl: Ttl,
    ) -> Option<RangeRequest> {
        // Whoever asks for one name again and again is not interested in others.
        let is_other =
            |recent: &&RecentLookup| recent.directory == *directory && *recent.name != *name;
        let here = self.recent.iter().filter(is_other);
        let follows_absence = here.clone().any(|recent| !recent.exists);
        // What does not exist may be as short as the common start of all names in the directory.
        let stems = here.filter(|recent| recent.exists).filter_map(|recent| stem(&recent.name));
        let shared = stems.filter(|stem| has_stem(name, stem)).min_by_key(|stem| stem.len());
        let of_stem = shared.map(|stem| RangeRequest::Stem(stem.into()));
        let before = name.char_indices().next_back().map_or("", |(end, _)| &name[..end]);
        let gap = follows_absence.then(|| RangeRequest::After(before.into()));
        if self.was_asked(directory, &DENIED, ttl) {
            return None;
        }
        let mut requests = of_stem.into_iter().chain(gap);
        requests.find(|request| !self.was_asked(directory, request, ttl))
    }

    /// Records the answer to a request, so that it is not sent again soon. Where listing is denied,
    /// no other range is asked for either.
    pub(super) fn record(
        &mut self,
        directory: &DirectoryKey,
        request: &RangeRequest,
        answer: &Result<KnownRange, Error>,
    ) {
        let request = match answer {
            Err(Error::Refused(_)) => DENIED.clone(),
            _ => request.clone(),
        };
        let range = answer.clone().unwrap_or_else(|_| KnownRange::nothing(&request));
        let weight = RANGE_WEIGHT + range.entries.len();
        self.ranges.insert((directory.clone(), request), range, weight);
    }

    /// Records that a name was looked up, whoever knew the answer.
    pub(super) fn record_lookup(&mut self, directory: DirectoryKey, name: &str, exists: bool) {
        self.recent.retain(|recent| {
            recent.directory != directory || (recent.exists && *recent.name != *name)
        });
        self.recent.push_back(RecentLookup { directory, name: name.into(), exists });
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// Forgets the ranges of the directories that match.
    pub(super) fn forget_where(&mut self, matches: impl Fn(&DirectoryKey) -> bool) {
        self.ranges.remove_where(|(directory, _)| matches(directory));
    }

    fn was_asked(&mut self, directory: &DirectoryKey, request: &RangeRequest, ttl: Ttl) -> bool {
        let asked = self.ranges.get(&(directory.clone(), request.clone()));
        asked.is_some_and(|range| !ttl.of_absence(range.at).is_zero())
    }
}

impl KnownRange {
    /// Asks S3 for a range of the names in `parent`.
    ///
    /// # Errors
    /// Those of [`Bucket::page`].
    pub(super) async fn fetch(
        bucket: &Bucket,
        parent: &Prefix,
        request: &RangeRequest,
    ) -> Result<Self, Error> {
        let at = Instant::now();
        let page = match request {
            RangeRequest::Stem(stem) => {
                bucket.names(&parent.key(stem), &Position::Start, None).await?
            }
            RangeRequest::After(name) => {
                let after = parent.key(name);
                let at = if after.is_empty() { Position::Start } else { Position::After(after) };
                bucket.names(parent.as_str(), &at, Some(GAP_NAMES)).await?
            }
        };
        Ok(Self::new(request, parent, &page, at))
    }

    fn new(request: &RangeRequest, parent: &Prefix, page: &Page, at: Instant) -> Self {
        let (entries, _) = page.entries(parent);
        let is_asked_for = |key: &str| {
            key.strip_prefix(parent.as_str()).is_some_and(|name| request.includes(name))
        };
        let mut keys = page.objects.iter().map(|object| &*object.id.key);
        let mut prefixes = page.prefixes.iter().map(Prefix::as_str);
        // A store may know no start-after, or encode keys in a way of its own.
        let is_answer = keys.all(is_asked_for) && prefixes.all(is_asked_for);
        if !is_answer || page.undecodable > 0 {
            return Self { at, ..Self::nothing(request) };
        }
        let last_key = page
            .next
            .is_some()
            .then(|| page.last_key().strip_prefix(parent.as_str()).unwrap_or_default().into());
        let mut known = HashMap::new();
        for listed in entries.into_iter().filter(|listed| Name::is_plain(&listed.name)) {
            let entry = match listed.object {
                None => Entry::Directory(parent.child(&listed.name)),
                Some(object) => Entry::File(Arc::new(object.clone())),
            };
            // Where both exist, the directory has the name, and comes first.
            known.entry(listed.name.into()).or_insert(entry);
        }
        Self { request: request.clone(), last_key, entries: known, at }
    }

    /// Returns what is known where there was no answer that tells of any name.
    fn nothing(request: &RangeRequest) -> Self {
        let (last_key, entries) = (Some("".into()), HashMap::new());
        Self { request: request.clone(), last_key, entries, at: Instant::now() }
    }

    /// Returns what `name` stands for, if this is known.
    pub(super) fn find(&self, name: &str) -> Option<CachedLookup> {
        // A directory `name/` sorts behind an object `name`, and has its name.
        let is_past = |last: &str| last >= format!("{name}/").as_str();
        let is_known = Name::is_plain(name)
            && self.request.includes(name)
            && self.last_key.as_deref().is_none_or(is_past);
        let entry = is_known.then(|| self.entries.get(name).cloned())?;
        // A HEAD tells the version where a listing does not.
        let has_version = !matches!(&entry, Some(Entry::File(object)) if !object.id.has_version());
        has_version.then_some(CachedLookup { entry, assumed: None, at: self.at })
    }
}

impl RangeRequest {
    /// Returns whether a name, or that of a directory with its slash, is asked for.
    fn includes(&self, name: &str) -> bool {
        match self {
            Self::Stem(stem) => name.starts_with(&**stem),
            Self::After(after) => name > &**after,
        }
    }
}

/// Returns what is before the last dot of a name.
fn stem(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(stem, _)| stem).filter(|stem| !stem.is_empty())
}

/// Returns whether a name is made of a stem and an ending, as `a.tif.ovr` and `a_rpc.txt` are of
/// `a`.
fn has_stem(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem).is_some_and(|ending| ending.starts_with(['.', '_']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::test_objects::object;

    fn page(keys: &[&str], prefixes: &[&str], is_last: bool) -> Page {
        Page {
            objects: keys.iter().map(|key| object(key, "etag")).collect(),
            prefixes: prefixes.iter().map(|prefix| Prefix::new(prefix)).collect(),
            undecodable: 0,
            next: (!is_last).then(|| "token".into()),
        }
    }

    /// What a range knows of a name: `None` for nothing, else whether it exists.
    fn known(request: &RangeRequest, page: &Page, name: &str) -> Option<bool> {
        let range = KnownRange::new(request, &Prefix::new("d"), page, Instant::now());
        range.find(name).map(|lookup| lookup.entry.is_some())
    }

    #[test]
    fn an_absence_is_known_only_within_what_the_page_covers() {
        let stem = RangeRequest::Stem("a".into());
        let whole = page(&["d/a.tif", "d/ab"], &["d/a.d/"], true);
        for (name, expected) in [
            ("a.tif", Some(true)),
            ("a.d", Some(true)),
            ("a.ovr", Some(false)),
            ("ab", Some(true)),
            ("b", None),
            ("A.tif", None),
            ("a.tif.granulefs-object", None),
        ] {
            assert_eq!(known(&stem, &whole, name), expected, "{name}");
        }
        let cut = page(&["d/a.tif", "d/ab"], &["d/a.d/"], false);
        // Whether `ab` is a directory is behind the page's end.
        for (name, expected) in [("a.ovr", Some(false)), ("ab", None), ("ab.x", None)] {
            assert_eq!(known(&stem, &cut, name), expected, "{name}");
        }
        let after = RangeRequest::After("b".into());
        let gap = page(&["d/f"], &["d/g/"], false);
        for (name, expected) in
            [("b", None), ("b0", Some(false)), ("f", Some(true)), ("g", Some(true)), ("h", None)]
        {
            assert_eq!(known(&after, &gap, name), expected, "{name}");
        }
        assert_eq!(known(&after, &page(&[], &[], true), "z"), Some(false));
        assert_eq!(known(&after, &page(&[], &[], false), "z"), None);
    }

    #[test]
    fn a_page_that_is_no_answer_tells_nothing() {
        let (stem, after) = (RangeRequest::Stem("a".into()), RangeRequest::After("b".into()));
        // A store that ignores start-after, and one that lists what was not asked for.
        assert_eq!(known(&after, &page(&["d/a", "d/c"], &[], true), "x"), None);
        assert_eq!(known(&stem, &page(&["e/a"], &[], true), "a.x"), None);
        let undecodable = Page { undecodable: 1, ..page(&["d/a"], &[], true) };
        assert_eq!(known(&stem, &undecodable, "a.x"), None);
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut ranges = KnownRanges::new();
        let directory = (0, Prefix::new("d"));
        for number in 0..20_000 {
            let name = format!("{number:05}.nc");
            let request = RangeRequest::After(name.as_str().into());
            let range =
                KnownRange::new(&request, &directory.1, &page(&[], &[], true), Instant::now());
            ranges.record(&directory, &request, &Ok(range));
            ranges.record_lookup(directory.clone(), &name, number % 2 == 0);
        }
        assert!(ranges.ranges.iter().count() <= REMEMBERED / RANGE_WEIGHT);
        assert_eq!(ranges.recent.len(), RECENT);
    }
}
