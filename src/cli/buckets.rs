//! The flags of `granulefs buckets`.

use clap::Args;

use super::BucketsFile;

/// `granulefs buckets`
#[derive(Debug, Args)]
pub struct BucketsArgs {
    /// Only those of a data center (PODAAC, LP DAAC, ...), or with this text in name, endpoint or
    /// provider
    pub wanted: Option<String>,

    /// As JSON, in the shape that --buckets-file reads
    #[arg(long)]
    pub json: bool,

    /// The table of buckets.
    #[command(flatten)]
    pub buckets: BucketsFile,
}
