//! The real program on real mounts, against an archive on loopback. What it shows is looked at with `std::fs` and real tools only.
//!
//! Without /dev/fuse the tests print why and pass; with `GRANULEFS_REQUIRE_MOUNT` set they fail instead.

#[cfg(test)]
mod harness;

mod attributes;
mod failures;
mod lifecycle;
mod mountpoints;
mod names;
mod options;
mod others;
mod tools;
mod writing;
