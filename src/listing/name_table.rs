//! Names with their attributes, packed: about 45 bytes a name beside the name itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::object::{Entry, Name, NamedEntry, Object, ObjectId, Prefix};

/// Names of one directory in byte order, in chunks, so that growing copies nothing.
#[derive(Debug, Default)]
pub(super) struct NameTable {
    chunks: Vec<Chunk>,
    /// How many names come before each chunk.
    starts: Vec<usize>,
    len: usize,
    bytes: usize,
}

/// At most as many names as a page has.
#[derive(Debug)]
struct Chunk {
    names: Box<str>,
    /// Where each name ends in `names`.
    ends: Box<[u32]>,
    attributes: Box<[Attributes]>,
    /// Etags that are no MD5 with a number of parts.
    odd_etags: HashMap<u32, Box<str>>,
}

/// What a listing tells of a name, without the name. A directory has no class.
#[derive(Clone, Copy, Debug)]
struct Attributes {
    size: u64,
    /// Milliseconds since the epoch.
    modified: u64,
    md5: [u8; 16],
    parts: Parts,
    class: Option<Class>,
}

/// How the etag is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parts {
    None,
    Some(u32),
    Odd,
}

/// The storage classes that S3 has; an unknown one is as readable as STANDARD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Class {
    Standard,
    ReducedRedundancy,
    StandardIa,
    OnezoneIa,
    IntelligentTiering,
    Glacier,
    DeepArchive,
    GlacierIr,
    Outposts,
    Snow,
    ExpressOnezone,
}

const CLASSES: [(Class, &str); 11] = [
    (Class::Standard, "STANDARD"),
    (Class::ReducedRedundancy, "REDUCED_REDUNDANCY"),
    (Class::StandardIa, "STANDARD_IA"),
    (Class::OnezoneIa, "ONEZONE_IA"),
    (Class::IntelligentTiering, "INTELLIGENT_TIERING"),
    (Class::Glacier, "GLACIER"),
    (Class::DeepArchive, "DEEP_ARCHIVE"),
    (Class::GlacierIr, "GLACIER_IR"),
    (Class::Outposts, "OUTPOSTS"),
    (Class::Snow, "SNOW"),
    (Class::ExpressOnezone, "EXPRESS_ONEZONE"),
];

impl NameTable {
    /// Adds names that sort behind all that are there.
    pub(super) fn append(&mut self, shown: &[NamedEntry]) {
        const LONGEST: usize = 1000;
        for part in shown.chunks(LONGEST) {
            let chunk = Chunk::new(part);
            self.bytes += chunk.bytes();
            self.starts.push(self.len);
            self.len += part.len();
            self.chunks.push(chunk);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// MetadataCache, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn last_name(&self) -> Option<&str> {
        self.chunks.last().map(|chunk| chunk.name(chunk.ends.len() - 1))
    }

    /// The names from position `from` on, unpacked one by one.
    pub(super) fn iter<'a>(
        &'a self,
        prefix: &'a Prefix,
        bucket: &'a Arc<str>,
        from: usize,
    ) -> impl Iterator<Item = NamedEntry> + 'a {
        let first = self.starts.partition_point(|start| *start <= from).saturating_sub(1);
        let skip = from - self.starts.get(first).copied().unwrap_or(from);
        let places = self.chunks[first.min(self.chunks.len())..]
            .iter()
            .flat_map(|chunk| (0..chunk.ends.len()).map(move |at| (chunk, at)));
        places.skip(skip).map(move |(chunk, at)| chunk.unpack(at, prefix, bucket))
    }

    pub(super) fn find(&self, prefix: &Prefix, bucket: &Arc<str>, name: &str) -> Option<Entry> {
        self.position(name)
            .and_then(|position| self.iter(prefix, bucket, position).next())
            .map(|shown| shown.entry)
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        let number = self.chunks.partition_point(|chunk| chunk.name(0) <= name).checked_sub(1)?;
        let chunk = &self.chunks[number];
        let (mut low, mut high) = (0, chunk.ends.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match chunk.name(middle).cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(self.starts[number] + middle),
            }
        }
        None
    }
}

impl Chunk {
    fn new(shown: &[NamedEntry]) -> Self {
        let mut odd_etags = HashMap::new();
        let mut names = String::with_capacity(shown.iter().map(|shown| shown.name.len()).sum());
        let mut ends = Vec::with_capacity(shown.len());
        let mut attributes = Vec::with_capacity(shown.len());
        for (at, shown) in (0..).zip(shown) {
            names.push_str(&shown.name);
            // A page of names of at most 1,024 bytes is far below 4 GiB.
            ends.push(names.len() as u32);
            attributes.push(match &shown.entry {
                Entry::Directory(_) => Attributes {
                    size: 0,
                    modified: 0,
                    md5: [0; 16],
                    parts: Parts::None,
                    class: None,
                },
                Entry::File(object) => {
                    let (md5, parts) = pack_etag(&object.id.etag);
                    if parts == Parts::Odd {
                        odd_etags.insert(at, (*object.id.etag).into());
                    }
                    Attributes {
                        size: object.size,
                        modified: milliseconds(object.modified),
                        md5,
                        parts,
                        class: Some(class(object)),
                    }
                }
            });
        }
        Self { names: names.into(), ends: ends.into(), attributes: attributes.into(), odd_etags }
    }

    fn name(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.names[start..self.ends[at] as usize]
    }

    fn unpack(&self, at: usize, prefix: &Prefix, bucket: &Arc<str>) -> NamedEntry {
        let name = self.name(at);
        // What was packed is what `NamedEntry` writes, which `Name` reads.
        let component =
            Name::parse(name).map_or_else(|| name.to_owned(), |name| name.component().to_owned());
        let attributes = &self.attributes[at];
        let entry = match attributes.class {
            None => Entry::Directory(prefix.child(&component)),
            Some(class) => {
                let etag = match attributes.parts {
                    Parts::Odd => self
                        .odd_etags
                        .get(&(at as u32))
                        .map(|etag| Arc::from(&**etag))
                        .unwrap_or_default(),
                    parts => unpack_etag(attributes.md5, parts).into(),
                };
                Entry::File(Arc::new(Object {
                    id: ObjectId {
                        bucket: bucket.clone(),
                        key: prefix.key(&component).into(),
                        etag,
                    },
                    size: attributes.size,
                    modified: SystemTime::UNIX_EPOCH + Duration::from_millis(attributes.modified),
                    storage_class: CLASSES[class as usize].1.into(),
                }))
            }
        };
        NamedEntry { name: name.into(), entry }
    }

    fn bytes(&self) -> usize {
        let odd: usize = self.odd_etags.values().map(|etag| etag.len() + 48).sum();
        size_of::<Self>() + self.names.len() + self.ends.len() * (4 + size_of::<Attributes>()) + odd
    }
}

fn class(object: &Object) -> Class {
    let known = CLASSES.iter().find(|(_, name)| **name == *object.storage_class);
    known.map_or(Class::Standard, |(class, _)| *class)
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// `d41d8cd98f00b204e9800998ecf8427e`, or with `-17` behind it for an upload in 17 parts.
fn pack_etag(etag: &str) -> ([u8; 16], Parts) {
    let (hex, parts) = etag.split_once('-').map_or((etag, Parts::None), |(hex, parts)| {
        (hex, parts.parse().map_or(Parts::Odd, Parts::Some))
    });
    let mut md5 = [0; 16];
    let digits =
        (hex.len() == 32 && hex.is_ascii()).then(|| u128::from_str_radix(hex, 16).ok()).flatten();
    if let Some(digits) = digits {
        md5 = digits.to_be_bytes();
    }
    // Upper case, signs and leading zeros would not come back as they were.
    if parts != Parts::Odd && digits.is_some() && unpack_etag(md5, parts) == etag {
        (md5, parts)
    } else {
        (md5, Parts::Odd)
    }
}

fn unpack_etag(md5: [u8; 16], parts: Parts) -> String {
    let hex = u128::from_be_bytes(md5);
    match parts {
        Parts::Some(parts) => format!("{hex:032x}-{parts}"),
        Parts::None | Parts::Odd => format!("{hex:032x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, etag: &str, class: &str) -> NamedEntry {
        let component = Name::parse(name).unwrap().component().to_owned();
        let id = ObjectId {
            bucket: "b".into(),
            key: format!("p/{component}").into(),
            etag: etag.into(),
        };
        let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(1_577_836_800_123);
        NamedEntry {
            name: name.into(),
            entry: Entry::File(Arc::new(Object {
                id,
                size: 1 << 40,
                modified,
                storage_class: class.into(),
            })),
        }
    }

    #[test]
    fn what_is_packed_comes_out_the_same_and_is_small() {
        let (prefix, bucket) = (Prefix::new("p"), Arc::from("b"));
        let etags = [
            "d41d8cd98f00b204e9800998ecf8427e",
            "00000000000000000000000000000000-17",
            "D41D8CD98F00B204E9800998ECF8427E",
            "",
            "x-1",
            "+41d8cd98f00b204e9800998ecf8427e",
        ];
        let mut shown: Vec<NamedEntry> = (0..2500)
            .map(|n| {
                file(
                    &format!("20200101-granule-{n:05}"),
                    etags[n % etags.len()],
                    CLASSES[n % CLASSES.len()].1,
                )
            })
            .collect();
        shown.push(NamedEntry { name: "30".into(), entry: Entry::Directory(prefix.child("30")) });
        shown.push(file("40%25.granulefs-object", etags[0], "STANDARD"));
        let mut packed = NameTable::default();
        for part in shown.chunks(700) {
            packed.append(part);
        }
        assert_eq!(packed.len(), shown.len());
        for from in [0, 1, 699, 700, 1500, 2501, 2502, 9999] {
            let rest: Vec<NamedEntry> = packed.iter(&prefix, &bucket, from).collect();
            assert_eq!(rest, shown[from.min(shown.len())..], "{from}");
        }
        for shown in &shown {
            assert_eq!(packed.find(&prefix, &bucket, &shown.name).as_ref(), Some(&shown.entry));
        }
        for name in ["", "2", "20200101-granule-00000x", "5"] {
            assert_eq!(packed.find(&prefix, &bucket, name), None);
        }
        assert_eq!(packed.last_name(), Some("40%25.granulefs-object"));
    }

    #[test]
    fn a_name_of_60_bytes_costs_under_120() {
        let name = |n| format!("{n:011}-JPL-L4_GHRSST-SSTfnd-MUR-GLOB-v02.0-fv04.1.nc.md5s");
        let shown: Vec<NamedEntry> = (0..1000)
            .map(|n| file(&name(n), "d41d8cd98f00b204e9800998ecf8427e", "STANDARD"))
            .collect();
        let mut packed = NameTable::default();
        packed.append(&shown);
        let each = packed.bytes() / shown.len();
        assert!(name(0).len() == 62 && each < 120, "{each}");
    }
}
