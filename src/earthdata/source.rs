//! A bucket and where in it, as people write it.

use std::str::FromStr;

use crate::object::Prefix;

/// A bucket and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The bucket's name.
    pub bucket: String,
    /// Empty for the whole bucket.
    pub prefix: Prefix,
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("s3://").unwrap_or(text);
        if path.contains("://") {
            return Err("write it as BUCKET/PREFIX or s3://BUCKET/PREFIX".into());
        }
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        let is_bucket = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_');
        if bucket.len() < 3 || bucket.len() > 63 || !bucket.chars().all(is_bucket) {
            return Err(format!("{bucket:?} is no bucket name (3 to 63 of a-z, 0-9, - and .)"));
        }
        Ok(Self { bucket: bucket.into(), prefix: Prefix::new(prefix) })
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_written_in_many_ways() {
        for text in ["bucket/a/b", "bucket/a/b/", "s3://bucket/a/b", "s3://bucket/a/b/"] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), "s3://bucket/a/b/", "{text}");
        }
        for text in ["bucket", "bucket/", "s3://bucket", "s3://bucket/"] {
            assert_eq!(text.parse::<Location>().unwrap().prefix, Prefix::new(""), "{text}");
        }
        for text in ["", "s3://", "/a", "https://bucket/a", "BUCKET/a", "a/b"] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }
}
