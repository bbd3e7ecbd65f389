//! NASA's Earthdata buckets as a folder: a read-only FUSE filesystem that logs in, and stays logged
//! in, by itself.
//!
//! The modules, bottom up. A module imports only modules listed before it in this table, and each
//! foreign crate is named by one module (`tests/library/architecture.rs` enforces both).
//!
//! | module | holds | the only one that names |
//! |---|---|---|
//! | [`error`] | [`error::Error`], by what the caller can do about it, with its cause; the only errno table | libc, thiserror |
//! | [`object`] | prefixes, object versions, and which names a listing shows: pure | |
//! | [`weighted_lru`] | a least-recently-used map bounded by weight | lru |
//! | [`single_flight`] | one fetch at a time for a key; everyone who waits shares its answer | |
//! | [`http`] | the one client for NASA's web services, and which hosts may see a secret | reqwest, httpdate |
//! | [`login`] | who the user is, and the conversation that ends in temporary credentials | base64, jiff |
//! | [`catalog`] | what NASA has and where: bucket table, data centers, CMR, what a source means | strsim |
//! | [`credentials`] | a provider, one cache that renews in time, one fallback chain | aws-config |
//! | [`s3`] | one bucket: a page, a HEAD, a byte range; retries, hedges, resumed downloads | aws-sdk-s3 |
//! | [`connect`] | from a source and settings to buckets that answer | |
//! | [`listing`] | what is known about directories and names, and for how long | |
//! | [`governor`] | which guesses of what will be read are fetched, by what such guesses were worth | |
//! | [`cache`] | blocks of objects in memory, bounded in bytes; one fetch per block | |
//! | [`prefetch`] | what to fetch beside what was asked for | |
//! | [`reader`] | an open object: byte range -> blocks -> bytes | |
//! | [`inodes`] | inode numbers, and the nodes that the kernel knows by them | |
//! | [`filesystem`] | lookup, readdir, open, read in the filesystem's own words | |
//! | [`fuse`] | dispatch, the kernel's caches, mount and unmount | fuser |
//! | [`logging`] | where the log goes, and in which form | tracing-subscriber, syslog-tracing |
//! | [`cli`], [`commands`] | flags, environment, defaults; one file a verb | clap |
//!
//! Where to start reading: [`fuse`] shows how a request of the kernel comes in and how its error
//! goes out, [`filesystem::Filesystem`] what is done about it. `docs/architecture.md` follows one
//! read, one listing and the renewal of credentials through all of it.

pub mod cache;
pub mod catalog;
pub mod cli;
pub mod commands;
pub mod connect;
pub mod credentials;
pub mod error;
pub mod filesystem;
pub mod fuse;
pub mod governor;
pub mod http;
pub mod inodes;
pub mod listing;
pub mod logging;
pub mod login;
pub mod object;
pub mod prefetch;
pub mod reader;
pub mod s3;
pub mod single_flight;
pub mod weighted_lru;
