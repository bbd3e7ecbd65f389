//! Prefixes, objects, and what a page of a listing shows: values without I/O.

mod names;

use std::sync::Arc;
use std::time::SystemTime;

pub use names::{Name, NamedEntry};

/// The longest key S3 accepts, bytes.
pub const MAX_KEY: usize = 1024;

/// A key prefix that is empty or ends in `/`: what the tree shows as a directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// The prefix that `text` names, with or without its last slash.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.is_empty() || text.ends_with('/') {
            Self(text.into())
        } else {
            Self(format!("{text}/").into())
        }
    }

    /// The prefix one `component` deeper. The component may be empty: `a//b` is a key.
    #[must_use]
    pub fn child(&self, component: &str) -> Self {
        Self(format!("{}{component}/", self.0).into())
    }

    /// The prefix that holds this one; the empty one holds itself.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self::of_key(self.0.strip_suffix('/').unwrap_or(&self.0)).0
    }

    /// The key of the object called `component` directly below.
    #[must_use]
    pub fn key(&self, component: &str) -> String {
        format!("{}{component}", self.0)
    }

    /// Whether `key`, of an object or a prefix, starts with it.
    #[must_use]
    pub fn holds(&self, key: &str) -> bool {
        key.starts_with(&*self.0)
    }

    /// The prefix as S3 is asked for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The prefix that holds `key`, and the component that `key` has there.
    #[must_use]
    pub fn of_key(key: &str) -> (Self, &str) {
        match key.rfind('/') {
            Some(at) => (Self(key[..=at].into()), &key[at + 1..]),
            None => (Self("".into()), key),
        }
    }
}

/// One version of one object: what a GET may be asked for without ever mixing versions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectId {
    /// The bucket's name.
    pub bucket: Arc<str>,
    /// The key, decoded.
    pub key: Arc<str>,
    /// The entity tag without its quotes.
    pub etag: Arc<str>,
}

impl ObjectId {
    /// The `s3://bucket/key` form.
    #[must_use]
    pub fn url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

/// An object as a listing or a HEAD describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Which version of which key.
    pub id: ObjectId,
    /// Bytes.
    pub size: u64,
    /// LastModified.
    pub modified: SystemTime,
    /// The storage class as S3 names it, `STANDARD` when it names none.
    pub storage_class: Arc<str>,
}

impl Object {
    /// Whether the object must be restored before it can be read.
    ///
    /// `GLACIER_IR` is read like any other; the archive tiers of `INTELLIGENT_TIERING` show only in
    /// the answer to a GET.
    #[must_use]
    pub fn is_archived(&self) -> bool {
        matches!(&*self.storage_class, "GLACIER" | "DEEP_ARCHIVE")
    }
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A prefix with at least one key below it.
    Directory(Prefix),
    /// An object.
    File(Arc<Object>),
}

impl Entry {
    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        matches!(self, Self::Directory(_))
    }
}

/// One page of a listing with delimiter `/`, keys decoded.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The objects directly below the prefix (and its marker, if there is one).
    pub objects: Vec<Object>,
    /// The common prefixes.
    pub prefixes: Vec<Prefix>,
    /// Keys that could not be decoded to UTF-8.
    pub undecodable: usize,
    /// Where the next page starts; `None` on the last page.
    pub next: Option<Arc<str>>,
}

impl Page {
    /// Whether the page tells of no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.prefixes.is_empty() && self.undecodable == 0
    }
}
