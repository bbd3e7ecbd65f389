//! The flags of `granulefs path`.

use std::path::PathBuf;

use clap::Args;

use super::BucketsFile;
use crate::catalog::Source;

/// `granulefs path`
#[derive(Debug, Args)]
pub struct PathArgs {
    /// An s3:// URL, or a granule's https link
    pub url: Source,

    /// Where a bucket is mounted that has it, or a directory in there
    pub mountpoint: PathBuf,

    /// The table of buckets.
    #[command(flatten)]
    pub buckets: BucketsFile,
}
