//! Files of a directory that are read through one after the other, in the order of the listing.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::object::{Object, ObjectId, Prefix};
use crate::weighted_lru::WeightedLru;

/// Directories that are remembered.
const MAX_DIRECTORIES: usize = 1000;
/// The fewest bytes of a file that are prefetched at once, unless they are all that is left of it.
const MIN_BYTES: u64 = 4 << 20;
/// The most files that are prefetched before they are opened.
const MAX_FILES: usize = 32;

/// A bucket, and a directory in it.
type Directory = (Arc<str>, Prefix);

/// Which file of each directory was opened last.
#[derive(Debug)]
pub(super) struct NextFiles {
    directories: Mutex<WeightedLru<Directory, LastOpened>>,
}

#[derive(Clone, Debug)]
struct LastOpened {
    key: Arc<str>,
    /// The key of the file that follows it.
    next: Option<Arc<str>>,
    /// How many files were read through, in order, before it.
    in_a_row: u32,
    /// Whether it was read through itself.
    was_read: bool,
}

impl NextFiles {
    pub(super) fn new() -> Self {
        Self { directories: Mutex::new(WeightedLru::new(MAX_DIRECTORIES)) }
    }

    /// Records that `object` is opened. Returns the files after it if the one before it was opened
    /// last and read through. `following(count)` returns up to `count` objects after it.
    pub(super) fn record_open(
        &self,
        object: &Object,
        following: impl FnOnce(usize) -> Vec<Arc<Object>>,
    ) -> Option<UpcomingFiles> {
        let (directory, key) = (directory_of(&object.id), object.id.key.clone());
        let last = self.directories.lock().get(&directory).cloned();
        let (mut in_a_row, mut was_read) = (0, false);
        match last {
            Some(last) if last.was_read && last.next.as_ref() == Some(&key) => {
                in_a_row = last.in_a_row + 1;
            }
            // Opened again: what it goes on from is the same.
            Some(last) if last.key == key => (in_a_row, was_read) = (last.in_a_row, last.was_read),
            _ => {}
        }
        let objects = following(if in_a_row == 0 { 1 } else { MAX_FILES });
        let next = objects.first().map(|object| object.id.key.clone());
        let opened = LastOpened { key, next, in_a_row, was_read };
        self.directories.lock().insert(directory, opened, 1);
        if in_a_row == 0 {
            return None;
        }
        // Bytes are bounded by what such guesses have earned, this number small files.
        let count = (2_usize << in_a_row.min(10)).min(MAX_FILES);
        let readable = objects
            .into_iter()
            .take(count)
            .filter(|object| !object.is_archived() && object.size > 0);
        let files = readable.map(|object| (Arc::new(object.id.clone()), object)).collect();
        Some(UpcomingFiles { files, prefetched: 0 })
    }

    /// Records that an object was read through.
    pub(super) fn record_end(&self, id: &ObjectId) {
        let mut directories = self.directories.lock();
        if let Some(last) = directories.get_mut(&directory_of(id)).filter(|last| last.key == id.key)
        {
            last.was_read = true;
        }
    }
}

fn directory_of(id: &ObjectId) -> Directory {
    (id.bucket.clone(), Prefix::of_key(&id.key).0)
}

/// The files that will probably be opened next, one behind the other as if they were one.
#[derive(Debug)]
pub struct UpcomingFiles {
    files: Vec<(Arc<ObjectId>, Arc<Object>)>,
    /// Bytes of all of them, from the first on, that are prefetched.
    prefetched: u64,
}

impl UpcomingFiles {
    /// Prefetches what lies within the next `ahead` bytes, of which the present file has `rest`.
    /// `fetch` gets a file and a range of its bytes, and returns up to where it could.
    pub(super) fn extend(
        &mut self,
        rest: u64,
        ahead: u64,
        mut fetch: impl FnMut(&Arc<Object>, &Arc<ObjectId>, Range<u64>) -> u64,
    ) {
        let wanted = ahead.saturating_sub(rest);
        let mut start = 0;
        for (id, object) in &self.files {
            let end = start + object.size;
            let range = self.prefetched.max(start)..wanted.min(end);
            if range.end < end && range.end < range.start + MIN_BYTES {
                return;
            }
            if !range.is_empty() {
                self.prefetched = start + fetch(object, id, range.start - start..range.end - start);
                if self.prefetched < range.end {
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

    fn open(next_files: &NextFiles, files: &[Arc<Object>], number: usize) -> Option<UpcomingFiles> {
        next_files.record_open(&files[number], |count| {
            files[number + 1..].iter().take(count).cloned().collect()
        })
    }

    fn read(next_files: &NextFiles, files: &[Arc<Object>], number: usize) -> Option<UpcomingFiles> {
        let upcoming = open(next_files, files, number);
        next_files.record_end(&files[number].id);
        upcoming
    }

    #[test]
    fn files_are_expected_from_the_second_in_a_row_on_and_more_until_a_jump() {
        let (files, next_files) = (directory(&[300_000; 100]), NextFiles::new());
        let count = |upcoming: Option<UpcomingFiles>| upcoming.map(|upcoming| upcoming.files.len());
        let ahead: Vec<_> = (0..7).map(|number| count(read(&next_files, &files, number))).collect();
        assert_eq!(ahead, [None, Some(4), Some(8), Some(16), Some(32), Some(32), Some(32)]);
        assert_eq!(count(open(&next_files, &files, 6)), Some(32), "the same again");
        assert!(read(&next_files, &files, 50).is_none(), "a jump");
        assert!(read(&next_files, &files, 51).is_some());
        assert_eq!(count(read(&next_files, &files, 99)), None);
    }

    #[test]
    fn nothing_is_expected_after_files_that_are_only_opened() {
        let (files, next_files) = (directory(&[300_000; 10]), NextFiles::new());
        assert!((0..5).all(|number| open(&next_files, &files, number).is_none()));
        assert!(read(&next_files, &files, 5).is_none());
        assert!(open(&next_files, &files, 6).is_some());
        assert!(open(&next_files, &files, 7).is_none());
    }

    #[test]
    fn what_cannot_be_read_is_not_fetched() {
        let mut files = directory(&[10, 10, 0, 10]);
        let archived = Object { storage_class: "GLACIER".into(), ..(*files[3]).clone() };
        files[3] = Arc::new(archived);
        let next_files = NextFiles::new();
        read(&next_files, &files, 0);
        assert!(open(&next_files, &files, 1).unwrap().files.is_empty());
    }

    proptest! {
        #[test]
        fn what_comes_next_is_fetched_in_order_once_and_within_the_window(
            sizes in prop::collection::vec(1..20 * MIB, 1..20),
            steps in prop::collection::vec((0..64 * MIB, 0..80 * MIB, 0..3_u64), 1..50),
        ) {
            let files = directory(&sizes);
            let files: Vec<_> =
                files.into_iter().map(|object| (Arc::new(object.id.clone()), object)).collect();
            let mut upcoming = UpcomingFiles { files, prefetched: 0 };
            let mut fetched: Vec<u64> = vec![0; sizes.len()];
            for (rest, ahead, outcome) in steps {
                upcoming.extend(rest, ahead, |object, _, range| {
                    let number: usize = object.id.key[2..].parse().unwrap();
                    assert_eq!(fetched[number], range.start);
                    let mut before = fetched[..number].iter().zip(&sizes);
                    assert!(before.all(|(fetched, size)| fetched == size), "out of order");
                    fetched[number] = if outcome == 0 { range.start } else { range.end };
                    fetched[number]
                });
                let total: u64 = fetched.iter().sum();
                prop_assert!(total <= 80 * MIB);
                prop_assert_eq!(total, upcoming.prefetched);
            }
        }
    }
}
