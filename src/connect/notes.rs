//! What a user should be told and that keeps nothing from working.

use std::fmt;
use std::sync::Arc;

use crate::catalog::Location;
use crate::error::Error;

/// Something about a source that the user did not say and should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// What the catalog chose, such as the version of a collection.
    Source(String),
    /// Only CMR knows the endpoint for these buckets.
    EndpointOfCmr {
        /// The buckets' names.
        buckets: Vec<String>,
        /// The /s3credentials URL of the first of them.
        endpoint: String,
    },
    /// The user names an endpoint, which is used, and the table has another.
    NamedEndpointDiffers {
        /// The bucket's name.
        bucket: String,
        /// The /s3credentials URL that the table has.
        known: String,
    },
    /// The user names an endpoint, and the table has one for each of several buckets.
    NamedEndpointUnused,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FLAG: &str = "--credentials-endpoint or S3_CREDENTIAL_ENDPOINT";
        match self {
            Self::Source(words) => f.write_str(words),
            Self::EndpointOfCmr { buckets, endpoint } => write!(
                f,
                "the table of buckets does not know {}: the credentials come from {endpoint}, as \
                 CMR says",
                buckets.join(", ")
            ),
            Self::NamedEndpointDiffers { bucket, known } => write!(
                f,
                "{FLAG} names another endpoint for {bucket} than the table of buckets, which has \
                 {known}"
            ),
            Self::NamedEndpointUnused => write!(
                f,
                "{FLAG} is not used: the table of buckets knows an endpoint for each of these"
            ),
        }
    }
}

/// A bucket of several that cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The bucket and the prefix.
    pub location: Location,
    /// Why it cannot be asked.
    pub error: Error,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is left out: {}", self.location, self.error)
    }
}

/// A login that takes longer than usual and goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowLogin {
    /// The /s3credentials URL, or words for the environment.
    pub endpoint: Arc<str>,
    /// Whose answer is missing, or what failed last.
    pub cause: Arc<Error>,
}

impl fmt::Display for SlowLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waiting for credentials from {}: {}", self.endpoint, self.cause)
    }
}
