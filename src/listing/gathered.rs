//! The names of one directory as its pages come in: in byte order, each once, shown only when no later page can change them.

use std::collections::BTreeSet;

use crate::object::{Entry, Page, Prefix, Shown};

/// What the pages so far have told.
#[derive(Debug)]
pub(super) struct Gathered {
    prefix: Prefix,
    /// In byte order; a later page may still change those from `settled` on.
    shown: Vec<Shown>,
    settled: usize,
    /// Names that came after a name that sorts behind them was given out. Only escaped names can.
    stragglers: Vec<Shown>,
    /// Names known to be no directory that is still to come, or one that is in `shown` already.
    closed: BTreeSet<String>,
    last: String,
    next: Next,
    unshowable: usize,
    shadowed: usize,
    /// Made of names that were looked up, where listing is not allowed.
    is_partial: bool,
    is_summed: bool,
}

/// What a complete listing amounts to.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) names: usize,
    /// Objects shown under an escaped name because a directory has theirs.
    pub(super) shadowed: usize,
    /// Keys that no name can show.
    pub(super) unshowable: usize,
}

/// Where the listing goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// With the page of this token; `None` is the first page.
    Page(Option<std::sync::Arc<str>>),
    /// Nowhere: every name is known.
    Complete,
}

impl Gathered {
    pub(super) fn new(prefix: Prefix) -> Self {
        Self {
            prefix,
            shown: Vec::new(),
            settled: 0,
            stragglers: Vec::new(),
            closed: BTreeSet::new(),
            last: String::new(),
            next: Next::Page(None),
            unshowable: 0,
            shadowed: 0,
            is_partial: false,
            is_summed: false,
        }
    }

    /// A directory of which only these names are known.
    pub(super) fn of_names(prefix: Prefix, mut shown: Vec<Shown>) -> Self {
        shown.sort_by(|a, b| a.name.cmp(&b.name));
        let settled = shown.len();
        Self { shown, settled, next: Next::Complete, is_partial: true, ..Self::new(prefix) }
    }

    pub(super) fn next(&self) -> &Next {
        &self.next
    }

    pub(super) fn is_complete(&self) -> bool {
        self.next == Next::Complete
    }

    /// Whether a name that is not here does not exist.
    pub(super) fn is_whole(&self) -> bool {
        self.is_complete() && !self.is_partial
    }

    pub(super) fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// Once, when the listing is complete.
    pub(super) fn take_summary(&mut self) -> Option<Summary> {
        if !self.is_complete() || std::mem::replace(&mut self.is_summed, true) {
            return None;
        }
        let names = self.shown.len() + self.stragglers.len();
        Some(Summary { names, shadowed: self.shadowed, unshowable: self.unshowable })
    }

    /// Up to `count` names from position `from` on, of those that can be given out.
    pub(super) fn names(&self, from: usize, count: usize) -> Vec<Shown> {
        let stragglers = if self.is_complete() { self.stragglers.as_slice() } else { &[] };
        self.shown[..self.settled].iter().chain(stragglers).skip(from).take(count).cloned().collect()
    }

    /// How many names can be given out.
    pub(super) fn available(&self) -> usize {
        self.settled + if self.is_complete() { self.stragglers.len() } else { 0 }
    }

    /// The entry of a name that can be given out.
    pub(super) fn find(&self, name: &str) -> Option<&Entry> {
        let settled = &self.shown[..self.settled];
        let found = settled.binary_search_by(|shown| (*shown.name).cmp(name)).ok().map(|at| &settled[at]);
        found.or_else(|| self.stragglers.iter().find(|shown| &*shown.name == name)).map(|shown| &shown.entry)
    }

    /// Takes the next page in. Answers whether that, or the page before, let any name be given out.
    pub(super) fn absorb(&mut self, page: Page) -> bool {
        let last_object = page.objects.last().map_or("", |object| &object.id.key);
        let last_prefix = page.prefixes.last().map_or("", Prefix::as_str);
        let last = last_object.max(last_prefix).to_owned();
        // An empty page in the middle says nothing of how far the listing has come.
        if last > self.last {
            self.last = last;
        }
        self.next = page.next.clone().map_or(Next::Complete, |token| Next::Page(Some(token)));
        let (names, unshowable) = Shown::of_page(&self.prefix, page);
        self.unshowable += unshowable;
        self.merge(names)
    }

    /// The name whose nature holds all others back, when no page can tell for long.
    pub(super) fn first_open_stem(&self) -> Option<String> {
        Shown::open_stems(&self.prefix, &self.last).find(|stem| !self.closed.contains(*stem)).map(str::to_owned)
    }

    /// Takes in what a request of its own found out about `stem`.
    pub(super) fn close_stem(&mut self, stem: String, is_directory: bool) -> bool {
        let entry = Entry::Directory(self.prefix.child(&stem));
        let names = if is_directory { vec![Shown { name: stem.as_str().into(), entry }] } else { Vec::new() };
        self.closed.insert(stem);
        self.merge(names)
    }

    fn merge(&mut self, names: Vec<Shown>) -> bool {
        let mut tail = self.shown.split_off(self.settled);
        for name in names {
            match self.shown.last() {
                Some(last) if name.name <= last.name => {
                    if self.find(&name.name).is_none() {
                        self.stragglers.push(name);
                    }
                }
                _ => tail.push(name),
            }
        }
        tail.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| b.entry.is_directory().cmp(&a.entry.is_directory())));
        tail.dedup_by(|a, b| a.name == b.name && a.entry.is_directory() == b.entry.is_directory());
        self.shadowed += Shown::resolve_shadows(&mut tail);
        let settled = if self.is_complete() {
            tail.len()
        } else {
            // An escaped name may sort behind names that are still to come.
            let reached = self.last.strip_prefix(self.prefix.as_str()).unwrap_or_default();
            let stem = self.first_open_stem();
            let is_settled = |name: &str| name <= reached && stem.as_deref().is_none_or(|stem| name < stem);
            tail.partition_point(|shown| is_settled(&shown.name))
        };
        self.settled += settled;
        self.shown.append(&mut tail);
        settled > 0 || self.is_complete()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
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
                let (prefixes, objects): (Vec<_>, Vec<_>) = chunk.iter().partition(|e| e.ends_with('/') && *e != "p/");
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
        components.map(|c| c.split('/').next().unwrap_or_default().to_owned()).filter(|c| !c.is_empty()).collect()
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
            let mut gathered = Gathered::new(Prefix::new("p"));
            let mut given = Vec::new();
            for page in pages(&keys, size) {
                let mut progress = gathered.absorb(page);
                while probing && !progress && let Some(stem) = gathered.first_open_stem() {
                    let is_directory = directories.contains(&stem);
                    progress = gathered.close_stem(stem, is_directory);
                }
                given.extend(gathered.names(given.len(), usize::MAX));
            }
            let names: Vec<String> = given.iter().map(|shown| shown.name.to_string()).collect();
            prop_assert!(names.is_sorted_by(|a, b| a < b), "{:?}", names);
            let shadowed: Vec<&String> = directories.iter().filter(|d| keys.contains(&format!("p/{d}"))).collect();
            let mut expected = plain_model(&keys);
            expected.extend(shadowed.iter().map(|d| format!("{d}.granulefs-object")));
            prop_assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected);
            prop_assert_eq!(gathered.shadowed, shadowed.len());
            for shown in &given {
                prop_assert_eq!(gathered.find(&shown.name), Some(&shown.entry));
                let plain = shown.name.strip_suffix(".granulefs-object").unwrap_or(&shown.name);
                prop_assert_eq!(shown.entry.is_directory(), directories.contains(plain) && plain == &*shown.name);
            }
        }
    }
}
