//! The flags that say how Earthdata and S3 are spoken to, the same for every verb that does.

use std::path::PathBuf;

use clap::Args;

use crate::catalog::{BucketTable, ResolvedBucket, ResolvedSource, UntrustedEndpoint};
use crate::error::Error;
use crate::http::host::parse_host;

/// How Earthdata is spoken to.
#[derive(Debug, Args)]
pub struct EarthdataArgs {
    /// The data center's /s3credentials URL [default: from the table of buckets]
    #[arg(long, value_name = "URL", env = "S3_CREDENTIAL_ENDPOINT", help_heading = "Earthdata")]
    credentials_endpoint: Option<String>,

    /// The Earthdata Login host, the only place that gets the password (UAT:
    /// uat.urs.earthdata.nasa.gov)
    #[arg(
        long,
        value_name = "HOST[:PORT]",
        env = "EARTHDATA_HOST",
        default_value = LOGIN_HOST,
        value_parser = login_host,
        help_heading = "Earthdata"
    )]
    pub earthdata_host: String,

    /// The catalogue that knows where a collection is (UAT: cmr.uat.earthdata.nasa.gov)
    #[arg(
        long,
        value_name = "HOST[:PORT]",
        default_value = "cmr.earthdata.nasa.gov",
        value_parser = parse_host,
        help_heading = "Earthdata"
    )]
    pub cmr_host: String,

    /// The table of buckets.
    #[command(flatten)]
    pub buckets: BucketsFile,
}

/// The table of buckets.
#[derive(Debug, Args)]
pub struct BucketsFile {
    /// Another table of buckets, as `granulefs buckets --json` prints it [default: the built-in
    /// one]
    #[arg(long, value_name = "FILE", help_heading = "Earthdata")]
    pub buckets_file: Option<PathBuf>,
}

impl BucketsFile {
    /// The table to look buckets up in.
    ///
    /// # Errors
    /// [`Error::Usage`] when the file cannot be read.
    pub fn table(&self) -> Result<BucketTable, Error> {
        self.buckets_file.as_deref().map_or_else(|| Ok(BucketTable::built_in()), BucketTable::read)
    }
}

/// Where Earthdata Login is.
const LOGIN_HOST: &str = "urs.earthdata.nasa.gov";

/// A variable that is set to nothing counts as not set.
fn login_host(text: &str) -> Result<String, Error> {
    parse_host(if text.is_empty() { LOGIN_HOST } else { text })
}

impl EarthdataArgs {
    /// The endpoint that the user names. A variable that is set to nothing counts as not set.
    #[must_use]
    pub fn named_endpoint(&self) -> Option<&str> {
        self.credentials_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty())
    }

    /// The endpoint for `place`, one of `all`. What the user names is for the one place that is
    /// asked for; of several, it serves those that the table does not know. What CMR says counts
    /// last.
    #[must_use]
    pub fn endpoint<'a>(
        &'a self,
        place: &'a ResolvedBucket,
        all: &ResolvedSource,
    ) -> Option<&'a str> {
        let (named, known) = (self.named_endpoint(), place.endpoint.as_deref());
        let sure = if all.buckets.len() == 1 { named.or(known) } else { known.or(named) };
        sure.or_else(|| place.catalog_endpoint.as_ref().and_then(UntrustedEndpoint::trusted))
    }
}

/// How S3 is spoken to.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// Use the environment's own AWS credentials (variables, profile, role), and Earthdata's only
    /// where those are refused
    #[arg(long, help_heading = "Earthdata")]
    pub aws_credentials: bool,

    /// The region.
    #[command(flatten)]
    pub region: RegionArg,

    /// An S3-compatible store other than Amazon's
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_S3", help_heading = "S3")]
    endpoint_url: Option<String>,

    /// Ask for ENDPOINT/BUCKET/KEY instead of BUCKET.ENDPOINT/KEY
    #[arg(long, help_heading = "S3")]
    pub path_style: bool,
}

impl StoreArgs {
    /// The store, where it is not Amazon's. A variable that is set to nothing counts as not set.
    #[must_use]
    pub fn endpoint_url(&self) -> Option<&str> {
        self.endpoint_url.as_deref().filter(|url| !url.is_empty())
    }
}

/// The region.
#[derive(Debug, Args)]
pub struct RegionArg {
    /// The bucket's AWS region [default: from the table of buckets; for others AWS_REGION,
    /// AWS_DEFAULT_REGION, or us-west-2]
    #[arg(long = "region", value_name = "REGION", help_heading = "S3")]
    given: Option<String>,
}

impl RegionArg {
    /// The region to sign for at `place`.
    #[must_use]
    pub fn of(&self, place: &ResolvedBucket) -> String {
        self.of_with(place, |name| std::env::var(name).ok())
    }

    fn of_with(&self, place: &ResolvedBucket, variable: impl Fn(&str) -> Option<String>) -> String {
        // A machine's own region says nothing about a bucket that is known to be elsewhere.
        let environment = || {
            ["AWS_REGION", "AWS_DEFAULT_REGION"]
                .into_iter()
                .filter_map(&variable)
                .find(|name| !name.is_empty())
        };
        let known = || place.region.clone();
        self.given.clone().or_else(known).or_else(environment).unwrap_or_else(|| "us-west-2".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_bucket_is_where_it_is_whatever_region_the_machine_is_in() {
        let table = BucketTable::built_in();
        let region = |bucket: &str, given: Option<&str>, variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                variables
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            };
            RegionArg { given: given.map(Into::into) }
                .of_with(&ResolvedBucket::new(bucket, "", table.get(bucket)), variable)
        };
        let (own, other) = (("AWS_REGION", "eu-central-1"), ("AWS_DEFAULT_REGION", "eu-west-1"));
        assert_eq!(region("bucket", None, &[]), "us-west-2");
        assert_eq!(region("bucket", None, &[other]), "eu-west-1");
        assert_eq!(region("bucket", None, &[own, other]), "eu-central-1");
        assert_eq!(region("bucket", None, &[("AWS_REGION", ""), other]), "eu-west-1");
        assert_eq!(region("podaac-ops-cumulus-protected", None, &[own, other]), "us-west-2");
        assert_eq!(region("podaac-ops-cumulus-protected", Some("us-east-1"), &[own]), "us-east-1");
    }

    #[test]
    fn a_named_endpoint_is_for_the_one_bucket_asked_for() {
        let named = EarthdataArgs {
            credentials_endpoint: Some("named".into()),
            earthdata_host: String::new(),
            cmr_host: String::new(),
            buckets: BucketsFile { buckets_file: None },
        };
        let known = ResolvedBucket {
            endpoint: Some("known".into()),
            ..ResolvedBucket::new("b-1", "", None)
        };
        let unknown = ResolvedBucket::new("b-2", "", None);
        let resolved = |places: &[&ResolvedBucket]| ResolvedSource {
            buckets: places.iter().copied().cloned().collect(),
            file: None,
            note: None,
        };
        assert_eq!(named.endpoint(&known, &resolved(&[&known])), Some("named"));
        assert_eq!(named.endpoint(&known, &resolved(&[&known, &unknown])), Some("known"));
        assert_eq!(named.endpoint(&unknown, &resolved(&[&known, &unknown])), Some("named"));
    }
}
