//! NASA's Earthdata buckets as a folder: a read-only FUSE filesystem that logs in, and stays logged
//! in, by itself.
//!
//! The rooms of the house, bottom up. A module imports only from modules above it in this table,
//! and each foreign crate has one door (`tests/fast/architecture.rs` sees to both).
//!
//! | module | holds |
//! |---|---|
//! | [`error`] | [`error::Error`], by what the caller can do; the only errno table; every refusal in words that say what to do |
//! | [`object`] | prefixes, object versions, and which names a listing shows |
//! | [`bounded`] | a least-recently-used map bounded by weight |
//! | [`flight`] | one flight, one answer: who waits for the same thing shares it |
//! | [`earthdata`] | identity, the login conversation, bucket -> endpoint |
//! | [`credentials`] | hand out, age and swap session credentials |
//! | [`s3`] | one bucket: a page, a HEAD, a byte range; retries, renewals, resumed downloads |
//! | [`listing`] | what is known about directories, and for how long |
//! | [`cache`] | blocks of files in memory |
//! | [`reader`] | an open file: ranges -> blocks -> bytes, read-ahead |
//! | [`inodes`] | inode numbers |
//! | [`volume`] | the filesystem in its own words |
//! | [`fuse`] | the kernel's door: decode, run, reply; mount and unmount |
//! | [`cli`], [`commands`] | flags and defaults; one file a verb |
//!
//! Where to start reading: [`fuse`] shows how a request comes in and how its error goes out,
//! [`volume::Filesystem`] what is done about it. `docs/architecture.md` follows one read and one
//! swap of credentials through all of it.

pub mod cache;
pub mod catalog;
pub mod cli;
pub mod commands;
pub mod connect;
pub mod credentials;
pub mod error;
pub mod filesystem;
pub mod fuse;
pub mod http;
pub mod inodes;
pub mod listing;
pub mod login;
pub mod object;
pub mod prefetch;
pub mod reader;
pub mod s3;
pub mod single_flight;
pub mod weighted_lru;
