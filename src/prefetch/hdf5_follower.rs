//! Fetches the metadata of an open HDF5 file ahead of its reader.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::hdf5::Metadata;
use super::{Prefetch, whole_pages};
use crate::cache::{BLOCK_SIZE, Piece, RemoteObject};
use crate::error::Error;
use crate::governor::Account;

const MAGIC: &[u8] = b"\x89HDF\r\n\x1a\n";

/// A task that follows the metadata of one open object. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Hdf5Follower {
    reads: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Hdf5Follower {
    /// Returns whether a file that begins with `head` is HDF5.
    pub(super) fn is_hdf5(head: &[u8]) -> bool {
        head.starts_with(MAGIC)
    }

    /// Starts to follow the metadata of `remote`, as far as `account` covers it.
    pub(super) fn spawn(
        prefetch: &Arc<Prefetch>,
        remote: &RemoteObject,
        account: Arc<Account>,
    ) -> Self {
        let reads = Arc::new(Notify::new());
        let walk = Walk {
            prefetch: prefetch.clone(),
            remote: remote.clone(),
            account,
            metadata: Metadata::new(remote.size()),
        };
        Self { task: tokio::spawn(walk.run(reads.clone())), reads }
    }

    /// Records that the object was read: what was refused may be granted now.
    pub(super) fn record_read(&self) {
        self.reads.notify_one();
    }
}

impl Drop for Hdf5Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Walk {
    prefetch: Arc<Prefetch>,
    remote: RemoteObject,
    account: Arc<Account>,
    metadata: Metadata,
}

impl Walk {
    /// Goes from level to level. Where a level is not granted, waits for the reader to read some of
    /// what was.
    async fn run(mut self, reads: Arc<Notify>) {
        loop {
            let mut wanted: Vec<_> = self.metadata.wanted().cloned().collect();
            wanted.extend(self.metadata.wanted_chunk_indices().cloned());
            if wanted.is_empty() {
                return;
            }
            for bytes in to_fetch(wanted.clone(), self.remote.size()) {
                if self.prefetch.request(&self.account, &self.remote, &bytes) < bytes.end {
                    break;
                }
            }
            let found = join_all(wanted.into_iter().map(|range| self.find(range))).await;
            let mut found: HashMap<Range<u64>, Vec<u8>> = found.into_iter().flatten().collect();
            if found.is_empty() {
                reads.notified().await;
                continue;
            }
            self.metadata.advance(|range| found.remove(range));
        }
    }

    /// Returns the bytes of `range`, if they are in memory or on their way.
    async fn find(&self, range: Range<u64>) -> Option<(Range<u64>, Vec<u8>)> {
        let pieces = self.prefetch.cache.peek(&self.remote, &range)?;
        let pieces: Result<Vec<Bytes>, Error> =
            try_join_all(pieces.into_iter().map(Piece::bytes)).await;
        Some((range, pieces.ok()?.concat()))
    }
}

/// Returns what to fetch for the `wanted` ranges: the pages of each, and what lies between those in
/// the same block.
fn to_fetch(mut wanted: Vec<Range<u64>>, size: u64) -> Vec<Range<u64>> {
    wanted.sort_unstable_by_key(|range| range.start);
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for range in wanted {
        let Range { start, end } = whole_pages(&range, size);
        match ranges.last_mut() {
            Some(last) if start / BLOCK_SIZE <= (last.end - 1) / BLOCK_SIZE => {
                last.end = last.end.max(end);
            }
            _ => ranges.push(start..end),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_fetched_holds_what_is_wanted_and_touches_each_block_once(
            wanted in prop::collection::vec((0..1_000_000_u64, 1..100_000_u64), 0..50),
        ) {
            let size = 1_100_000;
            let wanted: Vec<_> =
                wanted.into_iter().map(|(start, length)| start..start + length).collect();
            let ranges = to_fetch(wanted.clone(), size);
            let is_held = |range: &Range<u64>| {
                ranges.iter().any(|known| known.start <= range.start && range.end <= known.end)
            };
            prop_assert!(wanted.iter().all(is_held));
            let are_apart = |pair: &[Range<u64>]| {
                (pair[0].end - 1) / BLOCK_SIZE < pair[1].start / BLOCK_SIZE
            };
            prop_assert!(ranges.windows(2).all(are_apart));
            prop_assert!(ranges.iter().all(|range| range.end <= size));
        }
    }
}
