//! Counts of requests: of all of them, and of those that concern one DAAC.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::request_log::RequestKind;

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
    /// Requests to S3 that no client may send.
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
    /// Requests to the foreign host.
    pub foreign_requests: u64,
    /// Credentials issued by `/s3credentials`.
    pub issued: u64,
    /// Passwords accepted by Earthdata Login.
    pub authenticated: u64,
    /// Passwords refused by Earthdata Login.
    pub rejected: u64,
    /// Requests that showed a secret to a host that must not see it.
    pub leaked_secrets: u64,
    /// S3 requests refused because the credentials have expired.
    pub expired: u64,
    /// S3 requests refused for their signature, key, token or time, except for expired credentials.
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
    /// The largest number of S3 requests under way at one time.
    pub most_in_flight: u64,
    /// GetObject requests under way, body included.
    pub gets_in_flight: u64,
    /// The largest number of GetObject requests under way at one time.
    pub most_gets_in_flight: u64,
    /// The counts of each DAAC, by name; a DAAC without a request is missing. See
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
    /// Credentials that it issued.
    pub issued: u64,
    /// Passwords accepted by Earthdata Login on its behalf.
    pub authenticated: u64,
    /// Requests to S3 for its buckets, whichever key signed them.
    pub s3_requests: u64,
}

impl Stats {
    /// Returns the number of all requests to S3.
    #[must_use]
    pub fn s3_requests(&self) -> u64 {
        self.lists + self.gets + self.heads + self.probes + self.forbidden
    }

    pub(crate) fn of_kind(&mut self, kind: RequestKind) -> &mut u64 {
        match kind {
            RequestKind::List => &mut self.lists,
            RequestKind::Get => &mut self.gets,
            RequestKind::Head => &mut self.heads,
            RequestKind::Probe => &mut self.probes,
            RequestKind::Forbidden => &mut self.forbidden,
            RequestKind::Login => &mut self.logins,
            RequestKind::Credentials => &mut self.credentials,
            RequestKind::Callback => &mut self.callbacks,
            RequestKind::Link => &mut self.links,
            RequestKind::Cmr => &mut self.cmr,
            RequestKind::ForeignHost => &mut self.foreign_requests,
        }
    }

    pub(crate) fn daac_mut(&mut self, name: &str) -> &mut DaacStats {
        self.daacs.entry(name.to_owned()).or_default()
    }
}

impl DaacStats {
    pub(crate) fn count(&mut self, kind: RequestKind) {
        match kind {
            RequestKind::Credentials => self.credentials += 1,
            RequestKind::Login => self.logins += 1,
            RequestKind::Callback => self.callbacks += 1,
            RequestKind::Link => self.links += 1,
            kind if kind.is_s3() => self.s3_requests += 1,
            _ => {}
        }
    }
}
