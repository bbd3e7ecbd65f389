//! What every answer is held to before the SDK reads it: a size, and the status of a part.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame};

/// The SDK collects documents in memory. A page of a thousand keys of 1,024 bytes, each of them
/// escaped, has 6 MB.
const LONGEST_PAGE: u64 = 8 << 20;
/// S3's own errors have less than a kilobyte.
const LONGEST_ERROR: u64 = 1 << 20;

/// Cuts off documents that are too long, and lets nothing but 206 be the answer to a range.
#[derive(Clone, Copy, Debug)]
pub(super) enum AnswerLimit {
    /// A page of a listing is asked for.
    Listing,
    /// A range of an object is asked for.
    Part,
}

/// A document was longer than this, bytes.
#[derive(Debug)]
pub(super) struct TooLong(u64);

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3's answer is longer than {} MiB", self.0 >> 20)
    }
}

impl std::error::Error for TooLong {}

impl Intercept for AnswerLimit {
    fn name(&self) -> &'static str {
        "AnswerLimit"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        let limit = match (response.status().as_u16(), self) {
            (200, Self::Part) => {
                // It has a meaning only with 206.
                response.headers_mut().remove("content-range");
                return Ok(());
            }
            (206, Self::Part) => return Ok(()),
            (200, Self::Listing) => LONGEST_PAGE,
            // Such as 203, which says that somebody in between has changed the bytes.
            (status @ 201..=299, _) => return Err(format!("an answer with status {status}").into()),
            _ => LONGEST_ERROR,
        };
        let inner = Box::pin(std::mem::replace(response.body_mut(), SdkBody::taken()));
        *response.body_mut() = SdkBody::from_body_1_x(LimitedBody { inner, limit, left: limit });
        Ok(())
    }
}

struct LimitedBody {
    inner: Pin<Box<SdkBody>>,
    limit: u64,
    left: u64,
}

impl Body for LimitedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = self.inner.as_mut().poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            match self.left.checked_sub(data.len() as u64) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err(TooLong(self.limit).into()))),
            }
        }
        polled
    }
}
