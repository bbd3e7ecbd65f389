//! What was asked and answered: counts, and a log of every request.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

/// The log forgets its oldest entries beyond this many, so that a benchmark cannot eat the memory.
const LOG_LIMIT: usize = 200_000;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// ListObjectsV2.
    List,
    /// GetObject.
    Get,
    /// HeadObject.
    Head,
    /// HeadBucket or GetBucketLocation: harmless, and always refused.
    Probe,
    /// Anything else sent to S3.
    Forbidden,
    /// Anything sent to Earthdata Login.
    Login,
    /// `/s3credentials` of a DAAC.
    Credentials,
    /// The rest of a DAAC, most of all where a login comes back to.
    Callback,
    /// The https link of a granule, which says where an object is and is never to be fetched.
    Link,
    /// Anything sent to CMR.
    Cmr,
    /// Anything sent to the trap host.
    Trap,
}

impl Kind {
    fn is_s3(self) -> bool {
        matches!(self, Self::List | Self::Get | Self::Head | Self::Probe | Self::Forbidden)
    }
}

/// Counts since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// ListObjectsV2 requests.
    pub lists: u64,
    /// GetObject requests.
    pub gets: u64,
    /// HeadObject requests.
    pub heads: u64,
    /// HeadBucket and GetBucketLocation requests.
    pub probes: u64,
    /// Requests that nothing may ever send to S3.
    pub forbidden: u64,
    /// Requests to Earthdata Login.
    pub logins: u64,
    /// Requests to `/s3credentials`.
    pub credentials: u64,
    /// Other requests to a DAAC.
    pub callbacks: u64,
    /// Requests for the https links of granules.
    pub links: u64,
    /// Requests to CMR.
    pub cmr: u64,
    /// Requests to the trap host.
    pub traps: u64,
    /// Credentials handed out by `/s3credentials`.
    pub issued: u64,
    /// Passwords taken by Earthdata Login.
    pub authenticated: u64,
    /// Passwords refused by Earthdata Login.
    pub rejected: u64,
    /// Requests that showed a secret to a host that must not see it.
    pub leaks: u64,
    /// S3 requests refused because the credentials have expired.
    pub expired: u64,
    /// S3 requests refused for their signature, key, token or time, other than expired.
    pub unauthorized: u64,
    /// S3 requests answered 403 AccessDenied, unless counted as expired.
    pub denied: u64,
    /// Faults that happened.
    pub faults: u64,
    /// Bytes of S3 bodies sent.
    pub sent: u64,
    /// Connections accepted by S3.
    pub connections: u64,
    /// S3 requests under way, body included.
    pub in_flight: u64,
    /// The most S3 requests under way at one time.
    pub most_in_flight: u64,
    /// What concerns one DAAC, by name; a DAAC that nothing concerned is not there. See
    /// [`crate::FakeDaac::daac_stats`].
    pub daacs: BTreeMap<String, DaacStats>,
}

/// Counts of one DAAC since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaacStats {
    /// Requests to its `/s3credentials`.
    pub credentials: u64,
    /// Requests to Earthdata Login on its behalf.
    pub logins: u64,
    /// Other requests to it.
    pub callbacks: u64,
    /// Requests for the https links of its granules.
    pub links: u64,
    /// Credentials that it handed out.
    pub issued: u64,
    /// Passwords taken by Earthdata Login on its behalf.
    pub authenticated: u64,
    /// Requests to S3 for its buckets, whoever signed them.
    pub s3_requests: u64,
}

impl Stats {
    /// Returns how many requests of all kinds S3 got.
    #[must_use]
    pub fn s3_requests(&self) -> u64 {
        self.lists + self.gets + self.heads + self.probes + self.forbidden
    }

    fn of(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::List => &mut self.lists,
            Kind::Get => &mut self.gets,
            Kind::Head => &mut self.heads,
            Kind::Probe => &mut self.probes,
            Kind::Forbidden => &mut self.forbidden,
            Kind::Login => &mut self.logins,
            Kind::Credentials => &mut self.credentials,
            Kind::Callback => &mut self.callbacks,
            Kind::Link => &mut self.links,
            Kind::Cmr => &mut self.cmr,
            Kind::Trap => &mut self.traps,
        }
    }

    pub(crate) fn of_daac(&mut self, name: &str) -> &mut DaacStats {
        self.daacs.entry(name.to_owned()).or_default()
    }
}

impl DaacStats {
    fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Credentials => self.credentials += 1,
            Kind::Login => self.logins += 1,
            Kind::Callback => self.callbacks += 1,
            Kind::Link => self.links += 1,
            kind if kind.is_s3() => self.s3_requests += 1,
            _ => {}
        }
    }
}

/// One request and its answer.
#[derive(Clone, Debug, Serialize)]
pub struct Logged {
    /// When it arrived.
    pub at: SystemTime,
    /// What it is for.
    pub kind: Kind,
    /// The method.
    pub method: String,
    /// The path and query as sent.
    pub target: String,
    /// The bucket, or nothing.
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
    /// `start-after` of a listing.
    pub start_after: Option<String>,
    /// Whether a listing goes on from a continuation token.
    pub continued: bool,
    /// Whether the signature is in the query.
    pub presigned: bool,
    /// The access key that signed, verified or not.
    pub access_key: Option<String>,
    /// The status answered; 0 when there was no answer.
    pub status: u16,
    /// The code of an S3 error.
    pub code: Option<String>,
    /// The fault that happened, in its `Debug` form.
    pub fault: Option<String>,
    /// Which secret was shown to a host that must not see it.
    pub leak: Option<String>,
    /// Bytes of the body sent so far.
    pub sent: u64,
}

impl Logged {
    pub(crate) fn new(kind: Kind, method: &str, target: &str) -> Self {
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
            leak: None,
            sent: 0,
        }
    }
}

/// The log and the counts.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pages: Mutex<Pages>,
    changed: Condvar,
    sent: AtomicU64,
}

#[derive(Debug, Default)]
struct Pages {
    stats: Stats,
    log: VecDeque<(Logged, Arc<AtomicU64>)>,
}

impl Journal {
    pub(crate) fn arrived(self: &Arc<Self>, logged: &Logged) -> Option<InFlight> {
        let on_s3 = logged.kind.is_s3();
        self.count(|stats| {
            *stats.of(logged.kind) += 1;
            if let Some(daac) = &logged.daac {
                stats.of_daac(daac).count(logged.kind);
            }
            if on_s3 {
                stats.in_flight += 1;
                stats.most_in_flight = stats.most_in_flight.max(stats.in_flight);
            }
        });
        on_s3.then(|| InFlight(Arc::clone(self)))
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Stats)) {
        change(&mut self.pages.lock().stats);
        self.changed.notify_all();
    }

    /// Logs a request as it is answered; what is sent from now on is added to the meter that this
    /// returns.
    pub(crate) fn answered(self: &Arc<Self>, logged: Logged) -> Meter {
        let sent = Arc::new(AtomicU64::new(0));
        let on_s3 = logged.kind.is_s3();
        let mut pages = self.pages.lock();
        if pages.log.len() == LOG_LIMIT {
            pages.log.pop_front();
        }
        pages.log.push_back((logged, Arc::clone(&sent)));
        drop(pages);
        self.changed.notify_all();
        Meter { sent, journal: on_s3.then(|| Arc::clone(self)) }
    }

    pub(crate) fn stats(&self) -> Stats {
        let stats = self.pages.lock().stats.clone();
        Stats { sent: self.sent.load(Ordering::Relaxed), ..stats }
    }

    pub(crate) fn log(&self) -> Vec<Logged> {
        let pages = self.pages.lock();
        pages
            .log
            .iter()
            .map(|(logged, sent)| Logged { sent: sent.load(Ordering::Relaxed), ..logged.clone() })
            .collect()
    }

    pub(crate) fn reset(&self) {
        let mut pages = self.pages.lock();
        let in_flight = pages.stats.in_flight;
        pages.stats = Stats { in_flight, most_in_flight: in_flight, ..Stats::default() };
        pages.log.clear();
        self.sent.store(0, Ordering::Relaxed);
    }

    pub(crate) fn wait_for(&self, condition: impl Fn(&Stats) -> bool, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut pages = self.pages.lock();
        loop {
            let stats = Stats { sent: self.sent.load(Ordering::Relaxed), ..pages.stats.clone() };
            if condition(&stats) {
                return true;
            }
            // Bytes are counted without waking anybody, so look again now and then.
            let look = deadline.min(Instant::now() + Duration::from_millis(10));
            if self.changed.wait_until(&mut pages, look).timed_out() && Instant::now() >= deadline {
                return false;
            }
        }
    }
}

/// Counts the bytes of one body.
#[derive(Debug)]
pub(crate) struct Meter {
    sent: Arc<AtomicU64>,
    journal: Option<Arc<Journal>>,
}

impl Meter {
    pub(crate) fn add(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        if let Some(journal) = &self.journal {
            journal.sent.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

/// A request under way; ends when dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Journal>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.count(|stats| stats.in_flight -= 1);
    }
}
