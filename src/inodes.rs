//! Inode numbers, and the nodes that the kernel knows by them.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::object::{Entry, Object, Prefix};

/// The number of the mount's root.
pub const ROOT: u64 = 1;

/// What a number stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// The directory that has a name for each of several trees.
    BucketsRoot,
    /// An entry of the tree with this number.
    InTree(usize, Entry),
}

/// What the kernel holds a number of, and how many lookups it will give back.
///
/// A number is a hash of the tree and the prefix, or the key and its etag. So it stays the same
/// while the mount lives, also when the kernel forgot it in between, and another version of an
/// object is another inode: the kernel cannot mix their pages.
#[derive(Debug)]
pub struct Inodes {
    hasher: RandomState,
    root: Node,
    nodes: Mutex<HashMap<u64, Known>>,
}

#[derive(Debug)]
struct Known {
    node: Node,
    lookups: u64,
}

impl Inodes {
    /// A table that knows the root only.
    #[must_use]
    pub fn new(root: Node) -> Self {
        let known = Known { node: root.clone(), lookups: 1 };
        Self { hasher: RandomState::new(), root, nodes: Mutex::new(HashMap::from([(ROOT, known)])) }
    }

    /// What `number` stands for, as long as the kernel remembers it.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<Node> {
        self.nodes().get(&number).map(|known| known.node.clone())
    }

    /// Counts one lookup of `entry` in `tree` and answers its number.
    pub fn remember(&self, tree: usize, entry: &Entry) -> u64 {
        let mut number = self.number(tree, entry);
        let mut nodes = self.nodes();
        loop {
            match nodes.entry(number) {
                Slot::Vacant(slot) => {
                    slot.insert(Known { node: Node::InTree(tree, entry.clone()), lookups: 1 });
                    return number;
                }
                Slot::Occupied(mut slot) if slot.get().node.is_same(tree, entry) => {
                    let known = slot.get_mut();
                    known.lookups += 1;
                    // The same bytes, put again, are the same version with another time.
                    known.node = Node::InTree(tree, entry.clone());
                    return number;
                }
                // Two nodes of one hash: about one mount in 10^5 with 10 million inodes.
                Slot::Occupied(_) => number = number.wrapping_add(1).max(ROOT + 1),
            }
        }
    }

    /// Takes back `lookups` of `number`.
    pub fn forget(&self, number: u64, lookups: u64) {
        let mut nodes = self.nodes();
        if let Slot::Occupied(mut slot) = nodes.entry(number)
            && number != ROOT
        {
            slot.get_mut().lookups = slot.get().lookups.saturating_sub(lookups);
            if slot.get().lookups == 0 {
                slot.remove();
            }
        }
    }

    /// The number that `entry` of `tree` has, or will have when it is looked up.
    #[must_use]
    pub fn number(&self, tree: usize, entry: &Entry) -> u64 {
        let hash = match entry {
            Entry::Directory(_) if self.root.is_same(tree, entry) => return ROOT,
            Entry::Directory(prefix) => self.hasher.hash_one((tree, prefix)),
            Entry::File(object) => self.hasher.hash_one((tree, &object.id)),
        };
        hash.max(ROOT + 1)
    }

    /// The objects below `prefix` of `tree` that the kernel remembers.
    #[must_use]
    pub fn objects_below(&self, tree: usize, prefix: &Prefix) -> Vec<Arc<Object>> {
        let nodes = self.nodes();
        let objects = nodes.values().filter_map(|known| match &known.node {
            Node::InTree(within, Entry::File(object))
                if *within == tree && prefix.holds(&object.id.key) =>
            {
                Some(object.clone())
            }
            _ => None,
        });
        objects.collect()
    }

    /// How many nodes the kernel remembers.
    #[must_use]
    pub fn count(&self) -> usize {
        self.nodes().len()
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    /// Whether it is `entry` of `tree`, and the same version.
    fn is_same(&self, tree: usize, entry: &Entry) -> bool {
        match (self, entry) {
            (Self::InTree(within, Entry::Directory(prefix)), Entry::Directory(other)) => {
                *within == tree && prefix == other
            }
            (Self::InTree(within, Entry::File(object)), Entry::File(other)) => {
                *within == tree && object.id == other.id
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::object::ObjectId;

    #[test]
    fn the_same_version_put_again_shows_its_new_time() {
        let inodes = Inodes::new(Node::InTree(0, Entry::Directory(Prefix::new(""))));
        let put_at = |modified| {
            let id = ObjectId { bucket: "b".into(), key: "k".into(), etag: "e".into() };
            Entry::File(Arc::new(Object {
                id,
                size: 1,
                modified,
                storage_class: "STANDARD".into(),
            }))
        };
        let (old, new) = (
            put_at(SystemTime::UNIX_EPOCH),
            put_at(SystemTime::UNIX_EPOCH + Duration::from_secs(9)),
        );
        let number = inodes.remember(0, &old);
        assert_eq!(inodes.remember(0, &new), number);
        assert_eq!(inodes.get(number), Some(Node::InTree(0, new)));
    }

    #[test]
    fn a_number_stays_the_same_and_is_forgotten_with_its_last_lookup() {
        let inodes = Inodes::new(Node::InTree(0, Entry::Directory(Prefix::new(""))));
        let entry = Entry::Directory(Prefix::new("a"));
        let number = inodes.remember(0, &entry);
        assert_eq!(inodes.remember(0, &entry), number);
        assert_eq!(inodes.number(0, &entry), number);
        inodes.forget(number, 1);
        assert_eq!(inodes.get(number), Some(Node::InTree(0, entry.clone())));
        inodes.forget(number, 1);
        assert_eq!((inodes.get(number), inodes.count()), (None, 1));
        assert_eq!(inodes.remember(0, &entry), number);
        inodes.forget(ROOT, 99);
        assert!(inodes.get(ROOT).is_some());
    }
}
