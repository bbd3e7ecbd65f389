//! Blocks of object versions in memory: least recently used, bounded in bytes over all files, one flight per block.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::SetOnce;

use crate::bounded::Bounded;
use crate::error::Error;
use crate::object::{Object, ObjectId};
use crate::s3::{Bucket, Download};

/// Bytes of a block. Small enough that a scattered read fetches little beside it, large enough that a stream of 1 MiB reads
/// finds few of them.
pub const BLOCK: u64 = 256 * 1024;
/// The most blocks one GET covers: 4 MiB, of which several at a time fill a link.
const LONGEST_RUN: usize = 16;

type BlockId = (Arc<ObjectId>, u64);

/// The blocks of all files of a mount.
#[derive(Debug)]
pub struct BlockCache {
    bucket: Bucket,
    /// Bytes, of blocks kept and blocks on their way.
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    kept: Bounded<BlockId, Bytes>,
    aloft: HashMap<BlockId, Arc<Landing>>,
    aloft_bytes: usize,
}

/// Where a block on its way will be put down, for all who wait.
type Landing = SetOnce<Result<Bytes, Error>>;

/// A block that is there, or will be.
#[derive(Debug)]
pub enum Block {
    /// Here.
    Kept(Bytes),
    /// Not yet.
    Aloft(Arc<Landing>),
}

impl Block {
    /// The bytes. Shared, not copied.
    ///
    /// # Errors
    /// That of the flight, shared by all who wait for it, and not kept.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        match self {
            Self::Kept(bytes) => Ok(bytes),
            Self::Aloft(landing) => landing.wait().await.clone(),
        }
    }
}

impl BlockCache {
    /// An empty cache of `capacity` bytes for the objects of `bucket`.
    #[must_use]
    pub fn new(bucket: Bucket, capacity: usize) -> Arc<Self> {
        let state = State { kept: Bounded::new(capacity), aloft: HashMap::new(), aloft_bytes: 0 };
        Arc::new(Self { bucket, capacity, state: Mutex::new(state) })
    }

    /// The blocks `range` of `object`; those that nobody has fetched are on their way when this returns.
    #[must_use]
    pub fn blocks(self: &Arc<Self>, object: &Object, id: &Arc<ObjectId>, range: Range<u64>) -> Vec<Block> {
        let mut runs = Vec::new();
        let mut blocks = Vec::new();
        {
            let mut state = self.state();
            for index in range {
                let block = (id.clone(), index);
                if let Some(bytes) = state.kept.get(&block) {
                    blocks.push(Block::Kept(bytes.clone()));
                } else {
                    let landing = match state.aloft.get(&block) {
                        Some(landing) => landing.clone(),
                        None => state.launch(block, length(object.size, index), &mut runs),
                    };
                    blocks.push(Block::Aloft(landing));
                }
            }
            let left = self.capacity.saturating_sub(state.aloft_bytes);
            state.kept.shrink_to(left);
        }
        self.fly(object, runs);
        blocks
    }

    /// Sets the blocks `range` of `object` on their way, as far as they are missing and half the capacity allows.
    pub fn prefetch(self: &Arc<Self>, object: &Object, id: &Arc<ObjectId>, range: Range<u64>) {
        let mut runs = Vec::new();
        {
            let mut state = self.state();
            for index in range {
                let block = (id.clone(), index);
                if state.kept.contains(&block) || state.aloft.contains_key(&block) {
                    continue;
                }
                if state.aloft_bytes >= self.capacity / 2 {
                    break;
                }
                state.launch(block, length(object.size, index), &mut runs);
            }
            let left = self.capacity.saturating_sub(state.aloft_bytes);
            state.kept.shrink_to(left);
        }
        self.fly(object, runs);
    }

    /// Bytes kept.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.state().kept.weight()
    }

    fn fly(self: &Arc<Self>, object: &Object, runs: Vec<Run>) {
        for run in runs {
            let start = run.first * BLOCK;
            let end = (start + run.landings.len() as u64 * BLOCK).min(object.size);
            let download = self.bucket.download(&run.id, start..end);
            let flight = Flight { cache: self.clone(), size: object.size, run };
            tokio::spawn(flight.land(download));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Claims a block for the caller to fetch, in the last run where it follows on.
    fn launch(&mut self, block: BlockId, bytes: usize, runs: &mut Vec<Run>) -> Arc<Landing> {
        let landing = Arc::new(Landing::new());
        self.aloft_bytes += bytes;
        self.aloft.insert(block.clone(), landing.clone());
        let (id, index) = block;
        match runs.last_mut() {
            Some(run) if run.first + run.landings.len() as u64 == index && run.landings.len() < LONGEST_RUN => {
                run.landings.push(landing.clone());
            }
            _ => runs.push(Run { id, first: index, landings: vec![landing.clone()] }),
        }
        landing
    }
}

/// Neighbouring blocks that one GET fetches.
#[derive(Debug)]
struct Run {
    id: Arc<ObjectId>,
    first: u64,
    landings: Vec<Arc<Landing>>,
}

/// A run on its way. Dropped before its end, it fails what has not landed.
struct Flight {
    cache: Arc<BlockCache>,
    size: u64,
    run: Run,
}

impl Flight {
    async fn land(mut self, mut download: Download) {
        let mut frame = Bytes::new();
        while !self.run.landings.is_empty() {
            let length = length(self.size, self.run.first);
            let mut block = BytesMut::with_capacity(length);
            while block.len() < length {
                if frame.is_empty() {
                    frame = match download.next().await {
                        Ok(Some(frame)) => frame,
                        Ok(None) => return self.fail(&Error::store("a download ended before its range")),
                        Err(error) => return self.fail(&error),
                    };
                }
                block.extend_from_slice(&frame.split_to(frame.len().min(length - block.len())));
            }
            self.put_down(Ok(block.freeze()));
        }
    }

    fn put_down(&mut self, outcome: Result<Bytes, Error>) {
        let block = (self.run.id.clone(), self.run.first);
        let landing = self.run.landings.remove(0);
        {
            let mut state = self.cache.state();
            state.aloft.remove(&block);
            state.aloft_bytes -= length(self.size, self.run.first);
            if let Ok(bytes) = &outcome {
                state.kept.insert(block, bytes.clone(), bytes.len());
                let left = self.cache.capacity.saturating_sub(state.aloft_bytes);
                state.kept.shrink_to(left);
            }
        }
        self.run.first += 1;
        // Nobody else sets it: a block is in one flight at a time.
        let _ = landing.set(outcome);
    }

    fn fail(&mut self, error: &Error) {
        while !self.run.landings.is_empty() {
            self.put_down(Err(error.clone()));
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.fail(&Error::transient("the fetch was given up"));
    }
}

/// The bytes of the block `index` of an object of `size` bytes.
fn length(size: u64, index: u64) -> usize {
    let bytes = size.saturating_sub(index * BLOCK).min(BLOCK);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_an_object_exactly() {
        for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 17] {
            let covered: usize = (0..size.div_ceil(BLOCK)).map(|index| length(size, index)).sum();
            assert_eq!(covered as u64, size);
            assert_eq!(length(size, size.div_ceil(BLOCK)), 0);
        }
    }

    #[test]
    fn neighbouring_blocks_share_a_run_up_to_its_limit() {
        let mut state = State { kept: Bounded::new(1), aloft: HashMap::new(), aloft_bytes: 0 };
        let id = Arc::new(ObjectId { bucket: "b".into(), key: "k".into(), etag: "e".into() });
        let mut runs = Vec::new();
        for index in (0..20).chain(22..24) {
            state.launch((id.clone(), index), 1, &mut runs);
        }
        let spans: Vec<(u64, usize)> = runs.iter().map(|run| (run.first, run.landings.len())).collect();
        assert_eq!(spans, [(0, 16), (16, 4), (22, 2)]);
        assert_eq!((state.aloft.len(), state.aloft_bytes), (22, 22));
    }
}
