//! How a mount does: its credentials and its buckets.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Filesystem;
use crate::credentials::{CredentialsCache, CredentialsStatus};
use crate::s3::BucketStatus;

/// How a filesystem does.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Status {
    /// One for each provider of credentials.
    pub credentials: Vec<CredentialsStatus>,
    /// The buckets that were asked for something, those that do not answer first.
    pub buckets: Vec<BucketStatus>,
}

impl Filesystem {
    /// Returns how the filesystem does. Waits for nothing.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut caches: Vec<&Arc<CredentialsCache>> = Vec::new();
        for cache in self.trees.iter().flat_map(|(_, tree)| tree.bucket.credentials()) {
            if !caches.iter().any(|known| Arc::ptr_eq(known, cache)) {
                caches.push(cache);
            }
        }
        let buckets = self.trees.iter().map(|(_, tree)| tree.bucket.status());
        let mut buckets: Vec<_> = buckets
            .filter(|bucket| {
                bucket.requests > 0 || bucket.fault.is_some() || bucket.refusal.is_some()
            })
            .collect();
        buckets.sort_by_key(|bucket| (bucket.fault.is_none(), !bucket.is_refused));
        Status { credentials: caches.into_iter().map(|cache| cache.status()).collect(), buckets }
    }
}
