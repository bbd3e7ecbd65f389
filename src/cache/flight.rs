//! A run of blocks on its way.

use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::budget::{Reservation, Ticket};
use super::shelf::Run;
use super::{BlockCache, PATIENCE, length};
use crate::error::Error;
use crate::s3::Download;

/// A run on its way. Dropped before its end, it fails what has not landed.
pub(super) struct Flight {
    pub(super) cache: Arc<BlockCache>,
    pub(super) size: u64,
    pub(super) run: Run,
}

impl Flight {
    pub(super) async fn land(mut self, mut ticket: Ticket, mut download: Download) {
        let Some(turn) = self.while_wanted(ticket.turn()).await else { return };
        match turn {
            Ok(mut reservation) => self.fetch(&mut reservation, &mut download).await,
            Err(error) => self.fail(&error),
        }
    }

    async fn fetch(&mut self, reservation: &mut Reservation, download: &mut Download) {
        let mut frame = Bytes::new();
        while !self.run.landings.is_empty() {
            let length = length(self.size, self.run.first);
            let mut block = BytesMut::with_capacity(length);
            while block.len() < length {
                if frame.is_empty() {
                    let next = reservation.lend_during(download.next());
                    let Some(next) = self.while_wanted(next).await else { return };
                    frame = match next.flatten() {
                        Ok(Some(frame)) => frame,
                        Ok(None) => return self.fail(&Error::store("a download ended before its range")),
                        Err(error) => return self.fail(&error),
                    };
                }
                block.extend_from_slice(&frame.split_to(frame.len().min(length - block.len())));
            }
            self.put_down(Ok(reservation.hold(block)));
        }
    }

    /// Waits for `work`; gives the run up, with `None`, when that takes long and nobody waits for any of its blocks.
    async fn while_wanted<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
                return Some(done);
            }
            if self.cache.shelf().abandon(&mut self.run) {
                tracing::debug!(key = %self.run.id.key, block = self.run.first, "nobody waits for this fetch: given up");
                return None;
            }
        }
    }

    fn put_down(&mut self, outcome: Result<Bytes, Error>) {
        let landing = {
            let mut shelf = self.cache.shelf();
            let landing = shelf.land(&mut self.run, &outcome);
            self.cache.make_room(&mut shelf);
            landing
        };
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
