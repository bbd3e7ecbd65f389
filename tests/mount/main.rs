//! The real program on real mounts, against an archive on loopback. What it shows is looked at with
//! `std::fs` and real tools only.
//!
//! Without /dev/fuse the tests print why and pass; with `GRANULEFS_REQUIRE_MOUNT` set they fail
//! instead.
#![cfg(test)]

mod apart;
mod attributes;
mod budgets;
mod collections;
mod credentials;
mod crowds;
mod doctor;
mod expiry;
mod failures;
mod harness;
mod lifecycle;
mod liveness;
mod many;
mod mountpoints;
mod names;
mod options;
mod others;
mod permissions;
mod reading;
mod refresh;
mod roles;
mod secrets;
mod sources;
mod tools;
mod urls;
mod writing;
