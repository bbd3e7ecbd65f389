//! Blocks of object versions in memory: bounded in bytes over all files, one fetch per block.

mod block;
mod block_map;
mod block_range;
mod fetch_task;
mod guesses;
mod memory_limiter;
mod remote_object;
mod throughput;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

pub use block::{BLOCK_SIZE, Piece, blocks_of};
pub use remote_object::RemoteObject;
pub use throughput::Throughput;

use crate::governor::{Account, Allowance};
use block::{contiguous_ranges, length, part_of};
use block_map::BlockMap;
use fetch_task::FetchTask;
use memory_limiter::MemoryLimiter;

/// The most blocks of one GET, 4 MiB: of these, several at a time fill a link.
const MAX_BLOCKS_PER_GET: u64 = 64;
/// The fewest blocks, 512 KiB, that are worth a GET of their own when more are missing at once.
const MIN_BLOCKS_PER_GET: u64 = 8;
/// How long a fetch may wait without getting a byte. After it, the fetch is cancelled if nobody
/// waits for its blocks, and otherwise lends its bytes of the memory limit to others. Longer than
/// S3's usual hiccups take.
const STALL_TIMEOUT: Duration = Duration::from_secs(3);

/// The blocks of all files of a mount.
#[derive(Debug)]
pub struct BlockCache {
    limiter: Arc<MemoryLimiter>,
    throughput: Throughput,
    /// Locked before the limiter's and the governor's state, never while these are locked: evicted
    /// blocks give back what they counted.
    map: Mutex<BlockMap>,
}

/// What a reader demanded.
#[derive(Debug)]
pub struct Demanded {
    /// The bytes, in order.
    pub pieces: Vec<Piece>,
    /// Whether any were neither in memory nor in flight.
    pub is_miss: bool,
}

/// What is fetched of a guess.
struct Granted {
    /// In order, each within a block.
    parts: Vec<Range<u64>>,
    /// Up to which byte all that was missing is among them.
    until: u64,
}

impl BlockCache {
    /// Returns an empty cache of `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            limiter: MemoryLimiter::new(capacity),
            throughput: Throughput::default(),
            map: Mutex::new(BlockMap::new(capacity)),
        })
    }

    /// Returns the bytes `read` of `remote`. Those that are missing are in flight, or wait for
    /// memory, when this returns. Where any are, `extent`, which holds `read`, is fetched: what it
    /// has of the missing blocks, and what lies behind them as a guess of `around`.
    #[must_use]
    pub fn demand(
        self: &Arc<Self>,
        remote: &RemoteObject,
        read: &Range<u64>,
        extent: &Range<u64>,
        around: &Arc<Account>,
    ) -> Demanded {
        let id = &remote.id;
        let mut map = self.map.lock();
        let blocks = blocks_of(read);
        let known: Vec<Option<Piece>> =
            blocks.clone().map(|index| map.demand(id, index, &part_of(read, index))).collect();
        let missing = blocks.clone().zip(&known).filter(|(_, piece)| piece.is_none());
        let mut parts: Vec<Range<u64>> = missing
            .map(|(index, _)| {
                // A block that is asked for in several places is fetched whole.
                let whole = 0..remote.size();
                part_of(if map.contains(id, index) { &whole } else { extent }, index)
            })
            .collect();
        let is_miss = !parts.is_empty();
        if is_miss {
            let behind = (blocks.end * BLOCK_SIZE).min(extent.end)..extent.end;
            let demanded = parts.iter().map(length).sum();
            parts.extend(self.granted(&mut map, remote, &behind, around, demanded).parts);
        }
        let most = (parts.len() as u64).div_ceil(2).clamp(MIN_BLOCKS_PER_GET, MAX_BLOCKS_PER_GET);
        let mut started = Vec::new();
        for bytes in contiguous_ranges(parts, most) {
            let waiter = self.limiter.enqueue(length(&bytes));
            let range = map.start_fetch(id, bytes, |index, length| {
                (!blocks.contains(&index)).then(|| around.fetch(length))
            });
            started.extend(range.pieces(read));
            FetchTask::spawn(self, remote, range, waiter);
        }
        self.evict_for_waiters(&mut map);
        drop(map);
        let mut started = started.into_iter();
        let pieces = known.into_iter().filter_map(|piece| piece.or_else(|| started.next()));
        let pieces: Vec<Piece> = pieces.collect();
        debug_assert_eq!(
            pieces.len() as u64,
            blocks.end - blocks.start,
            "the extent holds the read"
        );
        Demanded { pieces, is_miss }
    }

    /// Starts to fetch what is missing of `bytes` over about `connections` at once, as far as
    /// `account` covers it and there is memory for it that nobody else waits for. Returns the byte
    /// that it stopped before.
    pub fn prefetch(
        self: &Arc<Self>,
        remote: &RemoteObject,
        bytes: &Range<u64>,
        connections: u64,
        account: &Arc<Account>,
    ) -> u64 {
        let blocks = blocks_of(bytes);
        let most = ((blocks.end - blocks.start) / connections)
            .clamp(2 * MIN_BLOCKS_PER_GET, MAX_BLOCKS_PER_GET);
        let mut map = self.map.lock();
        if self.limiter.would_wait() {
            return bytes.start;
        }
        let granted = self.granted(&mut map, remote, bytes, account, 0);
        for bytes in contiguous_ranges(granted.parts, most) {
            if self.limiter.would_wait() {
                return bytes.start;
            }
            let waiter = self.limiter.enqueue(length(&bytes));
            let range = map.start_fetch(&remote.id, bytes, |_, length| Some(account.fetch(length)));
            FetchTask::spawn(self, remote, range, waiter);
        }
        granted.until
    }

    /// Returns what to fetch of the guess `bytes`: what is missing, as far as `account` covers it
    /// and read blocks make room for it beside the `demanded` bytes that are about to be fetched.
    fn granted(
        &self,
        map: &mut BlockMap,
        remote: &RemoteObject,
        bytes: &Range<u64>,
        account: &Arc<Account>,
        demanded: usize,
    ) -> Granted {
        let id = &remote.id;
        let mut parts = Vec::new();
        for index in blocks_of(bytes) {
            let part = part_of(bytes, index);
            if !map.has(id, index, &part) {
                map.take_off_paper(id, index);
                // A block has one part: the other bytes that it has must stay.
                let is_there = map.contains(id, index);
                parts.push((
                    index,
                    if is_there { part_of(&(0..remote.size()), index) } else { part },
                ));
            }
        }
        let wanted: usize = parts.iter().map(|(_, part)| length(part)).sum();
        if wanted == 0 {
            return Granted { parts: Vec::new(), until: bytes.end };
        }
        let Allowance { granted, is_noted } = account.allowance(wanted as u64);
        let (mut taken, mut left) = (Vec::new(), granted as usize);
        let (mut reserved, mut until) = (demanded, None);
        for (index, part) in parts {
            let length = length(&part);
            if until.is_none() && length <= left && self.make_room(map, reserved + length) {
                (left, reserved) = (left - length, reserved + length);
                taken.push(part);
                continue;
            }
            until.get_or_insert(part.start);
            if is_noted {
                map.note(id, index, account.note(length as u64));
            }
        }
        Granted { parts: taken, until: until.unwrap_or(bytes.end) }
    }

    /// Evicts read blocks until `bytes` more fit. Returns whether they do.
    fn make_room(&self, map: &mut BlockMap, bytes: usize) -> bool {
        while !self.limiter.has_room(bytes) {
            if !map.evict_demanded() {
                return false;
            }
        }
        true
    }

    /// Returns the bytes `range` of `remote`, if they are in memory or in flight, and does not
    /// count as a read of them.
    #[must_use]
    pub fn peek(&self, remote: &RemoteObject, range: &Range<u64>) -> Option<Vec<Piece>> {
        let map = self.map.lock();
        let peek = |index| map.peek(&remote.id, index, &part_of(range, index));
        blocks_of(range).map(peek).collect()
    }

    /// Records that a reader has passed over `bytes` of `remote`: what was guessed there and not
    /// read is booked as wasted. It stays in memory as if it had been read.
    pub fn pass_over(&self, remote: &RemoteObject, bytes: &Range<u64>) {
        let whole_blocks = bytes.start.div_ceil(BLOCK_SIZE)..bytes.end / BLOCK_SIZE;
        if !whole_blocks.is_empty() {
            self.map.lock().abandon(&remote.id, whole_blocks, false);
        }
    }

    /// Records that nobody has `remote` open any more: what was guessed about it and not read is
    /// booked as wasted, and no longer fetched.
    pub fn close(&self, remote: &RemoteObject) {
        self.map.lock().abandon(&remote.id, 0..u64::MAX, true);
    }

    /// Returns how fast the store answers.
    #[must_use]
    pub fn throughput(&self) -> &Throughput {
        &self.throughput
    }

    /// Returns the most bytes to hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.limiter.capacity()
    }

    /// Returns the bytes of blocks that are in memory, in flight, or in the hands of readers.
    #[must_use]
    pub fn held(&self) -> usize {
        self.limiter.held()
    }

    /// Evicts as much as the first who waits for memory lacks.
    fn evict_for_waiters(&self, map: &mut BlockMap) {
        while self.limiter.is_over() && map.evict() {}
    }
}
