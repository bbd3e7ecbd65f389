//! Files of a directory that are opened one after the other, in the order of the listing.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::object::{Object, ObjectId, Prefix};
use crate::weighted_lru::WeightedLru;

/// Directories that are remembered.
const MAX_DIRECTORIES: usize = 1000;
/// What is prefetched of the files to come after the second one in a row, bytes; four times as much
/// after each further one.
const FIRST_WINDOW: u64 = 2 << 20;
const LARGEST_WINDOW: u64 = 64 << 20;
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
    /// The most to prefetch of files that are not open, bytes.
    limit: u64,
}

#[derive(Clone, Debug)]
struct LastOpened {
    /// The key of the file that follows it.
    next: Option<Arc<str>>,
    /// How many files were opened in order before it.
    in_a_row: u32,
}

impl NextFiles {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            directories: Mutex::new(WeightedLru::new(MAX_DIRECTORIES)),
            limit: limit.min(LARGEST_WINDOW),
        }
    }

    /// Records that `object` is opened. Returns the files after it if the one before it was opened
    /// last. `following(count)` returns up to `count` objects after it.
    pub(super) fn record(
        &self,
        object: &Object,
        following: impl FnOnce(usize) -> Vec<Arc<Object>>,
    ) -> Option<UpcomingFiles> {
        let directory = (object.id.bucket.clone(), Prefix::of_key(&object.id.key).0);
        let last = self.directories.lock().get(&directory).cloned();
        let in_a_row = last
            .filter(|last| last.next.as_ref() == Some(&object.id.key))
            .map_or(0, |last| last.in_a_row + 1);
        let objects = following(if in_a_row == 0 { 1 } else { MAX_FILES });
        let next = objects.first().map(|object| object.id.key.clone());
        self.directories.lock().insert(directory, LastOpened { next, in_a_row }, 1);
        if in_a_row == 0 {
            return None;
        }
        let window = FIRST_WINDOW.saturating_mul(1 << (2 * (in_a_row - 1)).min(30)).min(self.limit);
        // The window bounds large files, this number small ones: after a few in a row, few files.
        let count = (2_usize << in_a_row.min(10)).min(MAX_FILES);
        let readable = objects
            .into_iter()
            .take(count)
            .filter(|object| !object.is_archived() && object.size > 0);
        let files = readable.map(|object| (Arc::new(object.id.clone()), object)).collect();
        Some(UpcomingFiles { window, files, prefetched: 0 })
    }
}

/// The files that will probably be opened next, one behind the other as if they were one.
#[derive(Debug)]
pub(super) struct UpcomingFiles {
    /// Bytes to be ahead of what is read of the present file.
    window: u64,
    files: Vec<(Arc<ObjectId>, Arc<Object>)>,
    /// Bytes of all of them, from the first on, that are prefetched.
    prefetched: u64,
}

impl UpcomingFiles {
    /// Prefetches what lies within the window, or within `ahead` if that is more, of which the
    /// present file has `rest` bytes. `fetch` gets a file and a range of its bytes, and returns
    /// up to where it could.
    pub(super) fn extend(
        &mut self,
        rest: u64,
        ahead: u64,
        mut fetch: impl FnMut(&Arc<Object>, &Arc<ObjectId>, Range<u64>) -> u64,
    ) {
        let wanted = self.window.max(ahead).saturating_sub(rest);
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
        next_files.record(&files[number], |count| {
            files[number + 1..].iter().take(count).cloned().collect()
        })
    }

    #[test]
    fn files_are_expected_from_the_second_in_a_row_on_and_more_until_a_jump() {
        let (files, next_files) = (directory(&[300_000; 100]), NextFiles::new(LARGEST_WINDOW));
        let ahead: Vec<_> =
            (0..7).map(|number| open(&next_files, &files, number).map(|f| f.files.len())).collect();
        assert_eq!(ahead, [None, Some(4), Some(8), Some(16), Some(32), Some(32), Some(32)]);
        assert!(open(&next_files, &files, 50).is_none(), "a jump");
        assert!(open(&next_files, &files, 51).is_some());
        assert!(open(&next_files, &files, 51).is_none(), "the same again");
        assert_eq!(open(&next_files, &files, 99).map(|f| f.files.len()), None);
    }

    #[test]
    fn what_cannot_be_read_is_not_fetched() {
        let mut files = directory(&[10, 10, 0, 10]);
        let archived = Object { storage_class: "GLACIER".into(), ..(*files[3]).clone() };
        files[3] = Arc::new(archived);
        let next_files = NextFiles::new(LARGEST_WINDOW);
        open(&next_files, &files, 0);
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
            let mut upcoming = UpcomingFiles { window: 8 * MIB, files, prefetched: 0 };
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
                prop_assert!(total <= (8 * MIB).max(80 * MIB));
                prop_assert_eq!(total, upcoming.prefetched);
            }
        }
    }
}
