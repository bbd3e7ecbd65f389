//! The flags of `granulefs buckets`.

use clap::Args;

use super::BucketTableArg;

/// `granulefs buckets`
#[derive(Debug, Args)]
pub struct BucketsArgs {
    /// List only the buckets of a data center (PODAAC, LP DAAC, ...), or those that have this text
    /// in their name, endpoint or provider
    pub wanted: Option<String>,

    /// Print JSON, in the form that --buckets-file reads
    #[arg(long)]
    pub json: bool,

    /// The table of buckets.
    #[command(flatten)]
    pub table: BucketTableArg,
}
