//! Injected faults: failures that happen to requests, whatever their answer would have been.

use serde::{Deserialize, Serialize};

use crate::lie::Lie;
use crate::range::{self, RequestedRange};
use crate::request_log::{LoggedRequest, RequestKind};

/// A way in which a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// 503 SlowDown.
    SlowDown,
    /// 500 InternalError.
    InternalError,
    /// 403 AccessDenied.
    Denied,
    /// The connection is reset instead of an answer.
    Reset,
    /// The connection is reset after this many bytes of the body; 0 is after the headers.
    ResetBody(u64),
    /// The connection is closed without a reset after this many bytes of the body, fewer than
    /// Content-Length says.
    Truncate(u64),
    /// After this many bytes of the body no more are sent; the connection stays open.
    StallBody(u64),
    /// There is no answer; the connection stays open.
    Stall,
    /// The answer is delayed by this many milliseconds.
    Delay(u64),
    /// After `at` bytes of the body, 0 being after the headers, no byte is sent for `millis`
    /// milliseconds; then the rest is.
    PauseBody {
        /// Bytes before the pause.
        at: u64,
        /// Milliseconds without a byte.
        millis: u64,
    },
    /// The answer's ETag is not the object's.
    WrongEtag,
    /// The answer is not what was asked for, or not S3's.
    Lie(Lie),
}

/// A failure and the requests to which it happens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The failure.
    pub failure: Failure,
    /// Only to requests of this kind.
    #[serde(default)]
    pub kind: Option<RequestKind>,
    /// Only to requests whose key or prefix contains this.
    #[serde(default)]
    pub containing: String,
    /// Only to requests to this DAAC, to Earthdata Login on its behalf, or for its buckets.
    #[serde(default)]
    pub daac: Option<String>,
    /// Only to requests for this bucket.
    #[serde(default)]
    pub bucket: Option<String>,
    /// Only to GETs whose range holds this byte.
    #[serde(default)]
    pub covering: Option<u64>,
    /// How likely the failure is for a matching request, from 0 to 1.
    #[serde(default = "certain")]
    pub probability: f64,
    /// How many times it still happens; `None` is without a limit.
    #[serde(default)]
    pub remaining: Option<u64>,
}

fn certain() -> f64 {
    1.0
}

impl Fault {
    /// Returns a fault that happens to every request.
    #[must_use]
    pub fn new(failure: Failure) -> Self {
        Self {
            failure,
            kind: None,
            containing: String::new(),
            daac: None,
            bucket: None,
            covering: None,
            probability: 1.0,
            remaining: None,
        }
    }

    /// Restricts the fault to one kind of request.
    #[must_use]
    pub fn on(self, kind: RequestKind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// Restricts the fault to keys and prefixes that contain `part`.
    #[must_use]
    pub fn containing(self, part: impl Into<String>) -> Self {
        Self { containing: part.into(), ..self }
    }

    /// Restricts the fault to requests to a DAAC, to Earthdata Login on its behalf, or for its
    /// buckets.
    #[must_use]
    pub fn of_daac(self, daac: impl Into<String>) -> Self {
        Self { daac: Some(daac.into()), ..self }
    }

    /// Restricts the fault to a bucket.
    #[must_use]
    pub fn in_bucket(self, bucket: impl Into<String>) -> Self {
        Self { bucket: Some(bucket.into()), ..self }
    }

    /// Restricts the fault to GETs whose range holds the byte `at` of the object.
    #[must_use]
    pub fn covering(self, at: u64) -> Self {
        Self { covering: Some(at), ..self }
    }

    /// Makes the fault happen with this probability, from 0 to 1.
    #[must_use]
    pub fn probability(self, probability: f64) -> Self {
        Self { probability, ..self }
    }

    /// Restricts the fault to the next `count` matching requests.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self { remaining: Some(count), ..self }
    }

    pub(crate) fn happens_to(&self, request: &LoggedRequest) -> bool {
        self.remaining != Some(0)
            && self.kind.is_none_or(|only| only == request.kind)
            && request.key.contains(&self.containing)
            && self.daac.as_ref().is_none_or(|only| request.daac.as_ref() == Some(only))
            && self.bucket.as_ref().is_none_or(|only| request.bucket == *only)
            && self.covering.is_none_or(|byte| covers(request.range.as_deref(), byte))
            && (self.probability >= 1.0 || fastrand::f64() < self.probability)
    }
}

fn covers(range: Option<&str>, byte: u64) -> bool {
    match range::parse(range, u64::MAX) {
        RequestedRange::Whole => true,
        RequestedRange::Part(range) => range.contains(&byte),
        RequestedRange::Unsatisfiable => false,
    }
}
