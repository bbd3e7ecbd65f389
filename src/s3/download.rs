//! One byte range of one object version, resumed over new connections when one breaks or stalls.

use std::ops::Range;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::Bucket;
use super::backoff::Backoff;
use super::classify::Requested;
use super::ranged_body::{RangedBody, Stalled};
use crate::error::{Error, Problem};
use crate::object::ObjectId;

/// After so many bytes, the next fault is the first of a series. A store that gives a byte with
/// each answer gets no further, and is asked ever more seldom.
const PROGRESS: u64 = 64 << 10;

/// A ranged GET that continues from the byte reached when its connection breaks or stalls.
#[derive(Debug)]
pub struct Download {
    bucket: Bucket,
    object: ObjectId,
    /// Bytes of the object.
    size: u64,
    /// What is still to come, bytes.
    rest: Range<u64>,
    body: Option<RangedBody>,
    backoff: Backoff,
    /// Bytes since the last fault.
    progress: u64,
}

impl Download {
    pub(super) fn new(bucket: Bucket, object: ObjectId, size: u64, range: Range<u64>) -> Self {
        let (body, backoff, progress) = (None, Backoff::default(), 0);
        Self { bucket, object, size, rest: range, body, backoff, progress }
    }

    /// Returns the next bytes in order, never empty; `None` when the range is complete, and only
    /// then.
    ///
    /// # Errors
    /// [`Error::Replaced`] when the object is no longer this version; otherwise those of every S3
    /// request.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while !self.rest.is_empty() {
            let body = match &mut self.body {
                Some(body) => body,
                None => {
                    let open = self.bucket.open(&self.object, self.size, self.rest.clone());
                    self.body.insert(open.await?)
                }
            };
            let start = self.rest.start;
            let problem = match body.frame(self.bucket.hedger(Requested::Version)).await {
                Ok(Some(Ok(mut frame))) if !frame.is_empty() && start < body.end => {
                    let wanted = self.rest.end.min(body.end) - start;
                    frame.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
                    self.count(frame.len() as u64);
                    return Ok(Some(frame));
                }
                Ok(Some(Ok(frame))) if frame.is_empty() => continue,
                Ok(Some(Err(error))) => {
                    Problem::new(format!("the answer broke off at byte {start}")).caused_by(error)
                }
                Ok(_) => Problem::new(format!("the answer was too short, at byte {start}")),
                Err(Stalled(waited)) => {
                    let seconds = waited.as_secs();
                    Problem::new(format!("hardly any bytes for {seconds} s at byte {start}"))
                }
            };
            (self.body, self.progress) = (None, 0);
            let fault = Error::transient(problem.about(self.object.url()));
            self.bucket.pause(&mut self.backoff, fault).await;
        }
        Ok(None)
    }

    fn count(&mut self, bytes: u64) {
        self.rest.start += bytes;
        self.progress += bytes;
        if self.progress >= PROGRESS {
            self.backoff = Backoff::default();
        }
        self.bucket.counters().bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
