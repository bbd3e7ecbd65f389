//! The flags of `granulefs path`.

use std::path::PathBuf;

use clap::Args;

use super::{BucketTableArg, CmrArg};
use crate::catalog::Source;

/// `granulefs path`
#[derive(Debug, Args)]
pub struct PathArgs {
    /// An s3:// URL, a granule's https link, or its id in CMR
    pub url: Source,

    /// A directory where its bucket is mounted, or one in such a mount
    pub mountpoint: PathBuf,

    /// The catalogue.
    #[command(flatten)]
    pub cmr: CmrArg,

    /// The table of buckets.
    #[command(flatten)]
    pub table: BucketTableArg,
}
