//! The names of one directory while its pages come in: in byte order, each once, given out only
//! when no later page can change them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::EscapedKeys;
use super::name_table::{self, Interval, Known, NameTable};
use super::packed_names::PackedNames;
use super::packed_page::PackedPage;
use super::place::Place;
use crate::object::{Entry, Name, NamedEntry, Prefix, undecided_names};

/// Names that can be given out.
#[derive(Debug)]
pub(super) enum Batch {
    /// These names of one part.
    Names { names: Arc<PackedNames>, part: usize, indices: Range<usize> },
    /// This part was let go of, and has to be fetched again.
    LetGo(usize),
    /// None so far, or none at all.
    Nothing,
}

impl Batch {
    /// Returns where a reader is that has got these names, or waits for them.
    pub(super) fn end(&self) -> Option<Place> {
        match self {
            Self::Names { part, indices, .. } => Some(Place { part: *part, index: indices.end }),
            Self::LetGo(part) => Some(Place { part: *part, index: 0 }),
            Self::Nothing => None,
        }
    }
}

/// The entries of the pages so far.
#[derive(Debug)]
pub(super) struct OrderedEntries {
    bucket: Arc<str>,
    prefix: Prefix,
    /// The names that can be given out.
    settled: NameTable,
    /// The names behind `settled`. A later page may still precede or shadow these.
    held_back: PackedNames,
    /// Names that sort before one that was already given out, in the order in which they came. Only
    /// escaped names can.
    late: Arc<PackedNames>,
    /// Names for which no directory can still follow.
    decided: BTreeSet<String>,
    /// The last key so far, without the prefix.
    last_key: String,
    is_complete: bool,
    /// Whether these are names that were looked up, since listing is not allowed.
    is_partial: bool,
    escaped: EscapedKeys,
}

impl OrderedEntries {
    pub(super) fn new(bucket: Arc<str>, prefix: Prefix) -> Self {
        Self {
            bucket,
            prefix,
            settled: NameTable::default(),
            held_back: PackedNames::default(),
            late: Arc::default(),
            decided: BTreeSet::new(),
            last_key: String::new(),
            is_complete: false,
            is_partial: false,
            escaped: EscapedKeys::default(),
        }
    }

    /// Replaces everything by these entries, which are not all that there are.
    pub(super) fn complete_partially(&mut self, entries: Vec<NamedEntry>) {
        *self = Self { is_partial: true, ..Self::new(self.bucket.clone(), self.prefix.clone()) };
        self.complete_with(PackedNames::of_entries(entries));
    }

    /// Returns whether no more pages come.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Returns whether it is known that `name`, which was not found, does not exist: all names are
    /// here, or all that are not escaped have come up to one behind it.
    pub(super) fn lacks(&self, name: &str) -> bool {
        let is_passed =
            || Name::is_plain(name) && self.settled.last_name().is_some_and(|last| name < last);
        !self.is_partial && (self.is_complete || is_passed())
    }

    pub(super) fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// Returns the bytes of memory that the names take.
    pub(super) fn bytes(&self) -> usize {
        self.settled.bytes() + self.held_back.bytes() + self.late.bytes()
    }

    pub(super) fn escaped(&self) -> EscapedKeys {
        self.escaped
    }

    /// Returns up to `count` names of one part from `place` on, of those that can be given out.
    pub(super) fn names(&self, mut place: Place, count: usize) -> Batch {
        loop {
            // The late names are a part behind all others, so that the places before them stay
            // what they are.
            let names = match self.settled.part(place.part) {
                Some(names) => names,
                None if self.settled.is_let_go(place.part) => return Batch::LetGo(place.part),
                None if self.is_complete && place.part == self.settled.part_count() => &self.late,
                None => return Batch::Nothing,
            };
            let indices = name_table::batch(names, place, count);
            if !indices.is_empty() {
                return Batch::Names { names: names.clone(), part: place.part, indices };
            }
            // The last part may still grow.
            if place.part + 1 >= self.settled.part_count() && !self.is_complete {
                return Batch::Nothing;
            }
            place = place.next_part();
        }
    }

    /// Returns how many names can be given out.
    pub(super) fn available(&self) -> usize {
        self.settled.len() + if self.is_complete { self.late.len() } else { 0 }
    }

    /// Returns how many names can be given out behind `place`.
    pub(super) fn available_behind(&self, place: Place) -> usize {
        self.available() - self.settled.position(place)
    }

    /// Returns what `name` stands for, if it has come and no later page can change it.
    pub(super) fn find(&self, name: &str) -> Known<Entry> {
        match self.late_index_of(name) {
            Some(index) => {
                Known::Present(self.late.unpack(index, &self.prefix, &self.bucket).entry)
            }
            None => self.settled.find(&self.prefix, &self.bucket, name),
        }
    }

    /// Returns how many names are given out before `name`.
    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        let late = || Some(self.settled.len() + self.late_index_of(name)?);
        self.settled.index_of(name).or_else(late)
    }

    /// Returns how many names are given out before `place`.
    pub(super) fn position(&self, place: Place) -> usize {
        self.settled.position(place)
    }

    fn late_index_of(&self, name: &str) -> Option<usize> {
        self.late.names().position(|late| late == name)
    }

    /// Returns the names behind `name`, of those that can be given out; none when `name` is not
    /// among them.
    pub(super) fn following(&self, name: &str) -> impl Iterator<Item = NamedEntry> {
        self.settled.following(&self.prefix, &self.bucket, name)
    }

    /// Lets go of names before the part `end`, of those first that are farthest by `distance` from
    /// being read, until so many `bytes` are free.
    pub(super) fn let_go(&mut self, bytes: usize, end: usize, distance: impl Fn(usize) -> usize) {
        let mut parts: Vec<usize> = self.settled.parts_to_let_go(end).collect();
        parts.sort_by_key(|part| std::cmp::Reverse(distance(*part)));
        let mut freed = 0;
        for part in parts.into_iter().take_while(|part| distance(*part) > 0) {
            if freed >= bytes {
                break;
            }
            freed += self.settled.let_go(part);
        }
    }

    /// Returns whether there was such a part and it was let go of.
    pub(super) fn is_let_go(&self, part: usize) -> bool {
        self.settled.is_let_go(part)
    }

    /// Returns the names that a part which was let go of is for.
    pub(super) fn interval(&self, part: usize) -> Interval {
        self.settled.interval(part)
    }

    /// Puts the names of a part back, which may be others by now.
    pub(super) fn restore(&mut self, part: usize, names: PackedNames) {
        self.settled.restore(part, names);
    }

    /// Takes the next page in. Returns whether that let any name be given out.
    pub(super) fn add(&mut self, page: PackedPage) -> bool {
        // An empty page does not say how far the listing has come.
        if page.last_key > self.last_key {
            self.last_key = page.last_key;
        }
        self.escaped.unshowable += page.unshowable;
        self.merge(page.names)
    }

    /// Records that there are no more pages.
    pub(super) fn complete(&mut self) {
        self.complete_with(PackedNames::default());
    }

    fn complete_with(&mut self, names: PackedNames) {
        self.is_complete = true;
        self.merge(names);
        self.settled.complete();
        self.decided = BTreeSet::new();
    }

    /// Returns the name that holds all others back: nothing that sorts behind it can be given out
    /// until it is known whether a directory of this name exists.
    pub(super) fn first_undecided_name(&self) -> Option<&str> {
        undecided_names(&self.last_key).find(|name| !self.decided.contains(*name))
    }

    /// Takes in what a request of its own found out about an undecided name. Returns whether that
    /// let any name be given out.
    pub(super) fn decide(&mut self, component: String, is_directory: bool) -> bool {
        let mut names = PackedNames::default();
        // One that cannot be shown is counted when the listing comes to it.
        if is_directory && let Some(name) = Name::shown_for_directory(&component) {
            names.push_directory(&name);
        }
        self.decided.insert(component);
        self.merge(names)
    }

    fn merge(&mut self, names: PackedNames) -> bool {
        let names = self.set_late_names_aside(names);
        self.held_back.merge(names);
        self.escaped.shadowed += self.held_back.resolve_shadows();
        let count = if self.is_complete {
            self.held_back.len()
        } else {
            let undecided = self.first_undecided_name();
            // An escaped name may sort behind names that are still to come.
            let is_settled = |name: &str| {
                *name <= *self.last_key && undecided.is_none_or(|undecided| name < undecided)
            };
            self.held_back.partition_point(is_settled)
        };
        if count > 0 {
            let held_back = self.held_back.split_off(count);
            self.settled.append(std::mem::replace(&mut self.held_back, held_back));
        }
        count > 0
    }

    /// Returns those of `names` that sort behind all that were given out.
    fn set_late_names_aside(&mut self, mut names: PackedNames) -> PackedNames {
        let Some(last) = self.settled.last_name() else { return names };
        let in_order = names.split_off(names.partition_point(|name| name <= last));
        for (index, name) in names.names().enumerate() {
            let is_new = match self.settled.find(&self.prefix, &self.bucket, name) {
                Known::Present(_) => false,
                Known::Absent => true,
                // A part that has an escaped name is never let go of.
                Known::LetGo => !Name::is_plain(name),
            };
            if is_new && self.late_index_of(name).is_none() {
                Arc::make_mut(&mut self.late).push_from(name, &names, index);
            }
        }
        in_order
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::listing::test_objects::object;
    use crate::object::Page;

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
                    objects: objects.into_iter().map(|key| object(key, "e")).collect(),
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

    /// Takes the names behind `place` that can be given out.
    fn take(ordered: &OrderedEntries, place: &mut Place, given: &mut Vec<NamedEntry>) {
        while let Batch::Names { names, part, indices } = ordered.names(*place, usize::MAX) {
            *place = Place { part, index: indices.end };
            given.extend(indices.map(|at| names.unpack(at, &ordered.prefix, &ordered.bucket)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]
        #[test]
        fn names_come_once_in_byte_order_however_the_pages_are_cut(
            keys in prop::collection::btree_set("p/[ab\\-!0]{1,4}(/[a-]{1,2})?", 0..40),
            size in 1_usize..6,
            probing in any::<bool>(),
        ) {
            check_names(&keys, size, probing)?;
        }
    }

    fn check_names(
        keys: &BTreeSet<String>,
        size: usize,
        probing: bool,
    ) -> Result<(), TestCaseError> {
        let components = keys.iter().map(|key| &key["p/".len()..]);
        let directories: BTreeSet<&str> =
            components.filter_map(|c| c.split_once('/').map(|(directory, _)| directory)).collect();
        let prefix = Prefix::new("p");
        let mut ordered = OrderedEntries::new("b".into(), prefix.clone());
        let (mut place, mut given) = (Place::default(), Vec::new());
        for page in pages(keys, size) {
            let is_last = page.next.is_none();
            let mut progress = ordered.add(PackedPage::new(&prefix, &page));
            if is_last {
                ordered.complete();
            }
            while probing
                && !progress
                && !is_last
                && let Some(name) = ordered.first_undecided_name()
            {
                let name = name.to_owned();
                let is_directory = directories.contains(&*name);
                progress = ordered.decide(name, is_directory);
            }
            take(&ordered, &mut place, &mut given);
        }
        let names: Vec<String> = given.iter().map(|named| named.name.to_string()).collect();
        prop_assert!(names.is_sorted_by(|a, b| a < b), "{:?}", names);
        let is_shadowed = |directory: &&&str| keys.contains(&format!("p/{directory}"));
        let shadowed: Vec<&&str> = directories.iter().filter(is_shadowed).collect();
        let mut expected = plain_model(keys);
        expected.extend(shadowed.iter().map(|d| format!("{d}.granulefs-object")));
        prop_assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected);
        prop_assert_eq!(ordered.escaped().shadowed, shadowed.len());
        for named in &given {
            prop_assert_eq!(ordered.find(&named.name), Known::Present(named.entry.clone()));
            let plain = named.name.strip_suffix(".granulefs-object").unwrap_or(&named.name);
            let is_directory = directories.contains(plain) && plain == &*named.name;
            prop_assert_eq!(named.entry.is_directory(), is_directory);
        }
        Ok(())
    }
}
