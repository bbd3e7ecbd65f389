//! What a bucket's requests wait for, and why they were refused, for people who ask.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::Bucket;
use crate::credentials::CredentialsCache;
use crate::error::Error;

/// What S3 answered last.
#[derive(Debug, Default)]
pub(super) struct LastAnswers(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    /// The last fault, and when the first one came, until a request is answered.
    fault: Option<(Error, Instant)>,
    /// The last refusal, and when it came.
    refusal: Option<(Error, Instant)>,
    /// No request was answered since the last refusal.
    is_refused: bool,
}

impl LastAnswers {
    pub(super) fn fault(&self) -> Option<Error> {
        self.0.lock().fault.as_ref().map(|(fault, _)| fault.clone())
    }

    /// Keeps `fault` as the answer to what is waited for; `None`: nothing is waited for.
    pub(super) fn record_fault(&self, fault: Option<Error>, now: Instant) {
        let mut answers = self.0.lock();
        let since = answers.fault.as_ref().map_or(now, |(_, since)| *since);
        answers.fault = fault.map(|fault| (fault, since));
    }

    /// Keeps what a request has ended with.
    pub(super) fn record_outcome<T>(&self, outcome: &Result<T, Error>, now: Instant) {
        let mut answers = self.0.lock();
        match outcome {
            Err(refusal @ Error::Refused(_)) => {
                answers.refusal = Some((refusal.clone(), now));
                answers.is_refused = true;
            }
            Ok(_) | Err(Error::NotFound(_)) => answers.is_refused = false,
            Err(_) => {}
        }
    }
}

/// How the requests to a bucket do. Times are in whole seconds, up to now.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct BucketStatus {
    /// The bucket's name.
    pub bucket: String,
    /// How many requests were sent.
    pub requests: u64,
    /// What is in the way of requests that wait.
    pub fault: Option<String>,
    /// Since when.
    pub fault_since: Option<u64>,
    /// The last refusal.
    pub refusal: Option<String>,
    /// When it came.
    pub refused_ago: Option<u64>,
    /// Whether no request was answered since then.
    pub is_refused: bool,
}

impl Bucket {
    /// Returns how requests to this bucket do. Waits for nothing.
    #[must_use]
    pub fn status(&self) -> BucketStatus {
        let counters = self.counters();
        let sent = [&counters.list, &counters.head, &counters.get];
        let answers = self.inner.last_answers.0.lock();
        let (fault, refusal) = (answers.fault.as_ref(), answers.refusal.as_ref());
        BucketStatus {
            bucket: String::from(&**self.name()),
            requests: sent.iter().map(|counter| counter.load(Ordering::Relaxed)).sum(),
            fault: fault.map(|(fault, _)| fault.to_string()),
            fault_since: fault.map(|(_, since)| since.elapsed().as_secs()),
            refusal: refusal.map(|(refusal, _)| refusal.to_string()),
            refused_ago: refusal.map(|(_, at)| at.elapsed().as_secs()),
            is_refused: answers.is_refused,
        }
    }

    /// Returns the kinds of credentials that may open this bucket.
    pub fn credentials(&self) -> impl Iterator<Item = &Arc<CredentialsCache>> {
        self.inner.credentials.caches()
    }
}
