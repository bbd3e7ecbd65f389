//! Inode numbers, and the nodes that the kernel knows by them.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::object::{Entry, Object, Prefix};

/// The number of the mount's root.
pub const ROOT: u64 = 1;

/// What the kernel holds a number of, and how many lookups it will give back.
///
/// A number is a hash of the prefix, or of the key and its etag. So it stays the same while the mount lives, also when the
/// kernel forgot it in between, and another version of an object is another inode: the kernel cannot mix their pages.
#[derive(Debug)]
pub struct Inodes {
    hasher: RandomState,
    root: Prefix,
    nodes: Mutex<HashMap<u64, Node>>,
}

#[derive(Debug)]
struct Node {
    entry: Entry,
    lookups: u64,
}

impl Inodes {
    /// A table that knows the root only.
    #[must_use]
    pub fn new(root: Prefix) -> Self {
        let node = Node { entry: Entry::Directory(root.clone()), lookups: 1 };
        Self { hasher: RandomState::new(), root, nodes: Mutex::new(HashMap::from([(ROOT, node)])) }
    }

    /// What `number` stands for, as long as the kernel remembers it.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<Entry> {
        self.nodes().get(&number).map(|node| node.entry.clone())
    }

    /// Counts one lookup of `entry` and answers its number.
    pub fn remember(&self, entry: &Entry) -> u64 {
        let mut number = self.number(entry);
        let mut nodes = self.nodes();
        loop {
            match nodes.entry(number) {
                Slot::Vacant(slot) => {
                    slot.insert(Node { entry: entry.clone(), lookups: 1 });
                    return number;
                }
                Slot::Occupied(mut slot) if is_same(&slot.get().entry, entry) => {
                    let node = slot.get_mut();
                    node.lookups += 1;
                    // The same bytes, put again, are the same version with another time.
                    node.entry = entry.clone();
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

    /// The number that `entry` has, or will have when it is looked up.
    #[must_use]
    pub fn number(&self, entry: &Entry) -> u64 {
        let hash = match entry {
            Entry::Directory(prefix) if *prefix == self.root => return ROOT,
            Entry::Directory(prefix) => self.hasher.hash_one(prefix),
            Entry::File(object) => self.hasher.hash_one(&object.id),
        };
        hash.max(ROOT + 1)
    }

    /// The objects below `prefix` that the kernel remembers.
    #[must_use]
    pub fn objects_below(&self, prefix: &Prefix) -> Vec<Arc<Object>> {
        let nodes = self.nodes();
        let objects = nodes.values().filter_map(|node| match &node.entry {
            Entry::File(object) if prefix.holds(&object.id.key) => Some(object.clone()),
            _ => None,
        });
        objects.collect()
    }

    /// How many nodes the kernel remembers.
    #[must_use]
    pub fn count(&self) -> usize {
        self.nodes().len()
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<u64, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_same(a: &Entry, b: &Entry) -> bool {
    match (a, b) {
        (Entry::Directory(a), Entry::Directory(b)) => a == b,
        (Entry::File(a), Entry::File(b)) => a.id == b.id,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::object::ObjectId;

    #[test]
    fn the_same_version_put_again_shows_its_new_time() {
        let inodes = Inodes::new(Prefix::new(""));
        let put_at = |modified| {
            let id = ObjectId { bucket: "b".into(), key: "k".into(), etag: "e".into() };
            Entry::File(Arc::new(Object { id, size: 1, modified, storage_class: "STANDARD".into() }))
        };
        let (old, new) = (put_at(SystemTime::UNIX_EPOCH), put_at(SystemTime::UNIX_EPOCH + Duration::from_secs(9)));
        let number = inodes.remember(&old);
        assert_eq!(inodes.remember(&new), number);
        assert_eq!(inodes.get(number), Some(new));
    }

    #[test]
    fn a_number_stays_the_same_and_is_forgotten_with_its_last_lookup() {
        let inodes = Inodes::new(Prefix::new(""));
        let entry = Entry::Directory(Prefix::new("a"));
        let number = inodes.remember(&entry);
        assert_eq!(inodes.remember(&entry), number);
        assert_eq!(inodes.number(&entry), number);
        inodes.forget(number, 1);
        assert_eq!(inodes.get(number), Some(entry.clone()));
        inodes.forget(number, 1);
        assert_eq!((inodes.get(number), inodes.count()), (None, 1));
        assert_eq!(inodes.remember(&entry), number);
        inodes.forget(ROOT, 99);
        assert!(inodes.get(ROOT).is_some());
    }
}
