//! The names of one directory as its pages come in: in byte order, each once, given out only when
//! no later page can change them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Escaped;
use super::name_table::NameTable;
use super::partitioned::Landed;
use crate::object::{Entry, NamedEntry, Page, Prefix};

/// What the pages so far have told.
#[derive(Debug)]
pub(super) struct OrderedNames {
    bucket: Arc<str>,
    prefix: Prefix,
    settled: NameTable,
    /// In byte order, behind `settled`: a later page may still change these.
    tail: Vec<NamedEntry>,
    /// Names that came after a name that sorts behind them was given out. Only escaped names can.
    stragglers: Vec<NamedEntry>,
    /// Names known to be no directory that is still to come, or one that is here already.
    closed: BTreeSet<String>,
    /// The last key so far, without the prefix.
    last: String,
    is_complete: bool,
    /// Made of names that were looked up, where listing is not allowed.
    is_partial: bool,
    escaped: Escaped,
}

impl OrderedNames {
    pub(super) fn new(bucket: Arc<str>, prefix: Prefix) -> Self {
        Self {
            bucket,
            prefix,
            settled: NameTable::default(),
            tail: Vec::new(),
            stragglers: Vec::new(),
            closed: BTreeSet::new(),
            last: String::new(),
            is_complete: false,
            is_partial: false,
            escaped: Escaped::default(),
        }
    }

    /// Ends with these names, which are not all there are.
    pub(super) fn settle_for(&mut self, names: Vec<NamedEntry>) {
        *self = Self { is_partial: true, ..Self::new(self.bucket.clone(), self.prefix.clone()) };
        self.finish_with(names);
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether a name that is not here does not exist.
    pub(super) fn is_whole(&self) -> bool {
        self.is_complete && !self.is_partial
    }

    pub(super) fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// MetadataCache, bytes.
    pub(super) fn bytes(&self) -> usize {
        // What is held back is a page or so, unpacked.
        self.settled.bytes() + (self.tail.len() + self.stragglers.len()) * 400
    }

    pub(super) fn escaped(&self) -> Escaped {
        self.escaped
    }

    /// Up to `count` names from position `from` on, of those that can be given out.
    pub(super) fn names(&self, from: usize, count: usize) -> Vec<NamedEntry> {
        let settled = self.settled.iter(&self.prefix, &self.bucket, from);
        let stragglers = if self.is_complete { self.stragglers.as_slice() } else { &[] };
        let stragglers = stragglers.iter().skip(from.saturating_sub(self.settled.len()));
        settled.chain(stragglers.cloned()).take(count).collect()
    }

    /// How many names can be given out.
    pub(super) fn available(&self) -> usize {
        self.settled.len() + if self.is_complete { self.stragglers.len() } else { 0 }
    }

    /// The entry of a name that can be given out.
    pub(super) fn find(&self, name: &str) -> Option<Entry> {
        let straggler = || {
            self.stragglers
                .iter()
                .find(|shown| &*shown.name == name)
                .map(|shown| shown.entry.clone())
        };
        self.settled.find(&self.prefix, &self.bucket, name).or_else(straggler)
    }

    /// The names behind `name`, of those that can be given out; none for a name that is not among
    /// them.
    pub(super) fn following(&self, name: &str) -> impl Iterator<Item = NamedEntry> {
        let from = self.settled.position(name).map_or(self.settled.len(), |position| position + 1);
        self.settled.iter(&self.prefix, &self.bucket, from)
    }

    /// Takes the next page in. Answers whether that let any name be given out.
    pub(super) fn absorb(&mut self, page: Landed) -> bool {
        // An empty page says nothing of how far the listing has come.
        if page.last > self.last {
            self.last = page.last;
        }
        self.escaped.unshowable += page.unshowable;
        self.merge(page.names)
    }

    /// There are no more pages.
    pub(super) fn finish(&mut self) {
        self.finish_with(Vec::new());
    }

    fn finish_with(&mut self, names: Vec<NamedEntry>) {
        self.is_complete = true;
        self.merge(names);
        self.closed = BTreeSet::new();
        self.tail.shrink_to_fit();
    }

    /// The name whose nature holds all others back, when no page can tell for long.
    pub(super) fn first_open_stem(&self) -> Option<String> {
        NamedEntry::open_stems(&self.last)
            .find(|stem| !self.closed.contains(*stem))
            .map(str::to_owned)
    }

    /// Takes in what a request of its own found out about `stem`. Answers as [`Self::absorb`].
    pub(super) fn close_stem(&mut self, stem: String, is_directory: bool) -> bool {
        let prefixes = if is_directory { vec![self.prefix.child(&stem)] } else { Vec::new() };
        // The listing will count it if it has no name.
        let (names, _) = NamedEntry::of_page(&self.prefix, Page { prefixes, ..Page::default() });
        self.closed.insert(stem);
        self.merge(names)
    }

    fn merge(&mut self, names: Vec<NamedEntry>) -> bool {
        let last_settled = self.settled.last_name().map(str::to_owned);
        for name in names {
            match &last_settled {
                Some(last) if *name.name <= **last => {
                    if self.find(&name.name).is_none() {
                        self.stragglers.push(name);
                    }
                }
                _ => self.tail.push(name),
            }
        }
        let tail = &mut self.tail;
        tail.sort_by(|a, b| {
            a.name.cmp(&b.name).then_with(|| b.entry.is_directory().cmp(&a.entry.is_directory()))
        });
        tail.dedup_by(|a, b| a.name == b.name && a.entry.is_directory() == b.entry.is_directory());
        self.escaped.shadowed += NamedEntry::resolve_shadows(tail);
        let settled = if self.is_complete {
            self.tail.len()
        } else {
            let stem = self.first_open_stem();
            // An escaped name may sort behind names that are still to come.
            let is_settled =
                |name: &str| *name <= *self.last && stem.as_deref().is_none_or(|stem| name < stem);
            self.tail.partition_point(|shown| is_settled(&shown.name))
        };
        self.settled.append(&self.tail[..settled]);
        self.tail.drain(..settled);
        settled > 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::*;
    use crate::object::{Object, ObjectId};

    fn object(key: &str) -> Object {
        let id = ObjectId { bucket: "b".into(), key: key.into(), etag: "e".into() };
        Object { id, size: 1, modified: SystemTime::UNIX_EPOCH, storage_class: "STANDARD".into() }
    }

    /// The pages that S3 gives of `keys` below `p/`, `size` entries each.
    fn pages(keys: &BTreeSet<String>, size: usize) -> Vec<Page> {
        let mut entries: Vec<String> = Vec::new();
        for key in keys {
            let component = &key["p/".len()..];
            let entry = match component.find('/') {
                Some(at) => key[..="p/".len() + at].to_owned(),
                None => key.clone(),
            };
            if entries.last() != Some(&entry) {
                entries.push(entry);
            }
        }
        let count = entries.len().div_ceil(size).max(1);
        let mut chunks = entries.chunks(size);
        (1..=count)
            .map(|number| {
                let chunk = chunks.next().unwrap_or(&[]);
                let (prefixes, objects): (Vec<_>, Vec<_>) =
                    chunk.iter().partition(|e| e.ends_with('/') && *e != "p/");
                Page {
                    objects: objects.into_iter().map(|key| object(key)).collect(),
                    prefixes: prefixes.into_iter().map(|prefix| Prefix::new(prefix)).collect(),
                    undecodable: 0,
                    next: (number < count).then(|| Arc::from("more")),
                }
            })
            .collect()
    }

    fn plain_model(keys: &BTreeSet<String>) -> BTreeSet<String> {
        let components = keys.iter().map(|key| &key["p/".len()..]);
        components
            .map(|c| c.split('/').next().unwrap_or_default().to_owned())
            .filter(|c| !c.is_empty())
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn names_come_once_in_byte_order_however_the_pages_are_cut(
            keys in prop::collection::btree_set("p/[ab\\-!0]{1,4}(/[a-]{1,2})?", 0..40),
            size in 1_usize..6,
            probing in any::<bool>(),
        ) {
            let directories: BTreeSet<String> = keys.iter()
                .filter_map(|key| key["p/".len()..].split_once('/').map(|(directory, _)| directory.to_owned()))
                .collect();
            let prefix = Prefix::new("p");
            let mut ordered = OrderedNames::new("b".into(), prefix.clone());
            let mut given = Vec::new();
            for page in pages(&keys, size) {
                let is_last = page.next.is_none();
                let mut progress = ordered.absorb(Landed::of_page(&prefix, page));
                if is_last {
                    ordered.finish();
                }
                while probing && !progress && !is_last && let Some(stem) = ordered.first_open_stem() {
                    let is_directory = directories.contains(&stem);
                    progress = ordered.close_stem(stem, is_directory);
                }
                given.extend(ordered.names(given.len(), usize::MAX));
            }
            let names: Vec<String> = given.iter().map(|shown| shown.name.to_string()).collect();
            prop_assert!(names.is_sorted_by(|a, b| a < b), "{:?}", names);
            let shadowed: Vec<&String> = directories.iter().filter(|d| keys.contains(&format!("p/{d}"))).collect();
            let mut expected = plain_model(&keys);
            expected.extend(shadowed.iter().map(|d| format!("{d}.granulefs-object")));
            prop_assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected);
            prop_assert_eq!(ordered.escaped().shadowed, shadowed.len());
            for shown in &given {
                let found = ordered.find(&shown.name);
                prop_assert_eq!(found.as_ref(), Some(&shown.entry));
                let plain = shown.name.strip_suffix(".granulefs-object").unwrap_or(&shown.name);
                prop_assert_eq!(shown.entry.is_directory(), directories.contains(plain) && plain == &*shown.name);
            }
        }
    }
}
