//! What a mount remembers of names, in whatever bucket they are: bounded together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::lookups::CachedLookups;
use super::memory::Memory;
use super::subtree_page::SubtreePage;
use super::ttl::Ttl;
use super::{Directory, EscapedKeys};
use crate::object::Prefix;
use crate::weighted_lru::WeightedLru;

/// How many directories are kept that pages of subtrees filled, and can fill again.
const FILLED: usize = 4096;
/// The part of the memory that names take which were looked up one by one.
const LOOKUPS_DIVISOR: usize = 8;
/// When the limit is reached, this part of it is made free at once, since looking for what can go
/// takes time.
const ROOM_DIVISOR: usize = 16;
/// One open listing lets go of its own names before it takes more than this part from all others.
const LISTING_DIVISOR: usize = 2;
/// How often what has expired is dropped: so many times in the time to live, within these bounds.
const SWEEPS_PER_TTL: u32 = 4;
const SWEEP_INTERVALS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// The directories, the names looked up, and the pages of subtrees, of all trees of a mount.
#[derive(Debug)]
pub struct MetadataCache {
    memory: Arc<Memory>,
    ttl: Ttl,
    kept: Mutex<Kept>,
    /// Directories that are open, once for each handle.
    open: Mutex<Vec<Arc<Directory>>>,
    pub(super) lookups: Mutex<CachedLookups>,
    is_sweeping: AtomicBool,
    were_escapes_reported: AtomicBool,
}

/// A directory by the number of its tree and its prefix.
type DirectoryKey = (usize, Prefix);

#[derive(Debug)]
struct Kept {
    /// What only S3 knows again. Everything is as likely to be dropped as it is long unused.
    names: WeightedLru<Key, Value>,
    filled: WeightedLru<DirectoryKey, Arc<Directory>>,
    last_page: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Directory(DirectoryKey),
    /// A page by the number of its tree and its own.
    Page(usize, u64),
}

#[derive(Clone, Debug)]
enum Value {
    Directory(Arc<Directory>),
    Page(Arc<SubtreePage>),
}

impl MetadataCache {
    /// Returns a cache that knows nothing yet, keeps what it learns for `ttl`, and takes `limit`
    /// bytes of memory.
    #[must_use]
    pub fn new(limit: usize, ttl: Duration) -> Arc<Self> {
        let memory = Memory::new(limit);
        let kept = Kept {
            names: WeightedLru::new(usize::MAX),
            filled: WeightedLru::new(FILLED),
            last_page: 0,
        };
        Arc::new(Self {
            lookups: Mutex::new(CachedLookups::new(&memory, limit / LOOKUPS_DIVISOR)),
            memory,
            ttl: Ttl(ttl),
            kept: Mutex::new(kept),
            open: Mutex::default(),
            is_sweeping: AtomicBool::new(false),
            were_escapes_reported: AtomicBool::new(false),
        })
    }

    /// Returns how many keys are not shown under their own name.
    #[must_use]
    pub fn escaped(&self) -> EscapedKeys {
        self.directories().iter().map(|(_, directory)| directory.escaped()).sum()
    }

    /// Returns the bytes of memory that names take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.memory.used()
    }

    pub(super) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    pub(super) fn ttl(&self) -> Ttl {
        self.ttl
    }

    fn directories(&self) -> Vec<(DirectoryKey, Arc<Directory>)> {
        let kept = self.kept.lock();
        let listed = kept.names.iter().filter_map(|(key, value)| match (key, value) {
            (Key::Directory(key), Value::Directory(directory)) => Some((key, directory)),
            _ => None,
        });
        listed.chain(kept.filled.iter()).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub(super) fn find(&self, tree: usize, prefix: &Prefix) -> Option<Arc<Directory>> {
        self.kept.lock().find(&(tree, prefix.clone()))
    }

    /// Returns the directory that is remembered if it `is_fresh`, or else a new one.
    pub(super) fn find_or_insert(
        &self,
        tree: usize,
        prefix: &Prefix,
        is_fresh: impl FnOnce(&Directory) -> bool,
        new: impl FnOnce() -> Directory,
    ) -> Arc<Directory> {
        // The lock of a directory is held while a page is taken in, so nobody may wait for it while
        // holding the lock of all directories.
        let known = self.find(tree, prefix);
        if let Some(directory) = known.as_ref().filter(|directory| is_fresh(directory)) {
            return directory.clone();
        }
        let key = (tree, prefix.clone());
        let mut kept = self.kept.lock();
        let is_known =
            |other: &Arc<Directory>| known.as_ref().is_some_and(|known| Arc::ptr_eq(known, other));
        // Somebody else may have put a new one there meanwhile.
        if let Some(other) = kept.find(&key).filter(|other| !is_known(other)) {
            return other;
        }
        let directory = Arc::new(new());
        kept.filled.remove(&key);
        kept.names.insert(Key::Directory(key), Value::Directory(directory.clone()), 1);
        directory
    }

    /// Marks a directory as one that pages of subtrees can fill again.
    pub(super) fn mark_filled(&self, tree: usize, directory: &Arc<Directory>) {
        let key = (tree, directory.prefix().clone());
        let mut kept = self.kept.lock();
        let is_kept = matches!(
            kept.names.get(&Key::Directory(key.clone())),
            Some(Value::Directory(known)) if Arc::ptr_eq(known, directory)
        );
        if is_kept {
            kept.names.remove(&Key::Directory(key.clone()));
            kept.filled.insert(key, directory.clone(), 1);
        }
    }

    /// Keeps a page, and returns its number.
    pub(super) fn insert_page(&self, tree: usize, page: &Arc<SubtreePage>) -> u64 {
        let mut kept = self.kept.lock();
        kept.last_page += 1;
        let number = kept.last_page;
        kept.names.insert(Key::Page(tree, number), Value::Page(page.clone()), 1);
        number
    }

    /// Returns a page that is still kept, and counts that as a use.
    pub(super) fn page(&self, tree: usize, number: u64) -> Option<Arc<SubtreePage>> {
        match self.kept.lock().names.get(&Key::Page(tree, number)) {
            Some(Value::Page(page)) => Some(page.clone()),
            _ => None,
        }
    }

    pub(super) fn forget_page(&self, tree: usize, number: u64) {
        let page = self.kept.lock().names.remove(&Key::Page(tree, number));
        drop(page);
    }

    pub(super) fn forget(&self, tree: usize, prefix: &Prefix) {
        let key = (tree, prefix.clone());
        let mut kept = self.kept.lock();
        kept.names.remove(&Key::Directory(key.clone()));
        kept.filled.remove(&key);
    }

    /// Forgets the directories below `prefix`, and all pages of the tree.
    pub(super) fn forget_below(&self, tree: usize, prefix: &Prefix) {
        let is_below =
            |(known, below): &DirectoryKey| *known == tree && prefix.holds(below.as_str());
        let mut kept = self.kept.lock();
        let forgotten = kept.names.remove_where(|key| match key {
            Key::Directory(key) => is_below(key),
            Key::Page(known, _) => *known == tree,
        });
        let filled = kept.filled.remove_where(is_below);
        // Millions of names may be dropped, and nobody should wait for that.
        drop(kept);
        drop((forgotten, filled));
    }

    /// Records that a handle on the directory is open.
    pub(super) fn open(&self, directory: &Arc<Directory>) {
        self.open.lock().push(directory.clone());
    }

    /// Records that a handle on the directory was closed.
    pub(super) fn close(&self, directory: &Arc<Directory>) {
        let mut open = self.open.lock();
        if let Some(index) = open.iter().position(|open| Arc::ptr_eq(open, directory)) {
            open.swap_remove(index);
        }
    }

    /// Drops what was not used for longest, and lets go of what open directories have handed out,
    /// until the limit is kept.
    pub(super) fn make_room(&self) {
        let limit = self.memory.limit();
        if self.memory.excess() == 0 {
            return;
        }
        let excess = || self.memory.used().saturating_sub(limit - limit / ROOM_DIVISOR);
        let open = self.open.lock().clone();
        for directory in &open {
            let surplus = directory.bytes().saturating_sub(limit / LISTING_DIVISOR);
            if surplus > 0 {
                directory.let_go(surplus);
            }
        }
        while excess() > 0 {
            let Some(unused) = self.kept.lock().pop_unused() else { break };
            drop(unused);
        }
        for directory in &open {
            match excess() {
                0 => return,
                bytes => directory.let_go(bytes),
            }
        }
    }

    /// Drops what has expired, from time to time, as long as anything is kept.
    pub(super) fn sweep_later(self: &Arc<Self>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_sweeping.swap(true, Ordering::Relaxed) {
            return;
        }
        let [shortest, longest] = SWEEP_INTERVALS;
        let interval = (self.ttl.0 / SWEEPS_PER_TTL).clamp(shortest, longest);
        let cache = Arc::downgrade(self);
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                let Some(cache) = cache.upgrade() else { return };
                if cache.sweep() {
                    return cache.is_sweeping.store(false, Ordering::Relaxed);
                }
            }
        });
    }

    /// Drops what has expired and is not open: what is read late is believed for a moment yet.
    /// Returns whether nothing is left.
    fn sweep(&self) -> bool {
        let is_over = |at: Instant| self.ttl.of_presence(at).is_zero();
        for (key, directory) in self.directories() {
            if !directory.is_open() && directory.is_over(self.ttl) {
                self.kept.lock().remove(&key, &directory);
            }
        }
        let mut kept = self.kept.lock();
        let pages = kept.names.iter().filter(|(_, value)| match value {
            Value::Page(page) => is_over(page.asked),
            Value::Directory(_) => false,
        });
        let expired: Vec<_> = pages.map(|(key, _)| key.clone()).collect();
        let expired: Vec<_> = expired.iter().map(|key| kept.names.remove(key)).collect();
        let is_empty = kept.names.is_empty() && kept.filled.is_empty();
        drop(kept);
        drop(expired);
        self.lookups.lock().forget_expired(self.ttl) && is_empty
    }

    /// Returns whether nobody has asked this before, so that escaped keys are logged once.
    pub(super) fn may_report_escapes(&self) -> bool {
        !self.were_escapes_reported.swap(true, Ordering::Relaxed)
    }
}

impl Kept {
    fn find(&mut self, key: &DirectoryKey) -> Option<Arc<Directory>> {
        if let Some(filled) = self.filled.get(key) {
            return Some(filled.clone());
        }
        match self.names.get(&Key::Directory(key.clone())) {
            Some(Value::Directory(directory)) => Some(directory.clone()),
            _ => None,
        }
    }

    /// Takes out what is not open, was not used for longest, and costs least to learn again.
    fn pop_unused(&mut self) -> Option<Value> {
        let filled = self.filled.pop().map(|(_, directory)| Value::Directory(directory));
        filled.or_else(|| {
            let is_unused = |value: &Value| match value {
                Value::Directory(directory) => !directory.is_open(),
                Value::Page(_) => true,
            };
            self.names.pop_where(is_unused).map(|(_, value)| value)
        })
    }

    /// Takes this directory out, unless there is another one in its place.
    fn remove(&mut self, key: &DirectoryKey, directory: &Arc<Directory>) {
        let is_this = |known: Option<Arc<Directory>>| {
            known.is_some_and(|known| Arc::ptr_eq(&known, directory))
        };
        if is_this(self.find(key)) {
            self.names.remove(&Key::Directory(key.clone()));
            self.filled.remove(key);
        }
    }
}
