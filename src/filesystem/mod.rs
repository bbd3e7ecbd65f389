//! The filesystem in its own words: names, attributes, handles, bytes. Knows nothing of FUSE.

mod attributes;
mod bucket_tree;
mod directories;
mod files;
mod handles;
mod lookup;
mod refresh;
mod statistics;
mod status;
mod xattrs;

use std::sync::Arc;
use std::time::Duration;

pub use attributes::{Attributes, OwnerAndModes};
use bucket_tree::BucketTrees;
pub use directories::DirectoryEntry;
use directories::OpenDirectory;
pub use files::OpenedFile;
use handles::Handles;
pub use lookup::Lookup;
pub use refresh::EntryTtl;
use refresh::RefreshEpoch;
pub use status::Status;

use crate::cache::BlockCache;
use crate::catalog::BucketPrefixes;
use crate::error::Error;
use crate::inodes::{Inodes, Node};
use crate::listing::MetadataCache;
use crate::object::{Entry, Prefix};
use crate::reader::{OpenObject, Reader};
use crate::s3::Bucket;

/// The kernel may believe the directory above the buckets for this long, since it never changes.
const BUCKETS_ROOT_TTL: Duration = Duration::from_secs(3600);

/// One mounted prefix of a bucket, or several, each below its bucket's name.
#[derive(Debug)]
pub struct Filesystem {
    trees: BucketTrees,
    owner_and_modes: OwnerAndModes,
    reader: Reader,
    inodes: Inodes,
    files: Handles<Arc<OpenObject>>,
    directories: Handles<Arc<OpenDirectory>>,
    refresh_epoch: RefreshEpoch,
}

/// How much a filesystem keeps, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// The time to live of listings and attributes.
    pub metadata_ttl: Duration,
    /// The limit for blocks of files, in bytes.
    pub cache_size: usize,
    /// The limit for names and their attributes, in bytes.
    pub metadata_memory: usize,
}

impl Filesystem {
    /// Returns the tree of `bucket` below `root`. Sends no request yet.
    #[must_use]
    pub fn new(
        bucket: Bucket,
        root: Prefix,
        owner_and_modes: OwnerAndModes,
        settings: CacheSettings,
    ) -> Self {
        let node = Node::InTree { tree: 0, entry: Entry::Directory(root.clone()) };
        Self::with_root(node, vec![(bucket, root)], owner_and_modes, settings)
    }

    /// Returns a tree with one directory for each bucket, which has what the bucket has below the
    /// prefix. Sends no request yet.
    #[must_use]
    pub fn of_buckets(
        roots: Vec<(Bucket, Prefix)>,
        owner_and_modes: OwnerAndModes,
        settings: CacheSettings,
    ) -> Self {
        Self::with_root(Node::BucketsRoot, roots, owner_and_modes, settings)
    }

    /// Lets the directories of `bucket` that may not be listed show the prefixes that the catalog
    /// knows.
    #[must_use]
    pub fn asking_for_prefixes(self, bucket: &str, catalog: BucketPrefixes) -> Self {
        if let Some(tree) = self.trees.find(bucket) {
            self.trees.get(tree).listings.ask_for_prefixes(catalog);
        }
        self
    }

    fn with_root(
        node: Node,
        roots: Vec<(Bucket, Prefix)>,
        owner_and_modes: OwnerAndModes,
        settings: CacheSettings,
    ) -> Self {
        Self {
            trees: BucketTrees::new(
                roots,
                MetadataCache::new(settings.metadata_memory, settings.metadata_ttl),
            ),
            owner_and_modes,
            reader: Reader::new(BlockCache::new(settings.cache_size)),
            inodes: Inodes::new(node),
            files: Handles::default(),
            directories: Handles::default(),
            refresh_epoch: RefreshEpoch::default(),
        }
    }

    /// Returns what an operation on the node `number`, or on a name in it, was waiting for when
    /// its deadline passed.
    #[must_use]
    pub fn timeout_cause(&self, number: u64) -> Error {
        match self.node(number) {
            Ok(Node::InTree { tree, .. }) => self.trees.get(tree).bucket.timeout_cause(),
            _ => Error::Deadline("it was not S3 that it waited for".into()),
        }
    }

    fn node(&self, number: u64) -> Result<Node, Error> {
        self.inodes.get(number).ok_or(Error::BadHandle)
    }

    /// Returns the tree and the prefix of the directory `number`; `None` for the one above the
    /// buckets.
    fn directory(&self, number: u64) -> Result<Option<(usize, Prefix)>, Error> {
        match self.node(number)? {
            Node::BucketsRoot => Ok(None),
            Node::InTree { tree, entry: Entry::Directory(prefix) } => Ok(Some((tree, prefix))),
            Node::InTree { entry: Entry::File(_), .. } => Err(Error::NotADirectory),
        }
    }
}
