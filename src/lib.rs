//! granulefs
pub mod bounded;
pub mod cache;
pub mod credentials;
pub mod earthdata;
pub mod error;
pub mod flight;
pub mod inodes;
pub mod listing;
pub mod object;
pub mod reader;
pub mod s3;
pub mod volume;
