//! A least-recently-used map bounded by weight. Only this module imports the `lru` crate.

use std::hash::Hash;

use lru::LruCache;

/// A map that drops what was not used for longest when its weight exceeds a limit.
#[derive(Debug)]
pub struct WeightedLru<K: Hash + Eq, V> {
    entries: LruCache<K, (V, usize)>,
    weight: usize,
    limit: usize,
}

impl<K: Hash + Eq, V> WeightedLru<K, V> {
    /// Returns an empty map for a total weight of `limit`, in whatever unit the caller counts.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { entries: LruCache::unbounded(), weight: 0, limit }
    }

    /// Returns the value of `key`, which counts as a use.
    pub fn get<Q>(&mut self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.get(key).map(|(value, _)| value)
    }

    /// Returns the value of `key` to be changed, which counts as a use. Its weight stays.
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.get_mut(key).map(|(value, _)| value)
    }

    /// Returns the value of `key`. Does not count as a use.
    pub fn peek<Q>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.peek(key).map(|(value, _)| value)
    }

    /// Returns whether `key` is in the map. Does not count as a use.
    pub fn contains<Q>(&self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.contains(key)
    }

    /// Inserts `value`, and drops what was not used for longest until the rest fits. A value that
    /// is heavier than the limit is not kept, and nothing is dropped for it.
    pub fn insert(&mut self, key: K, value: V, weight: usize) {
        if weight > self.limit {
            self.remove(&key);
            return;
        }
        self.weight += weight;
        if let Some((_, replaced)) = self.entries.put(key, (value, weight)) {
            self.weight -= replaced;
        }
        while self.weight > self.limit && self.pop().is_some() {}
    }

    /// Removes `key` and returns its value.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (value, weight) = self.entries.pop(key)?;
        self.weight -= weight;
        Some(value)
    }

    /// Removes and returns the entries whose keys match.
    pub fn remove_where(&mut self, matches: impl Fn(&K) -> bool) -> Vec<(K, V)>
    where
        K: Clone,
    {
        let matching: Vec<K> =
            self.entries.iter().map(|(key, _)| key).filter(|key| matches(key)).cloned().collect();
        matching.into_iter().filter_map(|key| self.remove(&key).map(|value| (key, value))).collect()
    }

    /// Removes and returns the entry that was not used for longest.
    pub fn pop(&mut self) -> Option<(K, V)> {
        let (key, (value, weight)) = self.entries.pop_lru()?;
        self.weight -= weight;
        Some((key, value))
    }

    /// Removes and returns the entry that was not used for longest of those whose values match.
    pub fn pop_where(&mut self, matches: impl Fn(&V) -> bool) -> Option<(K, V)>
    where
        K: Clone,
    {
        let found = self.entries.iter().rev().find(|(_, (value, _))| matches(value));
        let key = found.map(|(key, _)| key.clone())?;
        self.remove(&key).map(|value| (key, value))
    }

    /// Returns whether nothing is in the map.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns all entries, last used first. Does not count as a use.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, (value, _))| (key, value))
    }

    /// Returns the weight of all entries.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first_and_the_limit_holds() {
        let mut map = WeightedLru::new(10);
        for key in 0..5 {
            map.insert(key, key, 2);
        }
        assert_eq!(map.get(&0), Some(&0));
        map.insert(5, 5, 3);
        assert_eq!([1, 2, 0].map(|key| map.get(&key).copied()), [None, None, Some(0)]);
        assert_eq!(map.weight(), 9);
        assert_eq!((map.pop(), map.weight()), (Some((3, 3)), 7));
        map.insert(3, 3, 2);
        map.insert(0, 9, 4);
        assert_eq!((map.get(&0).copied(), map.weight()), (Some(9), 9));
        assert_eq!((map.remove_where(|key| *key == 3), map.weight()), (vec![(3, 3)], 7));
        map.insert(7, 7, 11);
        assert_eq!((map.weight(), map.contains(&7)), (7, false));
        assert_eq!((map.pop_where(|value| *value > 5), map.weight()), (Some((0, 9)), 3));
        assert!(map.pop_where(|value| *value > 5).is_none() && !map.is_empty());
    }
}
