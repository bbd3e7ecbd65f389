//! granulefs
pub mod bounded;
pub mod cache;
pub mod cli;
pub mod commands;
pub mod credentials;
pub mod earthdata;
pub mod error;
pub mod flight;
pub mod fuse;
pub mod inodes;
pub mod listing;
pub mod object;
pub mod reader;
pub mod s3;
pub mod volume;
