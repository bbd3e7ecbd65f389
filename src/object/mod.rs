//! Prefixes, objects, pages of listings, and the names that a directory shows: values without I/O.

mod modification_time;
mod name;
mod page;
mod prefix;

use std::sync::Arc;
use std::time::SystemTime;

pub use modification_time::modification_time;
pub use name::{Name, NamedEntry};
pub use page::{Page, PageEntry, undecided_names};
pub use prefix::Prefix;

/// The longest key S3 accepts, bytes.
pub const MAX_KEY: usize = 1024;

/// One version of one object. A GET that names it never gets bytes of another version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectId {
    /// The bucket's name.
    pub bucket: Arc<str>,
    /// The key, decoded.
    pub key: Arc<str>,
    /// The entity tag without its quotes, or what stands in for one that is not known yet.
    pub etag: Arc<str>,
}

impl ObjectId {
    /// Returns what stands in for the entity tag of an object that a listing shows without one:
    /// another size or time is another version. No entity tag holds a quote.
    #[must_use]
    pub fn stand_in(size: u64, modified: SystemTime) -> String {
        let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        format!("\"{size} {}", since.as_millis())
    }

    /// Returns whether the entity tag is known, so that S3 can be asked for this very version.
    #[must_use]
    pub fn has_version(&self) -> bool {
        !self.etag.starts_with('"')
    }

    /// Returns the `s3://bucket/key` URL, without the version.
    #[must_use]
    pub fn url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

/// An object as a listing or a HEAD describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The key and the version.
    pub id: ObjectId,
    /// The size in bytes.
    pub size: u64,
    /// S3's LastModified, as [`modification_time`] has it.
    pub modified: SystemTime,
    /// The storage class as S3 names it; `STANDARD` when S3 names none.
    pub storage_class: Arc<str>,
}

impl Object {
    /// Returns whether the object must be restored before it can be read.
    ///
    /// `GLACIER_IR` needs no restore. Whether an object in `INTELLIGENT_TIERING` needs one shows
    /// only in the answer to a GET.
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
    /// Returns whether the name stands for a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        matches!(self, Self::Directory(_))
    }
}
