//! The names of one directory that can be given out, in byte order, in parts that can be let go of.

use std::ops::Range;
use std::sync::Arc;

use super::packed_names::PackedNames;
use super::place::Place;
use crate::object::{Entry, Name, NamedEntry, Prefix, undecided_names};

/// How many names a part has. One page brings 1,000, so that one page also shows that a part has no
/// more names.
const PART: usize = 990;
/// Bytes of memory that a part takes beside its names.
const PART_SIZE: usize = 128;

/// Names in parts about as large as a page. Growing copies no more than one of them.
///
/// A part that is let go of keeps its first name. Its names are those from there up to the first
/// name of the part behind, and S3 has their keys in the same places; see [`Part::is_fixed`]
/// for the exceptions.
#[derive(Debug, Default)]
pub(super) struct NameTable {
    parts: Vec<Part>,
    /// How many names came.
    len: usize,
    bytes: usize,
    has_all: bool,
}

#[derive(Debug)]
struct Part {
    first: Box<str>,
    /// How many names came in the parts before.
    start: usize,
    /// `None`: they were let go of.
    names: Option<Arc<PackedNames>>,
    /// Whether the part must stay, since its names would not all be fetched again.
    is_fixed: bool,
}

/// What a table tells of a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known<T> {
    Present(T),
    /// It is not among the names so far.
    Absent,
    /// The part that it would be in was let go of.
    LetGo,
}

/// The names between two bounds, of which the first is included and the second is not.
#[derive(Clone, Debug)]
pub(super) struct Interval {
    /// `None`: from the first name on.
    pub(super) from: Option<Box<str>>,
    /// `None`: to the last name.
    pub(super) to: Option<Box<str>>,
}

impl Interval {
    pub(super) fn holds(&self, name: &str) -> bool {
        self.from.as_deref().is_none_or(|from| from <= name) && !self.is_before(name)
    }

    /// Returns whether the interval ends before `name`.
    pub(super) fn is_before(&self, name: &str) -> bool {
        self.to.as_deref().is_some_and(|to| to <= name)
    }
}

impl NameTable {
    /// Adds names that sort behind all that are there.
    pub(super) fn append(&mut self, mut names: PackedNames) {
        while !names.is_empty() {
            let room = self.parts.last().map_or(0, |last| PART.saturating_sub(last.len()));
            if room == 0 {
                self.close_last(names.first_name());
                let rest = names.split_off(names.len().min(PART));
                self.push(std::mem::replace(&mut names, rest));
            } else {
                let rest = names.split_off(names.len().min(room));
                self.extend_last(std::mem::replace(&mut names, rest));
            }
        }
    }

    /// Records that no more names come.
    pub(super) fn complete(&mut self) {
        self.close_last(None);
        self.has_all = true;
    }

    fn push(&mut self, mut names: PackedNames) {
        names.shrink_to_fit();
        let first = names.first_name().unwrap_or_default().into();
        self.bytes += PART_SIZE + names.bytes();
        let start = self.len;
        self.len += names.len();
        self.parts.push(Part { first, start, names: Some(Arc::new(names)), is_fixed: true });
    }

    fn extend_last(&mut self, names: PackedNames) {
        self.len += names.len();
        if let Some(last) = self.parts.last_mut().and_then(|last| last.names.as_mut()) {
            let last = Arc::make_mut(last);
            self.bytes -= last.bytes();
            last.merge(names);
            self.bytes += last.bytes();
        }
    }

    /// Decides whether the last part may be let go of, now that it is known which name comes next.
    fn close_last(&mut self, next: Option<&str>) {
        if let Some(last) = self.parts.last_mut() {
            last.is_fixed = last.must_stay(next);
        }
    }

    /// Returns how many names came.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn part_count(&self) -> usize {
        self.parts.len()
    }

    /// Returns the bytes of memory that the names take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn last_name(&self) -> Option<&str> {
        let last = self.parts.last()?;
        last.names.as_ref().and_then(|names| names.last_name()).or(Some(&last.first))
    }

    /// Returns how many names came before a place, as far as parts did not change since.
    pub(super) fn position(&self, place: Place) -> usize {
        self.parts.get(place.part).map_or(self.len, |part| part.start + place.index).min(self.len)
    }

    /// Returns the names of a part that is there.
    pub(super) fn part(&self, part: usize) -> Option<&Arc<PackedNames>> {
        self.parts.get(part)?.names.as_ref()
    }

    /// Returns whether there was such a part and it was let go of.
    pub(super) fn is_let_go(&self, part: usize) -> bool {
        self.parts.get(part).is_some_and(|part| part.names.is_none())
    }

    pub(super) fn find(&self, prefix: &Prefix, bucket: &Arc<str>, name: &str) -> Known<Entry> {
        let Some(part) = self.part_of(name) else { return Known::Absent };
        let Some(names) = &self.parts[part].names else { return Known::LetGo };
        let entry = |index| names.unpack(index, prefix, bucket).entry;
        names.find(name).map_or(Known::Absent, |index| Known::Present(entry(index)))
    }

    /// Returns the names behind `name` that are there, up to the next part that is not; none when
    /// `name` is not there itself.
    pub(super) fn following<'a>(
        &'a self,
        prefix: &'a Prefix,
        bucket: &'a Arc<str>,
        name: &str,
    ) -> impl Iterator<Item = NamedEntry> + 'a {
        let found = self.part_of(name).and_then(|part| {
            let index = self.parts[part].names.as_ref()?.find(name)?;
            Some((part, index + 1))
        });
        let (first, skip) = found.unwrap_or((self.parts.len(), 0));
        let parts = self.parts[first..].iter().map_while(|part| part.names.as_deref());
        let all = parts.flat_map(|names| (0..names.len()).map(move |index| (names, index)));
        all.skip(skip).map(move |(names, index)| names.unpack(index, prefix, bucket))
    }

    /// Returns how many names came before `name`, which is there.
    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        let part = &self.parts[self.part_of(name)?];
        Some(part.start + part.names.as_ref()?.find(name)?)
    }

    fn part_of(&self, name: &str) -> Option<usize> {
        self.parts.partition_point(|part| *part.first <= *name).checked_sub(1)
    }

    /// Returns the names that a part is for.
    pub(super) fn interval(&self, part: usize) -> Interval {
        let first = |part: usize| self.parts.get(part).map(|part| part.first.clone());
        let from = if part == 0 { None } else { first(part) };
        Interval { from, to: first(part + 1) }
    }

    /// Returns the parts before `end` that may be let go of.
    pub(super) fn parts_to_let_go(&self, end: usize) -> impl Iterator<Item = usize> {
        let is_closed = |part: usize| self.has_all || part + 1 < self.parts.len();
        (0..end.min(self.parts.len())).filter(move |part| {
            let Part { names, is_fixed, .. } = &self.parts[*part];
            names.is_some() && !is_fixed && is_closed(*part)
        })
    }

    /// Lets go of the names of a part. Returns how many bytes that freed.
    pub(super) fn let_go(&mut self, part: usize) -> usize {
        let names = self.parts.get_mut(part).and_then(|part| part.names.take());
        let freed = names.map_or(0, |names| names.bytes());
        self.bytes -= freed;
        freed
    }

    /// Puts the names of a part back, which may be others by now.
    pub(super) fn restore(&mut self, part: usize, mut names: PackedNames) {
        let Some(part) = self.parts.get_mut(part).filter(|part| part.names.is_none()) else {
            return;
        };
        let _ = names.split_off(names.len().min(Place::MOST_IN_PART));
        names.shrink_to_fit();
        self.bytes += names.bytes();
        part.names = Some(Arc::new(names));
    }
}

impl Part {
    fn len(&self) -> usize {
        self.names.as_ref().map_or(PART, |names| names.len())
    }

    /// Returns whether its names have keys that are elsewhere in S3's order: an escaped name, or a
    /// directory `blue` before `next`, the first name behind the part, that is `blue-x`: its keys
    /// are behind those of `next`.
    fn must_stay(&self, next: Option<&str>) -> bool {
        let Some(names) = &self.names else { return false };
        let is_behind =
            |name: &str| names.find(name).is_some_and(|index: usize| names.is_directory(index));
        next.is_some_and(|next| undecided_names(next).any(is_behind))
            || names.names().any(|name| !Name::is_plain(name))
    }
}

/// Returns the names of a batch that begins at `place`: their part, and their indices there.
pub(super) fn batch(names: &PackedNames, place: Place, count: usize) -> Range<usize> {
    let start = place.index.min(names.len());
    start..start.saturating_add(count).min(names.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::test_objects::object;

    fn file(name: &str, etag: &str) -> NamedEntry {
        let component = Name::parse(name).unwrap().component().to_owned();
        let object = object(&format!("p/{component}"), etag);
        NamedEntry { name: name.into(), entry: Entry::File(Arc::new(object)) }
    }

    fn all(table: &NameTable, prefix: &Prefix, bucket: &Arc<str>) -> Vec<NamedEntry> {
        let parts = (0..table.part_count()).filter_map(|part| table.part(part));
        parts
            .flat_map(|names| (0..names.len()).map(|index| names.unpack(index, prefix, bucket)))
            .collect()
    }

    #[test]
    fn what_is_packed_comes_out_the_same() {
        let (prefix, bucket) = (Prefix::new("p"), Arc::from("b"));
        let etags = ["d41d8cd98f00b204e9800998ecf8427e", "x-1", "", "D41D8C"];
        let mut entries: Vec<NamedEntry> = (0..2500)
            .map(|n| file(&format!("20200101-granule-{n:05}"), etags[n % etags.len()]))
            .collect();
        entries.push(NamedEntry { name: "30".into(), entry: Entry::Directory(prefix.child("30")) });
        entries.push(file("40%25.granulefs-object", etags[0]));
        let mut table = NameTable::default();
        for part in entries.chunks(700) {
            table.append(PackedNames::of_entries(part.to_vec()));
        }
        assert_eq!((table.len(), table.part_count()), (entries.len(), 3));
        assert_eq!(all(&table, &prefix, &bucket), entries);
        for named in &entries {
            let found = table.find(&prefix, &bucket, &named.name);
            assert_eq!(found, Known::Present(named.entry.clone()));
        }
        for name in ["", "2", "20200101-granule-00000x", "5"] {
            assert_eq!(table.find(&prefix, &bucket, name), Known::Absent);
        }
        assert_eq!(table.last_name(), Some("40%25.granulefs-object"));
        let behind: Vec<_> =
            table.following(&prefix, &bucket, "20200101-granule-00700").take(2).collect();
        assert_eq!(behind, entries[701..703]);
    }

    #[test]
    fn a_part_is_let_go_of_and_put_back_unless_its_keys_are_elsewhere() {
        let (prefix, bucket) = (Prefix::new("p"), Arc::from("b"));
        let mut names = PackedNames::default();
        for n in 0..3 * PART {
            if n == PART {
                names.push_directory(&format!("{n:06}"));
            } else if n == 2 * PART {
                names.push_object(&format!("{PART:06}-"), &object("p/k", "e"));
            } else {
                names.push_object(&format!("{:06}", n.min(PART + 1)), &object("p/k", "e"));
            }
        }
        let names_of = |range: Range<usize>| {
            let mut part = PackedNames::default();
            for index in range {
                part.push_from(names.name(index), &names, index);
            }
            part
        };
        let mut table = NameTable::default();
        table.append(names_of(0..PART));
        assert_eq!(table.parts_to_let_go(9).count(), 0, "it may still grow");
        table.append(names_of(PART..2 * PART));
        table.append(names_of(2 * PART..3 * PART));
        // The keys of the directory in the middle part are behind the first name of the last one.
        assert_eq!(table.parts_to_let_go(9).collect::<Vec<_>>(), [0]);
        table.complete();
        assert_eq!(table.parts_to_let_go(9).collect::<Vec<_>>(), [0, 2]);
        let before = table.bytes();
        assert_eq!(table.let_go(0), before - table.bytes());
        assert!(table.is_let_go(0) && table.find(&prefix, &bucket, "000007") == Known::LetGo);
        let Interval { from, to } = table.interval(0);
        assert_eq!((from, to), (None, Some(format!("{PART:06}").into())));
        table.restore(0, names_of(0..PART - 1));
        assert!(!table.is_let_go(0) && table.part(0).is_some_and(|part| part.len() == PART - 1));
        assert_eq!(table.position(Place { part: 1, index: 3 }), PART + 3);
    }

    #[test]
    fn a_name_of_60_bytes_costs_under_110() {
        let name = |n| format!("{n:011}-JPL-L4_GHRSST-SSTfnd-MUR-GLOB-v02.0-fv04.1.nc.md5s");
        let entries: Vec<NamedEntry> =
            (0..1000).map(|n| file(&name(n), "d41d8cd98f00b204e9800998ecf8427e")).collect();
        let mut table = NameTable::default();
        table.append(PackedNames::of_entries(entries));
        let each = table.bytes() / table.len();
        assert!(name(0).len() == 62 && each < 110, "{each}");
    }
}
