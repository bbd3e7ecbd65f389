//! The flags of `granulefs credentials`.

use clap::{Args, ValueEnum};

use super::access::RegionArg;
use super::{EarthdataArgs, SOURCES};
use crate::catalog::Source;
use crate::connect::{S3Settings, Settings};
use crate::error::Error;

/// `granulefs credentials`
#[derive(Debug, Args)]
#[command(after_long_help = SOURCES)]
pub struct CredentialsArgs {
    /// What the credentials are to open: BUCKET/PREFIX, a granule's link, a collection, ... (see
    /// below)
    pub source: Source,

    /// The form in which they are printed
    #[arg(long, value_enum, default_value_t = Format::Env)]
    pub format: Format,

    /// Print secrets even when the output is a terminal
    #[arg(long)]
    pub show: bool,

    /// How Earthdata is asked.
    #[command(flatten)]
    pub earthdata: EarthdataArgs,

    /// The region.
    #[command(flatten)]
    region: RegionArg,
}

impl CredentialsArgs {
    /// Returns how the source is found and logged in to; its buckets are not asked.
    ///
    /// # Errors
    /// [`Error::Usage`] when the table of buckets cannot be read.
    pub fn settings(&self) -> Result<Settings, Error> {
        Ok(Settings {
            earthdata: self.earthdata.settings()?,
            s3: S3Settings {
                prefer_environment: false,
                region: self.region.settings(),
                endpoint_url: None,
                path_style: false,
            },
        })
    }
}

/// Who is to read the credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a shell: eval "$(granulefs credentials SOURCE)"
    Env,
    /// For a program, with the names that the /s3credentials endpoints use
    Json,
    /// For the credential_process of the AWS tools
    Process,
    /// A profile for ~/.aws/config, which asks granulefs for credentials whenever it needs them; it
    /// holds no secret
    AwsProfile,
}

pub(super) const ABOUT: &str = "\
Prints S3 credentials for other programs: boto3, the AWS CLI, GDAL, mountpoint-s3. They live for \
an hour and work only from inside the region; with the profile that --format aws-profile prints, \
the AWS tools ask granulefs for new ones by themselves.";
