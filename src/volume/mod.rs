//! The filesystem in its own words: names, attributes, handles, bytes. Knows nothing of FUSE.

mod attributes;
mod handles;

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

pub use attributes::{Appearance, Attributes};
use handles::Handles;

use crate::cache::BlockCache;
use crate::error::Error;
use crate::inodes::{Inodes, ROOT};
use crate::listing::{Listings, Reading};
use crate::object::{Entry, Name, Prefix, Shown};
use crate::reader::{OpenObject, Reader};
use crate::s3::Bucket;

/// One mounted prefix of a bucket.
#[derive(Debug)]
pub struct Volume {
    bucket: Bucket,
    appearance: Appearance,
    listings: Arc<Listings>,
    reader: Reader,
    inodes: Inodes,
    files: Handles<Arc<OpenObject>>,
    directories: Handles<Arc<Reading>>,
}

/// What a volume keeps, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For how long listings and attributes are believed.
    pub metadata_ttl: Duration,
    /// Bytes of blocks.
    pub cache_size: usize,
}

/// The answer to a lookup.
#[derive(Clone, Debug)]
pub struct Found {
    /// Number and attributes, the number counted as one lookup; `None`: there is no such name.
    pub node: Option<(u64, Attributes)>,
    /// For how long that may be believed.
    pub fresh_for: Duration,
}

/// One name of a directory.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The name and what it stands for.
    pub shown: Shown,
    /// The position to go on from after it.
    pub next: u64,
}

impl Volume {
    /// The tree below `root`. Asks for nothing yet.
    #[must_use]
    pub fn new(bucket: Bucket, root: Prefix, appearance: Appearance, limits: Limits) -> Self {
        Self {
            listings: Listings::new(bucket.clone(), root.clone(), limits.metadata_ttl),
            reader: Reader::new(BlockCache::new(bucket.clone(), limits.cache_size)),
            inodes: Inodes::new(root),
            files: Handles::default(),
            directories: Handles::default(),
            bucket,
            appearance,
        }
    }

    /// Asks for the first page of the root, and answers whether it has any name.
    ///
    /// # Errors
    /// Those of [`Bucket::page`].
    pub async fn first_names(&self) -> Result<bool, Error> {
        let root = self.listings.read(&self.prefix(ROOT)?);
        Ok(!self.listings.names(root.directory(), 0).await?.is_empty())
    }

    /// What `name` is in the directory `parent`. Costs one round trip, unless it is known.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::NameTooLong`]; [`Error::BadHandle`] for an unknown `parent`.
    pub async fn lookup(&self, parent: u64, name: &OsStr) -> Result<Found, Error> {
        let prefix = self.prefix(parent)?;
        let Some(name) = name.to_str() else {
            return Ok(Found { node: None, fresh_for: Duration::ZERO });
        };
        let answer = self.listings.lookup(&prefix, name).await?;
        let node = answer.entry.map(|entry| self.remember(&entry));
        Ok(Found { node, fresh_for: answer.fresh_for })
    }

    /// Number and attributes of an entry that the kernel is told of; counts as one lookup.
    pub fn remember(&self, entry: &Entry) -> (u64, Attributes) {
        (self.inodes.remember(entry), self.appearance.of(entry))
    }

    /// Takes back `lookups` of `number`.
    pub fn forget(&self, number: u64, lookups: u64) {
        self.inodes.forget(number, lookups);
    }

    /// The number that `entry` has or will have; counts nothing.
    #[must_use]
    pub fn number(&self, entry: &Entry) -> u64 {
        self.inodes.number(entry)
    }

    /// The attributes of `number`, which never change while it is known.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub fn attributes(&self, number: u64) -> Result<Attributes, Error> {
        Ok(self.appearance.of(&self.entry(number)?))
    }

    /// A handle on the file `number`. Costs no request.
    ///
    /// # Errors
    /// [`Error::Archived`], [`Error::IsADirectory`], [`Error::BadHandle`].
    pub fn open(&self, number: u64) -> Result<u64, Error> {
        match self.entry(number)? {
            Entry::Directory(_) => Err(Error::IsADirectory),
            Entry::File(object) if object.is_archived() => {
                Err(Error::Archived { what: object.id.url().into(), class: object.storage_class.clone() })
            }
            Entry::File(object) => {
                let following = |count| self.listings.following(&object.id.key, count);
                Ok(self.files.put(self.reader.open(&object, following)))
            }
        }
    }

    /// Up to `size` bytes at `offset`, in pieces; fewer only at the end of the file.
    ///
    /// # Errors
    /// [`Error::Replaced`], [`Error::Refused`], [`Error::BadHandle`].
    pub async fn read(&self, handle: u64, offset: u64, size: u32) -> Result<Vec<Bytes>, Error> {
        let file = self.files.get(handle).ok_or(Error::BadHandle)?;
        file.read(offset, size).await
    }

    /// Gives a file's handle back.
    pub fn release(&self, handle: u64) {
        self.files.take(handle);
    }

    /// A handle on the directory `number`, and whether it shows what the last handle on it showed. Costs no request.
    ///
    /// # Errors
    /// [`Error::NotADirectory`], [`Error::BadHandle`].
    pub fn open_directory(&self, number: u64) -> Result<(u64, bool), Error> {
        let reading = self.listings.read(&self.prefix(number)?);
        let is_same = reading.directory().open_again();
        Ok((self.directories.put(Arc::new(reading)), is_same))
    }

    /// Names from position `from` (a [`Listed::next`], 0 to start over) on, and for how long they may be believed.
    /// No names: the end.
    ///
    /// # Errors
    /// [`Error::Refused`] where listing is not allowed and nothing is known, [`Error::BadHandle`].
    pub async fn read_directory(&self, handle: u64, from: u64) -> Result<(Vec<Listed>, Duration), Error> {
        let reading = self.directories.get(handle).ok_or(Error::BadHandle)?;
        let directory = reading.directory();
        let names = self.listings.names(directory, usize::try_from(from).unwrap_or(usize::MAX)).await?;
        let listed = names.into_iter().zip(from + 1..).map(|(shown, next)| Listed { shown, next });
        Ok((listed.collect(), self.listings.fresh_for(directory)))
    }

    /// Gives a directory's handle back.
    pub fn release_directory(&self, handle: u64) {
        self.directories.take(handle);
    }

    /// Forgets what is known below the directory `number`, or of the file `number`. Answers the names, each with the directory it
    /// is or is not in, that the kernel may still remember.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub fn refresh(&self, number: u64) -> Result<Vec<(u64, String)>, Error> {
        let (absent, present) = match self.entry(number)? {
            Entry::Directory(prefix) => (self.listings.refresh(&prefix), self.inodes.objects_below(&prefix)),
            Entry::File(object) => {
                self.listings.forget(&object.id.key);
                (Vec::new(), vec![object])
            }
        };
        let absent = absent.into_iter().map(|(parent, name)| (parent, String::from(name)));
        let present = present.iter().flat_map(|object| {
            let (parent, component) = Prefix::of_key(&object.id.key);
            Name::of_object(component).map(|name| (parent.clone(), name))
        });
        Ok(absent.chain(present).map(|(parent, name)| (self.inodes.number(&Entry::Directory(parent)), name)).collect())
    }

    /// The value of an extended attribute.
    ///
    /// # Errors
    /// [`Error::NoAttribute`], [`Error::NotSupported`], [`Error::BadHandle`].
    pub fn xattr(&self, number: u64, name: &OsStr) -> Result<String, Error> {
        let name = name.to_str();
        // ls(1) asks two of these for each file, until it is told that this filesystem has none.
        if name.is_some_and(|name| name.starts_with("security.") || name.starts_with("system.")) {
            return Err(Error::NotSupported);
        }
        let entry = self.entry(number)?;
        match (name, &entry) {
            (Some("user.s3.url"), Entry::Directory(prefix)) => Ok(self.bucket.url(prefix.as_str())),
            (Some("user.s3.url"), Entry::File(object)) => Ok(object.id.url()),
            (Some("user.s3.etag"), Entry::File(object)) => Ok(object.id.etag.to_string()),
            (Some("user.s3.storage_class"), Entry::File(object)) => Ok(object.storage_class.to_string()),
            (Some("user.granulefs.statistics"), _) if number == ROOT => Ok(self.statistics()),
            _ => Err(Error::NoAttribute),
        }
    }

    /// The names of the extended attributes.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub fn xattr_names(&self, number: u64) -> Result<&'static [&'static str], Error> {
        Ok(match self.entry(number)? {
            Entry::File(_) => &["user.s3.url", "user.s3.etag", "user.s3.storage_class"],
            Entry::Directory(_) if number == ROOT => &["user.s3.url", "user.granulefs.statistics"],
            Entry::Directory(_) => &["user.s3.url"],
        })
    }

    /// What an operation whose deadline has passed was waiting for.
    #[must_use]
    pub fn trouble(&self) -> Error {
        self.bucket.trouble()
    }

    /// `name value` lines.
    fn statistics(&self) -> String {
        let requests = self.bucket.counters();
        let escaped = self.listings.escaped();
        let lines = [
            ("s3.list", requests.list.load(Ordering::Relaxed)),
            ("s3.head", requests.head.load(Ordering::Relaxed)),
            ("s3.get", requests.get.load(Ordering::Relaxed)),
            ("s3.bytes", requests.bytes.load(Ordering::Relaxed)),
            ("cache.bytes", self.reader.cache().held() as u64),
            ("inodes", self.inodes.count() as u64),
            ("names.shadowed", escaped.shadowed as u64),
            ("names.unshowable", escaped.unshowable as u64),
        ];
        lines.iter().map(|(name, value)| format!("{name} {value}\n")).collect()
    }

    fn entry(&self, number: u64) -> Result<Entry, Error> {
        self.inodes.get(number).ok_or(Error::BadHandle)
    }

    fn prefix(&self, number: u64) -> Result<Prefix, Error> {
        match self.entry(number)? {
            Entry::Directory(prefix) => Ok(prefix),
            Entry::File(_) => Err(Error::NotADirectory),
        }
    }
}
