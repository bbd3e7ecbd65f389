//! A bucket and a prefix in it, and which names a bucket can have.

use std::fmt;

use crate::error::{Error, Problem};
use crate::object::Prefix;

/// A bucket and a prefix in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The bucket's name.
    pub bucket: String,
    /// Empty for the whole bucket.
    pub prefix: Prefix,
}

impl Location {
    /// Returns the location `prefix` of `bucket`, with or without a last slash.
    #[must_use]
    pub fn new(bucket: &str, prefix: &str) -> Self {
        Self { bucket: bucket.into(), prefix: Prefix::new(prefix) }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix.as_str())
    }
}

/// Returns `name` if a bucket can have it.
pub(super) fn parse_bucket_name(name: &str) -> Result<String, Error> {
    match is_bucket_name(name) {
        true => Ok(name.into()),
        false => Err(Error::usage(invalid_bucket_name(name))),
    }
}

/// Returns what is wrong with a name that no bucket can have.
pub(super) fn invalid_bucket_name(name: &str) -> Problem {
    Problem::new(format!("{name:?} is no bucket name (3 to 63 of a-z, 0-9, - and .)"))
}

/// Returns whether a bucket can have this name. Buckets from before 2018 may hold an underscore.
pub(super) fn is_bucket_name(name: &str) -> bool {
    let may_hold =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_');
    (3..=63).contains(&name.len()) && name.chars().all(may_hold)
}
