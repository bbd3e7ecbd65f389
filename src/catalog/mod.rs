//! What NASA has and where: the bucket table, the data centers' names, CMR, and what a source
//! means.

mod bucket_table;
mod cmr;
mod collection;
pub mod daac;
mod granule;
mod link;
mod link_prefixes;
mod locate;
mod location;
mod resolve;
mod resolve_link;
mod resolved;
mod similar;
mod source;
mod system;
mod untrusted_endpoint;

pub use bucket_table::{BucketInfo, BucketTable};
pub use cmr::BucketPrefixes;
pub use collection::Collection;
pub use granule::Granule;
pub use link::is_link_without_scheme;
pub use location::Location;
pub use resolve::{resolve, resolve_offline};
pub use resolved::{ResolvedBucket, ResolvedSource};
pub use source::Source;
pub use untrusted_endpoint::UntrustedEndpoint;
