//! What NASA has and where: the table of buckets, the data centers' names, CMR, and what a source
//! means.

pub mod bucket_table;
mod cmr;
pub mod daac;
pub mod resolve;
pub mod source;
mod untrusted_endpoint;

pub use bucket_table::BucketTable;
pub use resolve::{ResolvedBucket, ResolvedSource, resolve};
pub use source::{Location, Source};
pub use untrusted_endpoint::UntrustedEndpoint;
