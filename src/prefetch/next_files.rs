//! Files of a directory that are read one after the other, in the order of the listing.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::object::{Object, ObjectId, Prefix};
use crate::weighted_lru::WeightedLru;

/// Directories that are remembered.
const DIRECTORIES: usize = 1000;
/// What is fetched of the files to come after the second one in a row, bytes; four times as much
/// after each further one.
const FIRST_WINDOW: u64 = 2 << 20;
const LARGEST_WINDOW: u64 = 64 << 20;
/// The least of a file that is fetched at once, unless it is all that is left of it.
const WORTHWHILE: u64 = 4 << 20;
/// Files fetched before they are opened.
const MOST_FILES: usize = 32;

/// Which file of each directory was opened last.
#[derive(Debug)]
pub(crate) struct NextFiles {
    directories: Mutex<WeightedLru<(Arc<str>, Prefix), Place>>,
    /// The most to fetch before it is opened, bytes.
    most: u64,
}

#[derive(Clone, Debug)]
struct Place {
    expected: Option<Arc<str>>,
    in_a_row: u32,
}

impl NextFiles {
    pub(crate) fn new(most: u64) -> Self {
        Self {
            directories: Mutex::new(WeightedLru::new(DIRECTORIES)),
            most: most.min(LARGEST_WINDOW),
        }
    }

    /// Takes note that `object` is opened. Where its predecessor was opened before it, answers what
    /// comes after it; `following` is asked for as many objects as are needed.
    pub(crate) fn note(
        &self,
        object: &Object,
        following: impl FnOnce(usize) -> Vec<Arc<Object>>,
    ) -> Option<Following> {
        let directory = (object.id.bucket.clone(), Prefix::of_key(&object.id.key).0);
        let before = self.directories().get(&directory).cloned();
        let in_a_row = before
            .filter(|place| place.expected.as_ref() == Some(&object.id.key))
            .map_or(0, |place| place.in_a_row + 1);
        let objects = following(if in_a_row == 0 { 1 } else { MOST_FILES });
        let expected = objects.first().map(|object| object.id.key.clone());
        self.directories().insert(directory, Place { expected, in_a_row }, 1);
        if in_a_row == 0 {
            return None;
        }
        let window = FIRST_WINDOW.saturating_mul(1 << (2 * (in_a_row - 1)).min(30)).min(self.most);
        // As many as make a window, but when they are tiny only as many as the habit is long.
        let files = (2_usize << in_a_row.min(10)).min(MOST_FILES);
        let files = objects
            .into_iter()
            .take(files)
            .filter(|object| !object.is_archived() && object.size > 0);
        let files = files.map(|object| (Arc::new(object.id.clone()), object)).collect();
        Some(Following { window, files, reached: 0 })
    }

    fn directories(&self) -> MutexGuard<'_, WeightedLru<(Arc<str>, Prefix), Place>> {
        self.directories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files that will probably be opened next, one behind the other as if they were one.
#[derive(Debug)]
pub(crate) struct Following {
    window: u64,
    files: Vec<(Arc<ObjectId>, Arc<Object>)>,
    /// Bytes of all of them that are fetched.
    reached: u64,
}

impl Following {
    /// Lets `fetch` fetch what lies within the window (or within `ahead`, if that is more), of
    /// which the present file has `rest` bytes. It is told a range of bytes, and answers up to
    /// which it could.
    pub(crate) fn extend(
        &mut self,
        rest: u64,
        ahead: u64,
        mut fetch: impl FnMut(&Object, &Arc<ObjectId>, Range<u64>) -> u64,
    ) {
        let wanted = self.window.max(ahead).saturating_sub(rest);
        let mut start = 0;
        for (id, object) in &self.files {
            let end = start + object.size;
            let range = self.reached.max(start)..wanted.min(end);
            if range.end < end && range.end < range.start + WORTHWHILE {
                return;
            }
            if !range.is_empty() {
                self.reached = start + fetch(object, id, range.start - start..range.end - start);
                if self.reached < range.end {
                    return;
                }
            }
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn object(number: usize, size: u64) -> Arc<Object> {
        let id =
            ObjectId { bucket: "b".into(), key: format!("d/{number:04}").into(), etag: "e".into() };
        Arc::new(Object {
            id,
            size,
            modified: SystemTime::UNIX_EPOCH,
            storage_class: "STANDARD".into(),
        })
    }

    fn directory(sizes: &[u64]) -> Vec<Arc<Object>> {
        sizes.iter().enumerate().map(|(number, size)| object(number, *size)).collect()
    }

    fn open(sequences: &NextFiles, files: &[Arc<Object>], number: usize) -> Option<Following> {
        sequences
            .note(&files[number], |count| files[number + 1..].iter().take(count).cloned().collect())
    }

    #[test]
    fn a_habit_begins_with_the_second_in_a_row_and_grows_until_it_is_broken() {
        let (files, sequences) = (directory(&[300_000; 100]), NextFiles::new(LARGEST_WINDOW));
        let ahead: Vec<_> =
            (0..7).map(|number| open(&sequences, &files, number).map(|f| f.files.len())).collect();
        assert_eq!(ahead, [None, Some(4), Some(8), Some(16), Some(32), Some(32), Some(32)]);
        assert!(open(&sequences, &files, 50).is_none(), "a jump");
        assert!(open(&sequences, &files, 51).is_some());
        assert!(open(&sequences, &files, 51).is_none(), "the same again");
        assert_eq!(open(&sequences, &files, 99).map(|f| f.files.len()), None);
    }

    #[test]
    fn what_cannot_be_read_is_not_fetched() {
        let mut files = directory(&[10, 10, 0, 10]);
        let archived = Object { storage_class: "GLACIER".into(), ..(*files[3]).clone() };
        files[3] = Arc::new(archived);
        let sequences = NextFiles::new(LARGEST_WINDOW);
        open(&sequences, &files, 0);
        assert!(open(&sequences, &files, 1).unwrap().files.is_empty());
    }

    proptest! {
        #[test]
        fn what_comes_next_is_fetched_in_order_once_and_within_the_window(
            sizes in prop::collection::vec(1..20 * MIB, 1..20), steps in prop::collection::vec((0..64 * MIB, 0..80 * MIB, 0..3_u64), 1..50),
        ) {
            let files = directory(&sizes);
            let files: Vec<_> = files.into_iter().map(|object| (Arc::new(object.id.clone()), object)).collect();
            let mut following = Following { window: 8 * MIB, files, reached: 0 };
            let mut fetched: Vec<u64> = vec![0; sizes.len()];
            for (rest, ahead, luck) in steps {
                following.extend(rest, ahead, |object, _, range| {
                    let number: usize = object.id.key[2..].parse().unwrap();
                    assert_eq!(fetched[number], range.start);
                    assert!(fetched[..number].iter().zip(&sizes).all(|(fetched, size)| fetched == size), "out of order");
                    fetched[number] = if luck == 0 { range.start } else { range.end };
                    fetched[number]
                });
                let total: u64 = fetched.iter().sum();
                prop_assert!(total <= (8 * MIB).max(80 * MIB));
                prop_assert_eq!(total, following.reached);
            }
        }
    }
}
