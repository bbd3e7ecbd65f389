//! What a caller decides: plain values, and no default for any of them.

use std::path::PathBuf;
use std::sync::Arc;

use crate::catalog::{BucketTable, ResolvedBucket};
use crate::login::Identity;

/// How buckets are found, logged in to and asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How Earthdata is asked.
    pub earthdata: EarthdataSettings,
    /// How S3 is asked.
    pub s3: S3Settings,
}

/// How Earthdata is asked.
#[derive(Clone, Debug)]
pub struct EarthdataSettings {
    /// Earthdata Login, as `host` or `host:port`: the only host that gets the password.
    pub login_host: String,
    /// CMR, as `host` or `host:port`: it is asked where collections are.
    pub cmr_host: String,
    /// The /s3credentials URL that the user names. It is for the one bucket that is asked for; of
    /// several, for those that the table does not know.
    pub credentials_endpoint: Option<String>,
    /// Which endpoint hands out credentials for which bucket.
    pub bucket_table: BucketTable,
    /// What to log in with. `None`: what [`IdentitySource`] finds, when a login is needed, and
    /// again at each later one.
    ///
    /// [`IdentitySource`]: crate::login::IdentitySource
    pub identity: Option<Arc<Identity>>,
    /// A file that holds the token, and that may be replaced while it is in use.
    pub token_file: Option<PathBuf>,
}

/// How S3 is asked.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// Use the environment's own AWS credentials (variables, profile, role), and Earthdata's only
    /// where those are refused.
    pub prefer_environment: bool,
    /// The region.
    pub region: RegionSettings,
    /// The URL of another S3 than Amazon's.
    pub endpoint_url: Option<String>,
    /// Ask for `ENDPOINT/BUCKET/KEY` instead of `BUCKET.ENDPOINT/KEY`.
    pub path_style: bool,
}

/// Which AWS region requests are signed for.
#[derive(Clone, Debug)]
pub struct RegionSettings {
    /// The region of all buckets, as the user names it.
    pub named: Option<String>,
    /// The region of buckets whose region is not known, such as that of the machine.
    pub otherwise: String,
}

impl RegionSettings {
    /// The region to sign for at `bucket`. What the machine says of itself counts last: it says
    /// nothing about a bucket that is known to be elsewhere.
    #[must_use]
    pub fn of<'a>(&'a self, bucket: &'a ResolvedBucket) -> &'a str {
        self.named.as_ref().or(bucket.region.as_ref()).unwrap_or(&self.otherwise)
    }
}
