//! One bucket of a source, on the way from its name to answers.

use super::credentials::{BucketCredentials, FirstCredentials, Logins};
use super::notes::SlowLogin;
use super::settings::S3Settings;
use crate::catalog::{BucketPrefixes, Location, ResolvedBucket};
use crate::error::Error;
use crate::s3;

/// A prefix of a bucket, with all that it takes to ask for it.
#[derive(Debug)]
pub struct Connection {
    /// The bucket and the prefix.
    pub location: Location,
    /// The data center's /s3credentials URL. `None`: it is not known, or not trusted.
    pub endpoint: Option<String>,
    /// The AWS region that requests are signed for.
    pub region: String,
    /// Where the names in directories that may not be listed are asked from.
    pub prefixes: BucketPrefixes,
    endpoint_url: Option<String>,
    path_style: bool,
    /// Or why there are none.
    credentials: Result<BucketCredentials, Error>,
}

impl Connection {
    pub(super) fn new(
        bucket: &ResolvedBucket,
        endpoint: Result<&str, Error>,
        prefixes: BucketPrefixes,
        logins: &mut Logins<'_>,
        s3: &S3Settings,
    ) -> Self {
        // The endpoint that the user names has nobody to stand in for it.
        let named = endpoint.as_ref().ok().copied() != bucket.endpoint.as_deref();
        let other = bucket.fallback_endpoint.as_deref().filter(|_| !named);
        Self {
            location: bucket.location.clone(),
            endpoint: endpoint.as_ref().ok().map(|&endpoint| endpoint.to_owned()),
            region: s3.region.of(bucket).to_owned(),
            prefixes,
            endpoint_url: s3.endpoint_url.clone(),
            path_style: s3.path_style,
            credentials: logins.credentials(endpoint, other),
        }
    }

    /// Asks for credentials, with few retries, and returns them. They serve all buckets that have
    /// the same endpoint; each call asks for others.
    ///
    /// Calls `when_slow`, at most once for each kind of credentials, when that takes longer than
    /// usual, and goes on waiting.
    ///
    /// # Errors
    /// [`Error::Refused`] when Earthdata says no, or when there is no identity; [`Error::Usage`]
    /// when the endpoint is not known, not trusted or no URL; [`Error::Transient`] for what may
    /// pass.
    pub async fn log_in(&self, when_slow: impl Fn(SlowLogin)) -> Result<FirstCredentials, Error> {
        self.credentials.as_ref().map_err(Error::clone)?.first(when_slow).await
    }

    /// Returns the URL that Earthdata's credentials are asked from, where there is an identity to
    /// ask with.
    ///
    /// # Errors
    /// Why Earthdata's credentials cannot be asked for.
    pub fn login_endpoint(&self) -> Result<&str, Error> {
        self.credentials.as_ref().map_err(Error::clone)?.login_endpoint()
    }

    /// Returns the bucket. Sends nothing.
    ///
    /// # Errors
    /// Why there are no credentials to ask for; [`crate::error::Refusal::Unencrypted`] when the
    /// store is neither https nor this machine.
    pub fn bucket(&self) -> Result<s3::Bucket, Error> {
        let credentials = self.credentials.clone()?;
        let location = s3::BucketLocation {
            bucket: self.location.bucket.as_str().into(),
            region: self.region.clone(),
            endpoint_url: self.endpoint_url.clone(),
            path_style: self.path_style,
        };
        credentials.bucket(location)
    }
}
