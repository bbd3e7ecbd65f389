//! A log of every request and its answer, and the counts that follow from it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

use crate::stats::Stats;

/// The most entries of the log, which bounds its memory in a benchmark; the oldest ones go first.
const LOG_LIMIT: usize = 200_000;

/// The purpose of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// ListObjectsV2.
    List,
    /// GetObject.
    Get,
    /// HeadObject.
    Head,
    /// HeadBucket or GetBucketLocation, which are harmless and always refused.
    Probe,
    /// Anything else sent to S3.
    Forbidden,
    /// Anything sent to Earthdata Login.
    Login,
    /// `/s3credentials` of a DAAC.
    Credentials,
    /// Any other path of a DAAC, in particular the one to which a login redirects.
    Callback,
    /// The https link of a granule, which a client may parse and must never fetch.
    Link,
    /// Anything sent to CMR.
    Cmr,
    /// Anything sent to the foreign host.
    ForeignHost,
}

impl RequestKind {
    /// Returns whether the request is for S3.
    pub(crate) fn is_s3(self) -> bool {
        matches!(self, Self::List | Self::Get | Self::Head | Self::Probe | Self::Forbidden)
    }
}

/// One request and its answer.
#[derive(Clone, Debug, Serialize)]
pub struct LoggedRequest {
    /// The time of its arrival.
    pub at: SystemTime,
    /// Its purpose.
    pub kind: RequestKind,
    /// The method.
    pub method: String,
    /// The path and query as sent.
    pub target: String,
    /// The bucket; empty when the request is for none.
    pub bucket: String,
    /// The key, or the prefix of a listing.
    pub key: String,
    /// The DAAC that was asked, that a login is for, or that the bucket belongs to.
    pub daac: Option<String>,
    /// The `Range` header.
    pub range: Option<String>,
    /// The `If-Match` header.
    pub if_match: Option<String>,
    /// The delimiter of a listing.
    pub delimiter: Option<String>,
    /// The parameter `start-after` of a listing.
    pub start_after: Option<String>,
    /// Whether a listing continues from a continuation token.
    pub continued: bool,
    /// Whether the signature is in the query.
    pub presigned: bool,
    /// The access key of the signature, verified or not.
    pub access_key: Option<String>,
    /// The status of the answer, 0 without an answer.
    pub status: u16,
    /// The code of an S3 error.
    pub code: Option<String>,
    /// The fault that happened, in its `Debug` form.
    pub fault: Option<String>,
    /// The kind of secret that the request showed to a host that must not see it.
    pub leaked_secret: Option<String>,
    /// Bytes of the body sent so far.
    pub sent: u64,
}

impl LoggedRequest {
    pub(crate) fn new(kind: RequestKind, method: &str, target: &str) -> Self {
        Self {
            at: SystemTime::now(),
            kind,
            method: method.to_owned(),
            target: target.to_owned(),
            bucket: String::new(),
            key: String::new(),
            daac: None,
            range: None,
            if_match: None,
            delimiter: None,
            start_after: None,
            continued: false,
            presigned: false,
            access_key: None,
            status: 0,
            code: None,
            fault: None,
            leaked_secret: None,
            sent: 0,
        }
    }
}

/// The log and the counts.
#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    records: Mutex<Records>,
    changed: Condvar,
    sent: AtomicU64,
}

#[derive(Debug, Default)]
struct Records {
    stats: Stats,
    log: VecDeque<(LoggedRequest, Arc<AtomicU64>)>,
}

impl RequestLog {
    pub(crate) fn record_arrival(
        self: &Arc<Self>,
        logged: &LoggedRequest,
    ) -> Option<InFlightGuard> {
        let is_s3 = logged.kind.is_s3();
        let is_get = logged.kind == RequestKind::Get;
        self.update(|stats| {
            *stats.of_kind(logged.kind) += 1;
            if let Some(daac) = &logged.daac {
                stats.daac_mut(daac).count(logged.kind);
            }
            if is_s3 {
                stats.in_flight += 1;
                stats.most_in_flight = stats.most_in_flight.max(stats.in_flight);
            }
            if is_get {
                stats.gets_in_flight += 1;
                stats.most_gets_in_flight = stats.most_gets_in_flight.max(stats.gets_in_flight);
            }
        });
        is_s3.then(|| InFlightGuard { request_log: Arc::clone(self), is_get })
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Stats)) {
        change(&mut self.records.lock().stats);
        self.changed.notify_all();
    }

    /// Logs a request that is being answered. The returned counter takes the bytes of the body as
    /// they are sent.
    pub(crate) fn record_answer(self: &Arc<Self>, logged: LoggedRequest) -> ByteCounter {
        let sent = Arc::new(AtomicU64::new(0));
        let is_s3 = logged.kind.is_s3();
        let mut records = self.records.lock();
        if records.log.len() == LOG_LIMIT {
            records.log.pop_front();
        }
        records.log.push_back((logged, Arc::clone(&sent)));
        drop(records);
        self.changed.notify_all();
        ByteCounter { sent, request_log: is_s3.then(|| Arc::clone(self)) }
    }

    pub(crate) fn stats(&self) -> Stats {
        let stats = self.records.lock().stats.clone();
        Stats { sent: self.sent.load(Ordering::Relaxed), ..stats }
    }

    pub(crate) fn log(&self) -> Vec<LoggedRequest> {
        let records = self.records.lock();
        records
            .log
            .iter()
            .map(|(logged, sent)| LoggedRequest {
                sent: sent.load(Ordering::Relaxed),
                ..logged.clone()
            })
            .collect()
    }

    pub(crate) fn reset(&self) {
        let mut records = self.records.lock();
        let Stats { in_flight, gets_in_flight, .. } = records.stats;
        records.stats = Stats {
            in_flight,
            most_in_flight: in_flight,
            gets_in_flight,
            most_gets_in_flight: gets_in_flight,
            ..Stats::default()
        };
        records.log.clear();
        self.sent.store(0, Ordering::Relaxed);
    }

    pub(crate) fn wait_for(&self, condition: impl Fn(&Stats) -> bool, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut records = self.records.lock();
        loop {
            let stats = Stats { sent: self.sent.load(Ordering::Relaxed), ..records.stats.clone() };
            if condition(&stats) {
                return true;
            }
            // Counting bytes notifies nobody, so the condition is checked regularly.
            let next_check = deadline.min(Instant::now() + Duration::from_millis(10));
            if self.changed.wait_until(&mut records, next_check).timed_out()
                && Instant::now() >= deadline
            {
                return false;
            }
        }
    }
}

/// Counts the bytes of one body.
#[derive(Debug)]
pub(crate) struct ByteCounter {
    sent: Arc<AtomicU64>,
    request_log: Option<Arc<RequestLog>>,
}

impl ByteCounter {
    pub(crate) fn add(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        if let Some(request_log) = &self.request_log {
            request_log.sent.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

/// Marks an S3 request as under way until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlightGuard {
    request_log: Arc<RequestLog>,
    is_get: bool,
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.request_log.update(|stats| {
            stats.in_flight -= 1;
            stats.gets_in_flight -= u64::from(self.is_get);
        });
    }
}
