//! Inode numbers, and the nodes that the kernel knows by them.

use std::collections::{HashMap, hash_map};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::object::{Entry, Object, Prefix};

/// A table that has so many times more room than inodes is made smaller, unless it is small.
const SPARSE: usize = 8;
const SMALL: usize = 1024;

/// The inode number of the mount's root.
pub const ROOT: u64 = 1;

/// What an inode number stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// The directory that has one subdirectory for each bucket.
    BucketsRoot,
    /// A directory or file of one bucket's tree.
    InTree {
        /// The number of the tree.
        tree: usize,
        /// The directory or file.
        entry: Entry,
    },
}

/// The nodes that the kernel holds inode numbers of, each with its lookup count.
///
/// A number is a hash of the tree and the prefix, or of the tree, the key and the etag. So a node
/// keeps its number while the mount lives, also after the kernel forgot it. Another version of an
/// object is another inode, so the kernel cannot mix the pages of two versions.
#[derive(Debug)]
pub struct Inodes {
    hasher: RandomState,
    root: Node,
    known: Mutex<HashMap<u64, Inode>>,
}

#[derive(Debug)]
struct Inode {
    node: Node,
    /// How many lookups the kernel has yet to give back with FORGET.
    lookups: u64,
}

impl Inodes {
    /// Returns a table that has the root only.
    #[must_use]
    pub fn new(root: Node) -> Self {
        let known = HashMap::from([(ROOT, Inode { node: root.clone(), lookups: 1 })]);
        Self { hasher: RandomState::new(), root, known: Mutex::new(known) }
    }

    /// Returns what `number` stands for, unless the kernel has forgotten it.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<Node> {
        self.known.lock().get(&number).map(|inode| inode.node.clone())
    }

    /// Counts one lookup of `entry` in `tree` and returns its inode number.
    pub fn record_lookup(&self, tree: usize, entry: &Entry) -> u64 {
        let mut number = self.number(tree, entry);
        let mut known = self.known.lock();
        loop {
            match known.entry(number) {
                hash_map::Entry::Vacant(vacant) => {
                    vacant.insert(Inode { node: Node::in_tree(tree, entry), lookups: 1 });
                    return number;
                }
                hash_map::Entry::Occupied(mut occupied)
                    if occupied.get().node.is_same_version(tree, entry) =>
                {
                    let inode = occupied.get_mut();
                    inode.lookups += 1;
                    // An object that was written again with the same bytes has the same etag, and
                    // a new modification time.
                    inode.node = Node::in_tree(tree, entry);
                    return number;
                }
                // Two nodes have the same hash. With 10 million inodes, that happens in about one
                // mount of 10^5.
                hash_map::Entry::Occupied(_) => number = number.wrapping_add(1).max(ROOT + 1),
            }
        }
    }

    /// Takes back `lookups` of `number`, and drops the inode with its last lookup.
    pub fn forget(&self, number: u64, lookups: u64) {
        if number == ROOT {
            return;
        }
        let mut known = self.known.lock();
        if let hash_map::Entry::Occupied(mut occupied) = known.entry(number) {
            let inode = occupied.get_mut();
            inode.lookups = inode.lookups.saturating_sub(lookups);
            if inode.lookups == 0 {
                occupied.remove();
            }
        }
        // After a walk through millions of names most of the table is empty.
        if known.capacity() > SMALL && known.len() < known.capacity() / SPARSE {
            let room = (2 * known.len()).max(SMALL / 2);
            known.shrink_to(room);
        }
    }

    /// Returns the inode number that `entry` of `tree` has, or will have when it is looked up.
    #[must_use]
    pub fn number(&self, tree: usize, entry: &Entry) -> u64 {
        let hash = match entry {
            Entry::Directory(_) if self.root.is_same_version(tree, entry) => return ROOT,
            Entry::Directory(prefix) => self.hasher.hash_one((tree, prefix)),
            Entry::File(object) => self.hasher.hash_one((tree, &object.id)),
        };
        hash.max(ROOT + 1)
    }

    /// Returns the objects below `prefix` of `tree` that the kernel knows.
    #[must_use]
    pub fn objects_below(&self, tree: usize, prefix: &Prefix) -> Vec<Arc<Object>> {
        let known = self.known.lock();
        let objects = known.values().filter_map(|inode| match &inode.node {
            Node::InTree { tree: of_tree, entry: Entry::File(object) }
                if *of_tree == tree && prefix.holds(&object.id.key) =>
            {
                Some(object.clone())
            }
            _ => None,
        });
        objects.collect()
    }

    /// Returns how many inodes the kernel knows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.known.lock().len()
    }
}

impl Node {
    fn in_tree(tree: usize, entry: &Entry) -> Self {
        Self::InTree { tree, entry: entry.clone() }
    }

    /// Whether this node is the directory `entry` of `tree`, or the same version of the object.
    fn is_same_version(&self, tree: usize, entry: &Entry) -> bool {
        let Self::InTree { tree: of_tree, entry: own } = self else { return false };
        *of_tree == tree
            && match (own, entry) {
                (Entry::Directory(prefix), Entry::Directory(other)) => prefix == other,
                (Entry::File(object), Entry::File(other)) => object.id == other.id,
                _ => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::object::ObjectId;

    fn of_one_bucket() -> Inodes {
        Inodes::new(Node::in_tree(0, &Entry::Directory(Prefix::new(""))))
    }

    #[test]
    fn the_same_version_written_again_shows_its_new_time() {
        let inodes = of_one_bucket();
        let written_at = |modified| {
            let id = ObjectId { bucket: "b".into(), key: "k".into(), etag: "e".into() };
            Entry::File(Arc::new(Object {
                id,
                size: 1,
                modified,
                storage_class: "STANDARD".into(),
            }))
        };
        let (old, new) = (
            written_at(SystemTime::UNIX_EPOCH),
            written_at(SystemTime::UNIX_EPOCH + Duration::from_secs(9)),
        );
        let number = inodes.record_lookup(0, &old);
        assert_eq!(inodes.record_lookup(0, &new), number);
        assert_eq!(inodes.get(number), Some(Node::in_tree(0, &new)));
    }

    #[test]
    fn a_number_stays_the_same_and_is_forgotten_with_its_last_lookup() {
        let inodes = of_one_bucket();
        let entry = Entry::Directory(Prefix::new("a"));
        let number = inodes.record_lookup(0, &entry);
        assert_eq!(inodes.record_lookup(0, &entry), number);
        assert_eq!(inodes.number(0, &entry), number);
        inodes.forget(number, 1);
        assert_eq!(inodes.get(number), Some(Node::in_tree(0, &entry)));
        inodes.forget(number, 1);
        assert_eq!((inodes.get(number), inodes.count()), (None, 1));
        assert_eq!(inodes.record_lookup(0, &entry), number);
        inodes.forget(ROOT, 99);
        assert!(inodes.get(ROOT).is_some());
    }
}
