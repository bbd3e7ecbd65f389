//! What NASA has and where: the bucket table, the data centers' names, CMR, and what a source
//! means.

mod bucket_table;
mod cmr;
mod collection;
pub mod daac;
mod location;
mod resolve;
mod resolved;
mod source;
mod system;
mod untrusted_endpoint;

pub use bucket_table::{BucketInfo, BucketTable};
pub use collection::Collection;
pub use location::Location;
pub use resolve::{resolve, resolve_offline};
pub use resolved::{ResolvedBucket, ResolvedSource};
pub use source::Source;
pub use untrusted_endpoint::UntrustedEndpoint;
