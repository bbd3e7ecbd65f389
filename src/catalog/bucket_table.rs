//! The table of buckets: which endpoint hands out credentials for which one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::daac;
use super::source::is_bucket_name;
use crate::error::Error;
use crate::http::host::host_of;

/// What is known about a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct BucketInfo {
    /// The /s3credentials URL.
    pub endpoint: String,
    /// CMR's ids of those who publish there.
    #[serde(default)]
    pub providers: Vec<String>,
    /// The AWS region.
    pub region: String,
}

impl BucketInfo {
    /// The data center's name, or its provider id where it is none of NASA's.
    #[must_use]
    pub fn daac(&self) -> &str {
        let named = self.providers.iter().find_map(|provider| daac::name_of(provider));
        named.or(self.providers.first().map(String::as_str)).unwrap_or("-")
    }

    /// `host` or `host:port` of the endpoint; empty when it is no URL.
    pub(super) fn host(&self) -> String {
        Url::parse(&self.endpoint).map(|url| host_of(&url)).unwrap_or_default()
    }

    fn is_of(&self, daac: &str) -> bool {
        let own = self.daac();
        daac::is_same(own, daac) || daac::name_of(daac) == Some(own)
    }
}

/// From a sweep of 9,846 CMR collections, August 2026.
static BUILT_IN: LazyLock<BucketTable> =
    LazyLock::new(|| serde_json::from_str(include_str!("buckets.json")).unwrap_or_default());

/// What is known about buckets, by their names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct BucketTable(BTreeMap<String, BucketInfo>);

impl BucketTable {
    /// The compiled-in table.
    #[must_use]
    pub fn built_in() -> Self {
        BUILT_IN.clone()
    }

    /// The table in a file of the shape of `buckets.json`: `{"BUCKET": {"endpoint": URL,
    /// "providers": [ID, ...], "region": NAME}}`.
    ///
    /// # Errors
    /// [`Error::Usage`] when it cannot be read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let failed = |e: &dyn std::fmt::Display| {
            Error::usage(format!("cannot read the table of buckets {}: {e}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|e| failed(&e))?;
        let table: Self = serde_json::from_str(&text).map_err(|e| failed(&e))?;
        let strange = table.iter().find(|(bucket, _)| !is_bucket_name(bucket));
        strange
            .map_or(Ok(()), |(bucket, _)| Err(failed(&format!("{bucket:?} is no bucket name"))))?;
        Ok(table)
    }

    /// What is known about `bucket`.
    #[must_use]
    pub fn get(&self, bucket: &str) -> Option<&BucketInfo> {
        self.0.get(bucket)
    }

    /// Every bucket, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BucketInfo)> {
        self.0.iter().map(|(bucket, known)| (bucket.as_str(), known))
    }

    /// The buckets of a data center, however its name is written.
    pub fn of_daac(&self, daac: &str) -> impl Iterator<Item = (&str, &BucketInfo)> {
        self.iter().filter(move |(_, known)| known.is_of(daac))
    }

    /// The buckets that `text` may mean: those of the data center, or else those that have it in
    /// name, endpoint or provider.
    #[must_use]
    pub fn matching(&self, text: &str) -> Self {
        let has = |field: &str| field.to_lowercase().contains(&text.to_lowercase());
        let is_daac = self.of_daac(text).next().is_some();
        let is_meant = |bucket: &str, known: &BucketInfo| match is_daac {
            true => known.is_of(text),
            false => {
                has(bucket)
                    || has(&known.endpoint)
                    || known.providers.iter().any(|provider| has(provider))
            }
        };
        let meant = self.iter().filter(|(bucket, known)| is_meant(bucket, known));
        Self(meant.map(|(bucket, known)| (bucket.to_owned(), known.clone())).collect())
    }

    /// Whether it knows no bucket.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_readable_and_knows_the_field() {
        let table = BucketTable::built_in();
        assert_eq!(table.iter().count(), 36);
        assert!(table.iter().all(
            |(_, known)| known.endpoint.starts_with("https://") && known.region == "us-west-2"
        ));
        let known = table.get("podaac-ops-cumulus-protected").unwrap();
        assert_eq!(known.endpoint, "https://archive.podaac.earthdata.nasa.gov/s3credentials");
        assert_eq!(
            (known.daac(), known.host().as_str()),
            ("PODAAC", "archive.podaac.earthdata.nasa.gov")
        );
        assert!(table.get("no-such-bucket").is_none());
    }

    #[test]
    fn every_bucket_has_a_data_center_and_every_data_center_a_bucket() {
        let table = BucketTable::built_in();
        for (bucket, known) in table.iter() {
            assert_eq!(daac::name_of(known.daac()), Some(known.daac()), "{bucket}");
        }
        for name in daac::names() {
            assert!(table.of_daac(name).next().is_some(), "{name}");
        }
        let podaac = table.of_daac("PO.DAAC").map(|(bucket, _)| bucket).collect::<Vec<_>>();
        assert_eq!(podaac.len(), 5, "{podaac:?}");
        assert!(podaac.iter().all(|bucket| bucket.starts_with("podaac-")), "{podaac:?}");
    }

    #[test]
    fn buckets_are_searched_by_data_center_or_by_any_part() {
        let names = |text| BucketTable::built_in().matching(text).0.into_keys().collect::<Vec<_>>();
        assert_eq!(
            names("LP DAAC"),
            ["lp-prod-protected", "lp-prod-public", "lp-protected", "lp-public"]
        );
        assert_eq!(
            names("SWOT"),
            ["podaac-swot-ops-cumulus-protected", "podaac-swot-ops-cumulus-public"]
        );
        assert_eq!(names("sciops"), ["podaac-ops-cumulus-protected", "podaac-ops-cumulus-public"]);
        assert_eq!(names("nothing"), [""; 0]);
    }

    #[test]
    fn a_data_center_of_an_own_table_has_its_own_name() {
        let text = r#"{"b-1": {"endpoint": "https://d.org/s3credentials", "providers": ["My Lab"], "region": "eu-central-1"},
                       "b-2": {"endpoint": "https://e.org:444/s3credentials", "region": "us-west-2", "daac": "ignored"}}"#;
        let table: BucketTable = serde_json::from_str(text).unwrap();
        assert_eq!(table.of_daac("my_lab").map(|(bucket, _)| bucket).collect::<Vec<_>>(), ["b-1"]);
        assert_eq!(
            (table.get("b-2").unwrap().daac(), table.get("b-2").unwrap().host().as_str()),
            ("-", "e.org:444")
        );
    }
}
