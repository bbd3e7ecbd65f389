//! Tests of the real program on real mounts, against the fake DAAC. They use the mounts through
//! `std::fs` and real tools only.
//!
//! Without /dev/fuse the tests print a message and pass; with `GRANULEFS_REQUIRE_MOUNT` set they
//! fail instead.
#![cfg(test)]

mod attributes;
mod buckets_and_path;
mod collections;
mod concurrent_readers;
mod copies;
mod credential_expiry;
mod credential_fallback;
mod credentials_command;
mod doctor;
mod failure_isolation;
mod harness;
mod identity_changes;
mod lifecycle;
mod liveness;
mod log;
mod mount_8;
mod mount_errors;
mod mountpoints;
mod names;
mod odd_stores;
mod options;
mod other_users;
mod permissions;
mod proxies;
mod reading;
mod refresh;
mod request_budgets;
mod secrets;
mod several_buckets;
mod sources;
mod tools;
mod writing;
mod written_identities;
