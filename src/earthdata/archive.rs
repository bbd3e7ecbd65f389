//! Which endpoint hands out credentials for which bucket.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What is known about a bucket.
#[derive(Debug, serde::Deserialize)]
pub struct Known {
    /// The /s3credentials URL.
    pub endpoint: String,
    /// The AWS region.
    pub region: String,
}

/// From a sweep of 9,846 CMR collections, August 2026.
static TABLE: LazyLock<BTreeMap<String, Known>> =
    LazyLock::new(|| serde_json::from_str(include_str!("buckets.json")).unwrap_or_default());

/// Looks `bucket` up in the compiled-in table.
#[must_use]
pub fn known(bucket: &str) -> Option<&'static Known> {
    TABLE.get(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_readable_and_knows_the_field() {
        assert_eq!(TABLE.len(), 36);
        assert!(TABLE.values().all(|k| k.endpoint.starts_with("https://") && k.region == "us-west-2"));
        let endpoint = &known("podaac-ops-cumulus-protected").unwrap().endpoint;
        assert_eq!(endpoint, "https://archive.podaac.earthdata.nasa.gov/s3credentials");
        assert!(known("no-such-bucket").is_none());
    }
}
