//! The buckets: stored objects, generated ones and files, by key.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, btree_map};
use std::io;
use std::iter::Peekable;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::content::{Content, Object};
use crate::key_pattern::KeyPattern;

/// LastModified of a pattern's first object, 2020-01-01; each further object is one second newer.
const GENERATED: Duration = Duration::from_secs(1_577_836_800);

/// The attributes with which an object is put; `None` means the default.
#[derive(Clone, Debug, Default)]
pub struct PutOptions {
    /// LastModified; by default the current time.
    pub modified: Option<SystemTime>,
    /// The storage class, such as `GLACIER`; by default `STANDARD`.
    pub class: Option<Cow<'static, str>>,
    /// The entity tag, without quotes; by default a hash.
    pub etag: Option<String>,
}

/// All buckets.
#[derive(Debug, Default)]
pub(crate) struct Store {
    buckets: HashMap<String, Bucket>,
    versions: u64,
}

/// The objects of one bucket, in byte order of their keys.
#[derive(Debug)]
pub(crate) struct Bucket {
    name: String,
    stored: BTreeMap<String, Stored>,
    sets: Vec<KeyPattern>,
}

#[derive(Debug)]
enum Stored {
    Object(Object),
    File(PathBuf),
    /// Hides a generated object.
    Deleted,
}

impl Store {
    pub(crate) fn create(&mut self, bucket: &str) -> &mut Bucket {
        self.buckets.entry(bucket.to_owned()).or_insert_with(|| Bucket {
            name: bucket.to_owned(),
            stored: BTreeMap::new(),
            sets: Vec::new(),
        })
    }

    pub(crate) fn bucket(&self, bucket: &str) -> Option<&Bucket> {
        self.buckets.get(bucket)
    }

    pub(crate) fn get(&self, bucket: &str, key: &str) -> Option<Object> {
        self.buckets.get(bucket)?.get(key)
    }

    pub(crate) fn put(&mut self, bucket: &str, key: &str, content: Content, options: PutOptions) {
        self.versions += 1;
        let version = self.versions;
        let bucket = self.create(bucket);
        let before = bucket.get(key).map(|object| object.modified + Duration::from_secs(1));
        let now = options
            .modified
            .unwrap_or_else(|| SystemTime::now().max(before.unwrap_or(SystemTime::UNIX_EPOCH)));
        let mut object = match content {
            Content::Bytes(bytes) => Object::from_bytes(bytes, now),
            Content::Synthetic { size } => Object::synthetic(&bucket.name, key, version, size, now),
            Content::File(path) => {
                bucket.stored.insert(key.to_owned(), Stored::File(path));
                return;
            }
        };
        object.class = options.class.unwrap_or(object.class);
        object.etag = options.etag.unwrap_or(object.etag);
        bucket.stored.insert(key.to_owned(), Stored::Object(object));
    }

    pub(crate) fn delete(&mut self, bucket: &str, key: &str) {
        let bucket = self.create(bucket);
        if bucket.sets.iter().any(|set| set.find(key).is_some()) {
            bucket.stored.insert(key.to_owned(), Stored::Deleted);
        } else {
            bucket.stored.remove(key);
        }
    }

    /// Puts every file below `folder` under `prefix`; an empty directory becomes an object whose
    /// key ends in a slash. Links are followed, names that are not UTF-8 are left out.
    pub(crate) fn put_folder(
        &mut self,
        bucket: &str,
        prefix: &str,
        folder: &Path,
    ) -> io::Result<()> {
        let mut empty = true;
        for entry in std::fs::read_dir(folder)? {
            empty = false;
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if path.is_dir() {
                self.put_folder(bucket, &format!("{prefix}{name}/"), &path)?;
            } else {
                let key = format!("{prefix}{name}");
                self.put(bucket, &key, Content::File(path), PutOptions::default());
            }
        }
        if empty && !prefix.is_empty() {
            self.put(bucket, prefix, Content::Bytes(bytes::Bytes::new()), PutOptions::default());
        }
        Ok(())
    }
}

impl Bucket {
    pub(crate) fn add(&mut self, set: KeyPattern) {
        self.sets.push(set);
    }

    pub(crate) fn get(&self, key: &str) -> Option<Object> {
        match self.stored.get(key) {
            Some(stored) => stored.object(),
            None => self.sets.iter().find_map(|set| Some(self.generated(set, set.find(key)?, key))),
        }
    }

    /// Returns the objects whose keys are `from` or later, in byte order.
    pub(crate) fn entries(&self, from: &str) -> Entries<'_> {
        Entries {
            bucket: self,
            stored: self
                .stored
                .range::<str, _>((Bound::Included(from), Bound::Unbounded))
                .peekable(),
            sets: self.sets.iter().map(|set| Generated::new(set, set.position(from))).collect(),
        }
    }

    fn generated(&self, set: &KeyPattern, index: u64, key: &str) -> Object {
        let modified = SystemTime::UNIX_EPOCH + GENERATED + Duration::from_secs(index);
        Object::synthetic(&self.name, key, 0, set.size, modified)
    }
}

impl Stored {
    fn object(&self) -> Option<Object> {
        match self {
            Self::Object(object) => Some(object.clone()),
            Self::File(path) => Object::from_file(path),
            Self::Deleted => None,
        }
    }
}

/// Stored and generated objects, merged; a stored object hides a generated one of the same key.
pub(crate) struct Entries<'a> {
    bucket: &'a Bucket,
    stored: Peekable<btree_map::Range<'a, String, Stored>>,
    sets: Vec<Generated<'a>>,
}

struct Generated<'a> {
    set: &'a KeyPattern,
    index: u64,
    key: Option<String>,
}

impl<'a> Generated<'a> {
    fn new(set: &'a KeyPattern, index: u64) -> Self {
        Self { set, index, key: (index < set.count()).then(|| set.name(index)) }
    }

    fn advance(&mut self) {
        *self = Self::new(self.set, self.index + 1);
    }
}

impl Iterator for Entries<'_> {
    type Item = (String, Object);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let first = self
                .sets
                .iter_mut()
                .filter(|set| set.key.is_some())
                .min_by(|a, b| a.key.cmp(&b.key));
            let generated = first.as_ref().and_then(|set| set.key.as_ref());
            if let Some((key, stored)) =
                self.stored.next_if(|(key, _)| generated.is_none_or(|generated| *key <= generated))
            {
                if let Some(set) = first.filter(|set| set.key.as_ref() == Some(key)) {
                    set.advance();
                }
                match stored.object() {
                    Some(object) => return Some((key.clone(), object)),
                    None => continue,
                }
            }
            let set = first?;
            let index = set.index;
            let key = set.key.take()?;
            let object = self.bucket.generated(set.set, index, &key);
            set.advance();
            return Some((key, object));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_pattern::SyntheticObjects;

    fn keys(store: &Store, from: &str) -> Vec<String> {
        store.bucket("b").unwrap().entries(from).map(|(key, _)| key).collect()
    }

    #[test]
    fn stored_objects_hide_and_interleave_with_generated_ones() {
        let mut store = Store::default();
        let set = |pattern: &str| {
            KeyPattern::parse(&SyntheticObjects { pattern: pattern.into(), size: 7 }).unwrap()
        };
        store.create("b").add(set("k{5}"));
        store.create("b").add(set("k2{2}"));
        store.put("b", "k1", Content::from("mine"), PutOptions::default());
        store.put("b", "k11", Content::from("between"), PutOptions::default());
        store.delete("b", "k3");
        assert_eq!(keys(&store, ""), ["k0", "k1", "k11", "k2", "k20", "k21", "k4"]);
        assert_eq!(keys(&store, "k2\0"), ["k20", "k21", "k4"]);
        assert_eq!(store.get("b", "k1").unwrap().size, 4);
        assert_eq!(store.get("b", "k0").unwrap().size, 7);
        assert!(store.get("b", "k3").is_none());
    }

    #[test]
    fn a_replaced_object_is_at_least_a_second_newer() {
        let mut store = Store::default();
        store.put("b", "k", Content::synthetic(9), PutOptions::default());
        let old = store.get("b", "k").unwrap();
        store.put("b", "k", Content::synthetic(9), PutOptions::default());
        let new = store.get("b", "k").unwrap();
        assert_ne!(old.etag, new.etag);
        assert!(new.modified >= old.modified + Duration::from_secs(1));
    }
}
