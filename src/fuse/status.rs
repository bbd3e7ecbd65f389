//! What a running mount tells of itself to whoever made it.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::dispatcher::Dispatcher;
use crate::error::{Error, Problem};
use crate::filesystem::Status;

/// Asking for this extended attribute of anything in a mount tells how the mount does, as the JSON
/// of a [`MountStatus`]. It is answered from memory, and to the user who mounts and root only. The
/// list of extended attributes does not have it.
pub const STATUS: &str = "user.granulefs.doctor";
/// The kernel takes no longer value.
pub const MAX_STATUS: usize = 64 << 10;

/// How a mount does.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct MountStatus {
    /// The version of the program that serves it.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// The operations that have waited for long, if any.
    pub waiting: Option<WaitingStatus>,
    /// Its credentials and buckets.
    #[serde(flatten)]
    pub filesystem: Status,
    /// How many buckets are left out, since the answer would be too long.
    pub left_out: usize,
}

/// Operations that have waited for long.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct WaitingStatus {
    /// How many there are.
    pub operations: usize,
    /// How many seconds the oldest has waited.
    pub longest: u64,
    /// What that one is about, where it is something in S3.
    pub url: Option<String>,
    /// What it waits for.
    pub cause: String,
}

impl Dispatcher {
    /// Returns how the mount does, as JSON. Waits for nothing.
    pub(super) fn status(&self) -> Result<String, Error> {
        let waiting = self.waiting.long(Instant::now()).map(|long| WaitingStatus {
            operations: long.count,
            longest: long.longest.as_secs(),
            url: self.filesystem.xattr(long.node, "user.s3.url".as_ref()).ok(),
            cause: self.filesystem.timeout_cause(long.node).to_string(),
        });
        let status = MountStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            waiting,
            filesystem: self.filesystem.status(),
            left_out: 0,
        };
        status.into_json()
    }
}

impl MountStatus {
    /// As many buckets as fit, those that do not answer before the others.
    fn into_json(mut self) -> Result<String, Error> {
        loop {
            let json = serde_json::to_string(&self)
                .map_err(|e| Error::store(Problem::new("cannot write JSON").caused_by(e)))?;
            let (buckets, credentials) =
                (&mut self.filesystem.buckets, &mut self.filesystem.credentials);
            if json.len() <= MAX_STATUS || (buckets.is_empty() && credentials.is_empty()) {
                return Ok(json);
            }
            self.left_out += buckets.len() - buckets.len() / 2;
            if buckets.is_empty() {
                credentials.truncate(credentials.len() / 2);
            }
            buckets.truncate(buckets.len() / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::BucketStatus;

    #[test]
    fn the_answer_fits_what_the_kernel_takes() {
        let bucket = |number: usize| BucketStatus {
            bucket: format!("bucket-{number}"),
            requests: 1,
            fault: Some("x".repeat(2000)),
            fault_since: None,
            refusal: None,
            refused_ago: None,
            is_refused: false,
        };
        let filesystem =
            Status { credentials: Vec::new(), buckets: (0..100).map(bucket).collect() };
        let (version, waiting) = (String::new(), None);
        let status = MountStatus { version, pid: 1, waiting, filesystem, left_out: 0 };
        let json = status.into_json().unwrap();
        let read: MountStatus = serde_json::from_str(&json).unwrap();
        assert!(json.len() <= MAX_STATUS);
        assert_eq!((read.filesystem.buckets.len(), read.left_out), (25, 75));
        assert_eq!(read.filesystem.buckets[0].bucket, "bucket-0");
    }
}
