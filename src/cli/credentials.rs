//! The flags of `granulefs credentials`.

use clap::{Args, ValueEnum};

use super::{EarthdataArgs, RegionArg, SOURCES};
use crate::catalog::Source;

/// `granulefs credentials`
#[derive(Debug, Args)]
#[command(after_long_help = SOURCES)]
pub struct CredentialsArgs {
    /// What to have credentials for (see below)
    pub source: Source,

    /// How to write them
    #[arg(long, value_enum, default_value_t = Format::Env)]
    pub format: Format,

    /// Print secrets also when the output is a terminal
    #[arg(long)]
    pub show: bool,

    /// How Earthdata is spoken to.
    #[command(flatten)]
    pub earthdata: EarthdataArgs,

    /// The region.
    #[command(flatten)]
    pub region: RegionArg,
}

/// Who is to read the credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A shell: eval "$(granulefs credentials SOURCE)"
    Env,
    /// A program, in the words of the /s3credentials endpoints
    Json,
    /// The AWS tools' credential_process
    Process,
    /// ~/.aws/config: a profile that asks granulefs for credentials whenever it needs them; holds
    /// no secret
    AwsProfile,
}

pub(super) const ABOUT: &str = "\
Prints S3 credentials for other programs: boto3, the AWS CLI, GDAL, mountpoint-s3. They live for an hour and work only from \
inside the region; with the profile that --format aws-profile prints, the AWS tools ask granulefs for new ones by themselves.";
