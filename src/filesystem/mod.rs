//! The filesystem in its own words: names, attributes, handles, bytes. Knows nothing of FUSE.

mod attributes;
mod bucket_tree;
mod handles;

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

pub use attributes::{Attributes, OwnerAndModes};
use bucket_tree::{BucketTree, BucketTrees};
use handles::Handles;

use crate::cache::BlockCache;
use crate::error::Error;
use crate::inodes::{Inodes, Node, ROOT};
use crate::listing::Reading;
use crate::object::{Entry, Name, NamedEntry, Prefix};
use crate::reader::{OpenObject, Reader};
use crate::s3::Bucket;

/// For how long the kernel may believe what the directory above the buckets says, which never
/// changes.
const TOP_TTL: Duration = Duration::from_secs(3600);

/// One mounted prefix of a bucket, or several, each below its bucket's name.
#[derive(Debug)]
pub struct Filesystem {
    trees: BucketTrees,
    appearance: OwnerAndModes,
    reader: Reader,
    inodes: Inodes,
    files: Handles<Arc<OpenObject>>,
    directories: Handles<Arc<OpenDirectory>>,
    /// How many there were by now.
    refreshes: AtomicU64,
}

#[derive(Debug)]
struct OpenDirectory {
    /// The refreshes before it was opened.
    refreshes: u64,
    /// The number of its tree, and its names; `None` is the directory above the buckets.
    reading: Option<(usize, Reading)>,
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

/// For how long a directory's names may be believed that are told before the next refresh.
#[derive(Clone, Copy, Debug)]
pub struct Freshness {
    lasts: Duration,
    refreshes: u64,
}

/// One name of a directory.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The number of the tree that it is in.
    tree: usize,
    /// The name and what it stands for.
    pub shown: NamedEntry,
    /// The position to go on from after it.
    pub next: u64,
}

impl Filesystem {
    /// The tree below `root`. Asks for nothing yet.
    #[must_use]
    pub fn new(bucket: Bucket, root: Prefix, appearance: OwnerAndModes, limits: Limits) -> Self {
        let top = Node::InTree(0, Entry::Directory(root.clone()));
        Self::below(
            top,
            BucketTrees::new(vec![(bucket, root)], limits.metadata_ttl),
            appearance,
            limits,
        )
    }

    /// A directory with the buckets' names, and below each of them what the bucket has below the
    /// prefix. Asks for nothing yet.
    #[must_use]
    pub fn of_several(
        places: Vec<(Bucket, Prefix)>,
        appearance: OwnerAndModes,
        limits: Limits,
    ) -> Self {
        Self::below(
            Node::BucketsRoot,
            BucketTrees::new(places, limits.metadata_ttl),
            appearance,
            limits,
        )
    }

    fn below(top: Node, trees: BucketTrees, appearance: OwnerAndModes, limits: Limits) -> Self {
        Self {
            trees,
            appearance,
            reader: Reader::new(BlockCache::new(limits.cache_size)),
            inodes: Inodes::new(top),
            files: Handles::default(),
            directories: Handles::default(),
            refreshes: AtomicU64::new(0),
        }
    }

    /// Asks for the first page of the root, if that is in a bucket, and answers whether it has any
    /// name.
    ///
    /// # Errors
    /// Those of [`Bucket::page`].
    pub async fn first_names(&self) -> Result<bool, Error> {
        let Some((number, prefix)) = self.directory(ROOT)? else { return Ok(true) };
        let listings = &self.trees.get(number).listings;
        let root = listings.read(&prefix);
        Ok(!listings.names(root.directory(), 0).await?.is_empty())
    }

    /// What `name` is in the directory `parent`. Costs one round trip, unless it is known.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::NameTooLong`]; [`Error::BadHandle`] for an unknown `parent`.
    pub async fn lookup(&self, parent: u64, name: &OsStr) -> Result<Found, Error> {
        let refreshes = self.refreshes();
        let directory = self.directory(parent)?;
        let Some(name) = name.to_str() else {
            return Ok(Found { node: None, fresh_for: Duration::ZERO });
        };
        let Some((number, prefix)) = directory else {
            let tree = self.trees.find(name);
            let node = tree.map(|number| self.note(number, &self.trees.get(number).top()));
            return Ok(Found { node, fresh_for: TOP_TTL });
        };
        let answer = self.trees.get(number).listings.lookup(&prefix, name).await?;
        let node = answer.entry.map(|entry| self.note(number, &entry));
        Ok(Found {
            node,
            fresh_for: self.fresh_for(Freshness { lasts: answer.fresh_for, refreshes }),
        })
    }

    /// Number and attributes of a name that the kernel is told of, and for how long it may believe
    /// them; counts as one lookup.
    pub fn remember(&self, listed: &Listed, freshness: Freshness) -> (u64, Attributes, Duration) {
        let (number, attributes) = self.note(listed.tree, &listed.shown.entry);
        (number, attributes, self.fresh_for(freshness))
    }

    /// To be asked once the name is noted: a refresh either finds it there, or is seen here.
    fn fresh_for(&self, freshness: Freshness) -> Duration {
        if freshness.refreshes == self.refreshes() { freshness.lasts } else { Duration::ZERO }
    }

    fn refreshes(&self) -> u64 {
        self.refreshes.load(Ordering::SeqCst)
    }

    fn note(&self, tree: usize, entry: &Entry) -> (u64, Attributes) {
        (self.inodes.remember(tree, entry), self.appearance.of(entry))
    }

    /// Takes back `lookups` of `number`.
    pub fn forget(&self, number: u64, lookups: u64) {
        self.inodes.forget(number, lookups);
    }

    /// The number that a name has or will have; counts nothing.
    #[must_use]
    pub fn number(&self, listed: &Listed) -> u64 {
        self.inodes.number(listed.tree, &listed.shown.entry)
    }

    /// The attributes of `number`, which never change while it is known.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub fn attributes(&self, number: u64) -> Result<Attributes, Error> {
        Ok(match self.node(number)? {
            Node::BucketsRoot => self.appearance.of_directory(),
            Node::InTree(_, entry) => self.appearance.of(&entry),
        })
    }

    /// A handle on the file `number`. Costs no request.
    ///
    /// # Errors
    /// [`Error::Archived`], [`Error::IsADirectory`], [`Error::BadHandle`].
    pub fn open(&self, number: u64) -> Result<u64, Error> {
        match self.node(number)? {
            Node::BucketsRoot | Node::InTree(_, Entry::Directory(_)) => Err(Error::IsADirectory),
            Node::InTree(_, Entry::File(object)) if object.is_archived() => Err(Error::Archived {
                url: object.id.url().into(),
                class: object.storage_class.clone(),
            }),
            Node::InTree(tree, Entry::File(object)) => {
                let BucketTree { bucket, listings, .. } = self.trees.get(tree);
                let following = |count| listings.following(&object.id.key, count);
                Ok(self.files.put(self.reader.open(bucket, &object, following)))
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

    /// A handle on the directory `number`, and whether it shows what the last handle on it showed.
    /// Costs no request.
    ///
    /// # Errors
    /// [`Error::NotADirectory`], [`Error::BadHandle`].
    pub fn open_directory(&self, number: u64) -> Result<(u64, bool), Error> {
        let refreshes = self.refreshes();
        let (reading, is_same) = match self.directory(number)? {
            None => (None, self.trees.open_again()),
            Some((tree, prefix)) => {
                let reading = self.trees.get(tree).listings.read(&prefix);
                let is_same = reading.directory().open_again();
                (Some((tree, reading)), is_same)
            }
        };
        Ok((self.directories.put(Arc::new(OpenDirectory { refreshes, reading })), is_same))
    }

    /// Names from position `from` (a [`Listed::next`], 0 to start over) on, and for how long they
    /// may be believed. No names: the end.
    ///
    /// # Errors
    /// [`Error::Refused`] where listing is not allowed and nothing is known, [`Error::BadHandle`].
    pub async fn read_directory(
        &self,
        handle: u64,
        from: u64,
    ) -> Result<(Vec<Listed>, Freshness), Error> {
        let opened = self.directories.get(handle).ok_or(Error::BadHandle)?;
        let refreshes = opened.refreshes;
        let Some((tree, reading)) = &opened.reading else {
            return Ok((self.trees.names(from), Freshness { lasts: TOP_TTL, refreshes }));
        };
        let (tree, directory, listings) =
            (*tree, reading.directory(), &self.trees.get(*tree).listings);
        let names = listings.names(directory, usize::try_from(from).unwrap_or(usize::MAX)).await?;
        let listed =
            names.into_iter().zip(from + 1..).map(|(shown, next)| Listed { tree, shown, next });
        Ok((listed.collect(), Freshness { lasts: listings.fresh_for(directory), refreshes }))
    }

    /// Gives a directory's handle back.
    pub fn release_directory(&self, handle: u64) {
        self.directories.take(handle);
    }

    /// Forgets what is known below the directory `number`, or of the file `number`. Answers the
    /// names, each with the directory it is or is not in, that the kernel may still remember.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub fn refresh(
        &self,
        number: u64,
    ) -> Result<impl Iterator<Item = (u64, String)> + use<'_>, Error> {
        let forgotten: Vec<_> = match self.node(number)? {
            Node::BucketsRoot => self
                .trees
                .iter()
                .map(|(number, tree)| self.refresh_in(number, &tree.top()))
                .collect(),
            Node::InTree(tree, entry) => vec![self.refresh_in(tree, &entry)],
        };
        Ok(forgotten.into_iter().flatten())
    }

    /// There can be millions of names, so each is made when it is asked for.
    fn refresh_in(
        &self,
        tree: usize,
        entry: &Entry,
    ) -> impl Iterator<Item = (u64, String)> + use<'_> {
        let listings = &self.trees.get(tree).listings;
        let absent = match entry {
            Entry::Directory(prefix) => listings.refresh(prefix),
            Entry::File(object) => {
                listings.forget(&object.id);
                Vec::new()
            }
        };
        // After what was known is forgotten, and before those are collected that were told of it.
        self.refreshes.fetch_add(1, Ordering::SeqCst);
        let present = match entry {
            Entry::Directory(prefix) => self.inodes.objects_below(tree, prefix),
            Entry::File(object) => vec![object.clone()],
        };
        let absent = absent.into_iter().map(|(parent, name)| (parent, String::from(name)));
        let present = present.into_iter().flat_map(|object| {
            let (parent, component) = Prefix::of_key(&object.id.key);
            Name::of_object(component).map(|name| (parent.clone(), name))
        });
        absent
            .chain(present)
            .map(move |(parent, name)| (self.inodes.number(tree, &Entry::Directory(parent)), name))
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
        if name == Some("user.granulefs.statistics") && number == ROOT {
            return Ok(self.statistics());
        }
        let Node::InTree(tree, entry) = self.node(number)? else { return Err(Error::NoAttribute) };
        match (name, &entry) {
            (Some("user.s3.url"), Entry::Directory(prefix)) => {
                Ok(self.trees.get(tree).bucket.url(prefix.as_str()))
            }
            (Some("user.s3.url"), Entry::File(object)) => Ok(object.id.url()),
            (Some("user.s3.etag"), Entry::File(object)) => Ok(object.id.etag.to_string()),
            (Some("user.s3.storage_class"), Entry::File(object)) => {
                Ok(object.storage_class.to_string())
            }
            _ => Err(Error::NoAttribute),
        }
    }

    /// The names of the extended attributes.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub fn xattr_names(&self, number: u64) -> Result<&'static [&'static str], Error> {
        Ok(match self.node(number)? {
            Node::BucketsRoot => &["user.granulefs.statistics"],
            Node::InTree(_, Entry::File(_)) => {
                &["user.s3.url", "user.s3.etag", "user.s3.storage_class"]
            }
            Node::InTree(..) if number == ROOT => &["user.s3.url", "user.granulefs.statistics"],
            Node::InTree(..) => &["user.s3.url"],
        })
    }

    /// What an operation on the node `number`, or on a name in it, was waiting for when its
    /// deadline passed.
    #[must_use]
    pub fn timeout_cause(&self, number: u64) -> Error {
        match self.node(number) {
            Ok(Node::InTree(tree, _)) => self.trees.get(tree).bucket.timeout_cause(),
            _ => Error::Deadline("it was not S3 that it waited for".into()),
        }
    }

    /// `name value` lines.
    fn statistics(&self) -> String {
        let escaped = self.trees.memory().escaped();
        let lines = [
            ("s3.list", self.trees.sum(|requests| &requests.list)),
            ("s3.head", self.trees.sum(|requests| &requests.head)),
            ("s3.get", self.trees.sum(|requests| &requests.get)),
            ("s3.bytes", self.trees.sum(|requests| &requests.bytes)),
            ("cache.bytes", self.reader.cache().held() as u64),
            ("inodes", self.inodes.count() as u64),
            ("names.shadowed", escaped.shadowed as u64),
            ("names.unshowable", escaped.unshowable as u64),
        ];
        lines.iter().map(|(name, value)| format!("{name} {value}\n")).collect()
    }

    fn node(&self, number: u64) -> Result<Node, Error> {
        self.inodes.get(number).ok_or(Error::BadHandle)
    }

    /// Which directory `number` is; `None` for the one above the buckets.
    fn directory(&self, number: u64) -> Result<Option<(usize, Prefix)>, Error> {
        match self.node(number)? {
            Node::BucketsRoot => Ok(None),
            Node::InTree(tree, Entry::Directory(prefix)) => Ok(Some((tree, prefix))),
            Node::InTree(_, Entry::File(_)) => Err(Error::NotADirectory),
        }
    }
}
