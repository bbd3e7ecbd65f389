//! What a source means: the buckets, and where their credentials come from.

use super::bucket_table::BucketInfo;
use super::location::Location;
use super::system;
use super::untrusted_endpoint::UntrustedEndpoint;
use crate::error::Error;

/// A prefix of a bucket, and where the credentials for it come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedBucket {
    /// The bucket and the prefix.
    pub location: Location,
    /// The /s3credentials URL, if the bucket table has the bucket.
    pub endpoint: Option<String>,
    /// Another /s3credentials URL for when that one has no answer.
    pub fallback_endpoint: Option<String>,
    /// The endpoint that CMR names, if the bucket table does not have the bucket.
    pub catalog_endpoint: Option<UntrustedEndpoint>,
    /// The AWS region, if it is known.
    pub region: Option<String>,
}

impl ResolvedBucket {
    /// Returns `prefix` of `bucket`, with what the bucket table has on it.
    #[must_use]
    pub fn new(bucket: &str, prefix: &str, info: Option<&BucketInfo>) -> Self {
        Self {
            location: Location::new(bucket, prefix),
            endpoint: info.map(|info| info.endpoint.clone()),
            fallback_endpoint: info.and_then(|info| info.fallback_endpoint.clone()),
            catalog_endpoint: None,
            region: info.map(|info| info.region.clone()),
        }
    }

    fn system(&self) -> Option<&'static str> {
        let endpoint =
            self.endpoint.as_deref().or_else(|| self.catalog_endpoint.as_ref()?.trusted());
        system::of_host(endpoint?.split('/').nth(2)?)
    }
}

/// What a source means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedSource {
    /// At least one.
    pub buckets: Vec<ResolvedBucket>,
    /// The key of the file that the source names. There is one bucket then, and the key is below
    /// its prefix.
    pub file: Option<String>,
    /// Something that the user did not say and should know, such as the version chosen.
    pub note: Option<String>,
}

impl From<ResolvedBucket> for ResolvedSource {
    fn from(bucket: ResolvedBucket) -> Self {
        Self { buckets: vec![bucket], file: None, note: None }
    }
}

impl ResolvedSource {
    /// Leaves out, of several buckets, those that the login at `earthdata_host` does not know since
    /// they belong to another of NASA's systems. A single bucket is what the user named, and stays.
    ///
    /// # Errors
    /// [`Error::Usage`] when nothing is left.
    pub fn keep_system_of(&mut self, earthdata_host: &str) -> Result<(), Error> {
        let Some(own) = system::of_host(earthdata_host).filter(|_| self.buckets.len() > 1) else {
            return Ok(());
        };
        self.buckets.retain(|bucket| bucket.system().is_none_or(|system| system == own));
        match self.buckets.is_empty() {
            true => Err(Error::usage(format!(
                "none of these buckets belongs to the system of {earthdata_host}; name one, or a \
                 table of others with --buckets-file"
            ))),
            false => Ok(()),
        }
    }
}
