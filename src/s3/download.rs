//! One byte range of one object version, resumed over new connections when one breaks or stalls.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use bytes::Bytes;

use super::Bucket;
use super::backoff::Backoff;
use super::parse::unquoted;
use super::punctual_timeout::punctual_timeout;
use crate::error::{Error, Problem};
use crate::object::ObjectId;

/// S3 sends a frame every few milliseconds. After a pause this long, the rest is requested over
/// another connection, where the hedger allows it.
const PAUSE: Duration = Duration::from_secs(1);
/// After a pause this long the rest is requested anew in any case.
const STALL: Duration = Duration::from_secs(5);

/// A ranged GET that continues from the byte reached when its connection breaks or stalls.
#[derive(Debug)]
pub struct Download {
    bucket: Bucket,
    object: ObjectId,
    /// What is still to come, bytes.
    rest: Range<u64>,
    body: Option<ByteStream>,
    backoff: Backoff,
}

impl Download {
    pub(super) fn new(bucket: Bucket, object: ObjectId, range: Range<u64>) -> Self {
        Self { bucket, object, rest: range, body: None, backoff: Backoff::default() }
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
                None => self.body.insert(self.bucket.open(&self.object, self.rest.clone()).await?),
            };
            let fault = match self.bucket.frame(body).await {
                Ok(Some(Ok(mut frame))) if !frame.is_empty() => {
                    let wanted =
                        usize::try_from(self.rest.end - self.rest.start).unwrap_or(usize::MAX);
                    frame.truncate(wanted);
                    self.rest.start += frame.len() as u64;
                    self.backoff = Backoff::default();
                    self.bucket
                        .inner
                        .counters
                        .bytes
                        .fetch_add(frame.len() as u64, Ordering::Relaxed);
                    return Ok(Some(frame));
                }
                Ok(Some(Ok(_))) => continue,
                Ok(Some(Err(error))) => {
                    let words = format!("the answer broke off at byte {}", self.rest.start);
                    Problem::new(words).caused_by(error)
                }
                Ok(None) => {
                    Problem::new(format!("the answer was too short, at byte {}", self.rest.start))
                }
                Err(waited) => {
                    let (seconds, start) = (waited.as_secs(), self.rest.start);
                    Problem::new(format!("no bytes for {seconds} s at byte {start}"))
                }
            };
            self.body = None;
            let fault = Error::transient(fault.about(self.object.url()));
            self.bucket.pause(&mut self.backoff, fault).await;
        }
        Ok(None)
    }
}

impl Bucket {
    /// Returns the next frame of a body, or how long it was waited for in vain.
    async fn frame(
        &self,
        body: &mut ByteStream,
    ) -> Result<Option<Result<Bytes, ByteStreamError>>, Duration> {
        match punctual_timeout(PAUSE, body.next()).await {
            Some(frame) => Ok(frame),
            None if self.inner.hedger.may_hedge() => Err(PAUSE),
            None => punctual_timeout(STALL - PAUSE, body.next()).await.ok_or(STALL),
        }
    }
}

/// Returns the body of `output`, which must be `range` of this version, and nothing else.
pub(super) fn body_of(
    output: GetObjectOutput,
    object: &ObjectId,
    range: &Range<u64>,
) -> Result<ByteStream, Error> {
    match output.e_tag().map(unquoted) {
        Some(etag) if *etag == *object.etag => {}
        Some(_) => return Err(Error::Replaced(object.url().into())),
        None => {
            let words = "the store does not say which version it answers with";
            return Err(Error::store(Problem::new(words).about(object.url())));
        }
    }
    let start = match output.content_range() {
        Some(answered) => {
            answered.strip_prefix("bytes ").and_then(|r| r.split('-').next()?.parse().ok())
        }
        // The whole object: a store that does not know ranges.
        None => Some(0),
    };
    if start != Some(range.start) {
        let words = format!("the store answered another range than bytes {range:?}");
        return Err(Error::store(Problem::new(words).about(object.url())));
    }
    Ok(output.body)
}
