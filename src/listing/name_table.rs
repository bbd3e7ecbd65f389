//! The names of one directory that can be given out, in byte order.

use std::sync::Arc;

use super::packed_names::PackedNames;
use crate::object::{Entry, NamedEntry, Prefix};

/// Names in pieces about as large as a page, so that growing copies nothing.
#[derive(Debug, Default)]
pub(super) struct NameTable {
    chunks: Vec<PackedNames>,
    /// How many names come before each chunk.
    starts: Vec<usize>,
    len: usize,
    bytes: usize,
}

impl NameTable {
    /// Adds names that sort behind all that are there.
    pub(super) fn append(&mut self, mut names: PackedNames) {
        if names.is_empty() {
            return;
        }
        names.shrink_to_fit();
        self.bytes += names.bytes();
        self.starts.push(self.len);
        self.len += names.len();
        self.chunks.push(names);
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the bytes of memory that the names take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn last_name(&self) -> Option<&str> {
        self.chunks.last().and_then(PackedNames::last_name)
    }

    /// Returns the names from `index` on, unpacked one by one.
    pub(super) fn iter<'a>(
        &'a self,
        prefix: &'a Prefix,
        bucket: &'a Arc<str>,
        index: usize,
    ) -> impl Iterator<Item = NamedEntry> + 'a {
        let first = self.starts.partition_point(|start| *start <= index).saturating_sub(1);
        let skip = index - self.starts.get(first).copied().unwrap_or(index);
        let entries = self.chunks[first.min(self.chunks.len())..]
            .iter()
            .flat_map(|chunk| (0..chunk.len()).map(move |index| (chunk, index)));
        entries.skip(skip).map(move |(chunk, index)| chunk.unpack(index, prefix, bucket))
    }

    pub(super) fn find(&self, prefix: &Prefix, bucket: &Arc<str>, name: &str) -> Option<Entry> {
        let index = self.index_of(name)?;
        self.iter(prefix, bucket, index).next().map(|named| named.entry)
    }

    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        let is_before = |chunk: &PackedNames| chunk.last_name() < Some(name);
        let number = self.chunks.partition_point(is_before);
        let index = self.chunks.get(number)?.find(name)?;
        Some(self.starts[number] + index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::test_objects::object;
    use crate::object::Name;

    fn file(name: &str, etag: &str) -> NamedEntry {
        let component = Name::parse(name).unwrap().component().to_owned();
        let object = object(&format!("p/{component}"), etag);
        NamedEntry { name: name.into(), entry: Entry::File(Arc::new(object)) }
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
        assert_eq!(table.len(), entries.len());
        for from in [0, 1, 699, 700, 1500, 2501, 2502, 9999] {
            let rest: Vec<NamedEntry> = table.iter(&prefix, &bucket, from).collect();
            assert_eq!(rest, entries[from.min(entries.len())..], "{from}");
        }
        for named in &entries {
            assert_eq!(table.find(&prefix, &bucket, &named.name).as_ref(), Some(&named.entry));
        }
        for name in ["", "2", "20200101-granule-00000x", "5"] {
            assert_eq!(table.find(&prefix, &bucket, name), None);
        }
        assert_eq!(table.last_name(), Some("40%25.granulefs-object"));
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
