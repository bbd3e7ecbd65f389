//! granulefs
pub mod credentials;
pub mod earthdata;
pub mod error;
pub mod flight;
pub mod object;
pub mod s3;
