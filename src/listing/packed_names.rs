//! Names with their attributes, packed: 44 bytes a name beside the name itself.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use super::packed_attributes::PackedAttributes;
use crate::object::{Entry, Name, NamedEntry, Object, Prefix};

/// Names of one directory, in byte order unless said otherwise. They are split, merged and renamed
/// as they are, and unpacked only for whoever asks for one.
#[derive(Clone, Debug, Default)]
pub(super) struct PackedNames {
    /// All names, one behind the other.
    text: String,
    /// Where each name ends in `text`.
    ends: Vec<u32>,
    attributes: Vec<PackedAttributes>,
    /// Etags that do not fit into the attributes, by the index of their name.
    odd_etags: HashMap<usize, Box<str>>,
}

impl PackedNames {
    /// Returns no names, with room for `count` of them that have `text` bytes together.
    pub(super) fn with_capacity(count: usize, text: usize) -> Self {
        Self {
            text: String::with_capacity(text),
            ends: Vec::with_capacity(count),
            attributes: Vec::with_capacity(count),
            odd_etags: HashMap::new(),
        }
    }

    /// Packs entries, which may come in any order.
    pub(super) fn of_entries(mut entries: Vec<NamedEntry>) -> Self {
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut names = Self::default();
        for NamedEntry { name, entry } in &entries {
            match entry {
                Entry::Directory(_) => names.push_directory(name),
                Entry::File(object) => names.push_object(name, object),
            }
        }
        names
    }

    pub(super) fn push_directory(&mut self, name: &str) {
        self.push(name, PackedAttributes::DIRECTORY, None);
    }

    pub(super) fn push_object(&mut self, name: &str, object: &Object) {
        let attributes = PackedAttributes::of_object(object);
        let odd_etag = attributes.has_odd_etag().then(|| (*object.id.etag).into());
        self.push(name, attributes, odd_etag);
    }

    /// Adds what `other` has at `index`, under its `name` or another one.
    pub(super) fn push_from(&mut self, name: &str, other: &Self, index: usize) {
        let odd_etag = other.odd_etags.get(&index).cloned();
        self.push(name, other.attributes[index], odd_etag);
    }

    fn push(&mut self, name: &str, attributes: PackedAttributes, odd_etag: Option<Box<str>>) {
        if let Some(etag) = odd_etag {
            self.odd_etags.insert(self.len(), etag);
        }
        self.text.push_str(name);
        // A few pages of names of at most 1,024 bytes are far below 4 GiB.
        self.ends.push(self.text.len() as u32);
        self.attributes.push(attributes);
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the bytes of memory that the names take.
    pub(super) fn bytes(&self) -> usize {
        let odd_etags: usize = self.odd_etags.values().map(|etag| etag.len() + 48).sum();
        size_of::<Self>()
            + self.text.capacity()
            + self.ends.capacity() * size_of::<u32>()
            + self.attributes.capacity() * size_of::<PackedAttributes>()
            + odd_etags
    }

    /// Gives back the memory that the names do not need.
    pub(super) fn shrink_to_fit(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.attributes.shrink_to_fit();
        self.odd_etags.shrink_to_fit();
    }

    pub(super) fn name(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[start..self.ends[index] as usize]
    }

    pub(super) fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|index| self.name(index))
    }

    pub(super) fn first_name(&self) -> Option<&str> {
        (!self.is_empty()).then(|| self.name(0))
    }

    pub(super) fn last_name(&self) -> Option<&str> {
        self.len().checked_sub(1).map(|last| self.name(last))
    }

    pub(super) fn is_directory(&self, index: usize) -> bool {
        self.attributes[index].is_directory()
    }

    /// Returns the size of an object, in bytes.
    pub(super) fn size(&self, index: usize) -> u64 {
        self.attributes[index].size()
    }

    /// Returns the index of the first name for which `is_before` does not hold. It must hold for
    /// all names up to some point, and for none behind.
    pub(super) fn partition_point(&self, is_before: impl Fn(&str) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if is_before(self.name(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Returns the index of `name`.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let index = self.partition_point(|other| other < name);
        (index < self.len() && self.name(index) == name).then_some(index)
    }

    /// Takes the names from `index` on out, and returns them.
    pub(super) fn split_off(&mut self, index: usize) -> Self {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        let ends = self.ends.split_off(index).into_iter().map(|end| end - start).collect();
        let text = self.text.split_off(start as usize);
        let odd_etags = self.odd_etags.extract_if(|number, _| *number >= index);
        let odd_etags = odd_etags.map(|(number, etag)| (number - index, etag)).collect();
        Self { text, ends, attributes: self.attributes.split_off(index), odd_etags }
    }

    /// Adds the names of `other`, in byte order. Where both have a name for the same kind of entry,
    /// that of `self` stays.
    pub(super) fn merge(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
        } else if self.last_name() < other.first_name() {
            self.append(other);
        } else if !other.is_empty() {
            *self = self.merged_with(&other);
        }
    }

    /// Adds names that sort behind all that are there.
    fn append(&mut self, other: Self) {
        let (count, text) = (self.len(), self.text.len() as u32);
        self.text.reserve_exact(other.text.len());
        self.text.push_str(&other.text);
        self.ends.reserve_exact(other.len());
        self.ends.extend(other.ends.iter().map(|end| text + end));
        self.attributes.reserve_exact(other.len());
        self.attributes.extend(other.attributes);
        let odd_etags = other.odd_etags.into_iter();
        self.odd_etags.extend(odd_etags.map(|(index, etag)| (count + index, etag)));
    }

    fn merged_with(&self, other: &Self) -> Self {
        let mut merged =
            Self::with_capacity(self.len() + other.len(), self.text.len() + other.text.len());
        let (mut own, mut others) = (0, 0);
        while own < self.len() || others < other.len() {
            let order = match (own < self.len(), others < other.len()) {
                (true, true) => self.order(own, other, others),
                (is_own, _) => {
                    if is_own {
                        Ordering::Less
                    } else {
                        Ordering::Greater
                    }
                }
            };
            if order.is_le() {
                merged.push_from(self.name(own), self, own);
                own += 1;
            } else {
                merged.push_from(other.name(others), other, others);
            }
            if order.is_ge() {
                others += 1;
            }
        }
        merged
    }

    /// Compares a name with one of `other`: by bytes, and a directory before an object.
    fn order(&self, index: usize, other: &Self, others: usize) -> Ordering {
        let by_kind = || other.is_directory(others).cmp(&self.is_directory(index));
        self.name(index).cmp(other.name(others)).then_with(by_kind)
    }

    /// Gives each name that a directory and an object have to the directory, and the escaped name
    /// to the object. Returns how many objects were renamed.
    pub(super) fn resolve_shadows(&mut self) -> usize {
        let is_shadowed = |index: &usize| self.name(index - 1) == self.name(*index);
        let shadowed: Vec<usize> = (1..self.len()).filter(is_shadowed).collect();
        if shadowed.is_empty() {
            return 0;
        }
        let mut renamed: Vec<(String, usize)> = shadowed
            .iter()
            .map(|index| (Name::of_shadowed_object(self.name(*index)), *index))
            .collect();
        // A name that has to be escaped may change its place among the others.
        renamed.sort();
        let (mut plain, mut escaped) = (Self::default(), Self::default());
        for index in (0..self.len()).filter(|index| shadowed.binary_search(index).is_err()) {
            plain.push_from(self.name(index), self, index);
        }
        for (name, index) in renamed {
            escaped.push_from(&name, self, index);
        }
        plain.merge(escaped);
        *self = plain;
        shadowed.len()
    }

    /// Unpacks the name at `index`, and what it stands for in the directory `prefix`.
    pub(super) fn unpack(&self, index: usize, prefix: &Prefix, bucket: &Arc<str>) -> NamedEntry {
        let name = self.name(index);
        // Only names that can be parsed are packed.
        let component =
            Name::parse(name).map_or_else(|| name.to_owned(), |name| name.component().to_owned());
        let odd_etag = self.odd_etags.get(&index).map(|etag| &**etag);
        let object = self.attributes[index].object(bucket, prefix.key(&component), odd_etag);
        let entry = match object {
            Some(object) => Entry::File(Arc::new(object)),
            None => Entry::Directory(prefix.child(&component)),
        };
        NamedEntry { name: name.into(), entry }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::listing::test_objects::object;

    const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

    /// Objects in upper case, directories in lower case; the etag tells them apart.
    fn packed(names: &[&str], etag: &str) -> PackedNames {
        let mut packed = PackedNames::default();
        for name in names {
            let upper = name.to_uppercase();
            if upper == *name {
                packed.push_object(&name.to_lowercase(), &object(name, etag));
            } else {
                packed.push_directory(name);
            }
        }
        packed
    }

    fn unpacked(names: &PackedNames) -> Vec<(String, Option<String>)> {
        let (prefix, bucket) = (Prefix::new(""), "b".into());
        let entry = |index| {
            let NamedEntry { name, entry } = names.unpack(index, &prefix, &bucket);
            let etag = match entry {
                Entry::File(object) => Some(object.id.etag.to_string()),
                Entry::Directory(_) => None,
            };
            (name.into(), etag)
        };
        (0..names.len()).map(entry).collect()
    }

    #[test]
    fn pieces_are_split_and_merged_without_loss() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..2000 {
            let mut expected = BTreeMap::new();
            let mut all = PackedNames::default();
            for etag in [MD5, "odd one", "another"] {
                let mut names: Vec<String> =
                    (0..random.usize(0..9)).map(|_| random.u32(0..40).to_string()).collect();
                names.sort();
                names.dedup();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                names.iter().for_each(|name| {
                    expected.entry((*name).to_owned()).or_insert(Some(etag.to_owned()));
                });
                all.merge(packed(&names, etag));
            }
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(unpacked(&all), expected);
            for (index, (name, _)) in expected.iter().enumerate() {
                assert_eq!(all.find(name), Some(index));
            }
            let at = random.usize(0..=all.len());
            let rest = all.split_off(at);
            assert_eq!((unpacked(&all), unpacked(&rest)), {
                let (first, second) = expected.split_at(at);
                (first.to_vec(), second.to_vec())
            });
            all.merge(rest);
            assert_eq!(unpacked(&all), expected);
        }
    }

    #[test]
    fn a_directory_takes_the_name_of_an_object() {
        let mut names = packed(&["a", "blue", "BLUE", "blue-x", "BLUE.GRA", "blue0"], "odd");
        assert_eq!(names.resolve_shadows(), 1);
        let names: Vec<(String, Option<String>)> = unpacked(&names);
        let objects: Vec<&str> =
            names.iter().filter(|(_, etag)| etag.is_some()).map(|(name, _)| &**name).collect();
        assert_eq!(objects, ["blue.gra", "blue.granulefs-object"]);
        let all: Vec<&str> = names.iter().map(|(name, _)| &**name).collect();
        assert_eq!(all, ["a", "blue", "blue-x", "blue.gra", "blue.granulefs-object", "blue0"]);
    }
}
