//! The flags that say how Earthdata and S3 are asked, the same for every verb that asks them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::catalog::BucketTable;
use crate::connect::{EarthdataSettings, RegionSettings, S3Settings};
use crate::error::Error;
use crate::http::host::parse_host;

/// How Earthdata is asked.
#[derive(Debug, Args)]
pub struct EarthdataArgs {
    /// A file that holds the bearer token, such as a credential of systemd or a secret of
    /// Kubernetes. It is read again at each login, so that it can be replaced while it is in use,
    /// and comes before EARTHDATA_TOKEN
    #[arg(long, value_name = "FILE", env = "EARTHDATA_TOKEN_FILE", help_heading = "Earthdata")]
    token_file: Option<OsString>,

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
    cmr_host: String,

    /// The table of buckets.
    #[command(flatten)]
    bucket_table: BucketTableArg,
}

/// The table of buckets.
#[derive(Debug, Args)]
pub struct BucketTableArg {
    /// Another table of buckets, in the form that `granulefs buckets --json` prints [default: the
    /// built-in one]
    #[arg(long, value_name = "FILE", help_heading = "Earthdata")]
    buckets_file: Option<PathBuf>,
}

impl BucketTableArg {
    /// Returns the table to look buckets up in.
    ///
    /// # Errors
    /// [`Error::Usage`] when the file cannot be read.
    pub fn read(&self) -> Result<BucketTable, Error> {
        self.buckets_file.as_deref().map_or_else(|| Ok(BucketTable::built_in()), BucketTable::read)
    }
}

/// Where Earthdata Login is.
const LOGIN_HOST: &str = "urs.earthdata.nasa.gov";

/// A variable that is set to nothing counts as not set.
fn login_host(text: &str) -> Result<String, Error> {
    parse_host(if text.is_empty() { LOGIN_HOST } else { text })
}

/// A variable that is set to nothing counts as not set.
fn not_empty(value: Option<&String>) -> Option<String> {
    value.filter(|value| !value.is_empty()).cloned()
}

impl EarthdataArgs {
    /// Returns the file that holds the token, if there is one. A variable that is set to nothing
    /// counts as not set.
    #[must_use]
    pub fn token_file(&self) -> Option<&Path> {
        self.token_file.as_deref().filter(|path| !path.is_empty()).map(Path::new)
    }

    /// Returns the settings that these flags mean. The identity is not a flag, and is left open.
    ///
    /// # Errors
    /// [`Error::Usage`] when the table of buckets cannot be read.
    pub fn settings(&self) -> Result<EarthdataSettings, Error> {
        Ok(EarthdataSettings {
            login_host: self.earthdata_host.clone(),
            cmr_host: self.cmr_host.clone(),
            credentials_endpoint: not_empty(self.credentials_endpoint.as_ref()),
            bucket_table: self.bucket_table.read()?,
            identity: None,
            token_file: self.token_file().map(Into::into),
        })
    }
}

/// How S3 is asked.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// Use the environment's own AWS credentials (variables, profile, role), and Earthdata's only
    /// where those are refused
    #[arg(long, help_heading = "Earthdata")]
    pub aws_credentials: bool,

    /// The region.
    #[command(flatten)]
    region: RegionArg,

    /// The URL of an S3-compatible store other than Amazon's
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_S3", help_heading = "S3")]
    endpoint_url: Option<String>,

    /// Ask for ENDPOINT/BUCKET/KEY instead of BUCKET.ENDPOINT/KEY
    #[arg(long, help_heading = "S3")]
    path_style: bool,
}

impl StoreArgs {
    /// Returns the settings that these flags mean.
    #[must_use]
    pub fn settings(&self) -> S3Settings {
        S3Settings {
            prefer_environment: self.aws_credentials,
            region: self.region.settings(),
            endpoint_url: not_empty(self.endpoint_url.as_ref()),
            path_style: self.path_style,
        }
    }
}

/// The region.
#[derive(Debug, Args)]
pub(super) struct RegionArg {
    /// The bucket's AWS region [default: from the table of buckets; for others AWS_REGION,
    /// AWS_DEFAULT_REGION, or us-west-2]
    #[arg(long = "region", value_name = "REGION", help_heading = "S3")]
    named: Option<String>,
}

impl RegionArg {
    /// Returns the region that is named, and the one of buckets whose region is not known.
    pub(super) fn settings(&self) -> RegionSettings {
        self.settings_with(|name| std::env::var(name).ok())
    }

    fn settings_with(&self, variable: impl Fn(&str) -> Option<String>) -> RegionSettings {
        let mut of_machine = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().filter_map(variable);
        let otherwise = of_machine.find(|region| !region.is_empty());
        RegionSettings {
            named: self.named.clone(),
            otherwise: otherwise.unwrap_or_else(|| "us-west-2".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ResolvedBucket;

    #[test]
    fn a_known_bucket_is_where_it_is_whatever_region_the_machine_is_in() {
        let table = BucketTable::built_in();
        let region = |bucket: &str, named: Option<&str>, variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let settings = RegionArg { named: named.map(Into::into) }.settings_with(variable);
            settings.of(&ResolvedBucket::new(bucket, "", table.get(bucket))).to_owned()
        };
        let (own, other) = (("AWS_REGION", "eu-central-1"), ("AWS_DEFAULT_REGION", "eu-west-1"));
        assert_eq!(region("bucket", None, &[]), "us-west-2");
        assert_eq!(region("bucket", None, &[other]), "eu-west-1");
        assert_eq!(region("bucket", None, &[own, other]), "eu-central-1");
        assert_eq!(region("bucket", None, &[("AWS_REGION", ""), other]), "eu-west-1");
        assert_eq!(region("podaac-ops-cumulus-protected", None, &[own, other]), "us-west-2");
        assert_eq!(region("podaac-ops-cumulus-protected", Some("us-east-1"), &[own]), "us-east-1");
    }
}
