//! The bucket table: which endpoint hands out the credentials for which bucket.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::location::{invalid_bucket_name, is_bucket_name};
use super::{daac, similar};
use crate::error::{Error, Problem};
use crate::http::Url;
use crate::http::host::host_of;

/// What is known about a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct BucketInfo {
    /// The /s3credentials URL.
    pub endpoint: String,
    /// The /s3credentials URL of another host that hands out credentials for the bucket as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_endpoint: Option<String>,
    /// CMR's ids of the providers that publish there.
    #[serde(default)]
    pub providers: Vec<String>,
    /// The AWS region.
    pub region: String,
}

impl BucketInfo {
    /// Returns the data center's name; the provider's id where the data center is not NASA's, and
    /// `-` where there is no provider.
    #[must_use]
    pub fn daac(&self) -> &str {
        let name = self.providers.iter().find_map(|provider| daac::name_of(provider));
        name.or(self.providers.first().map(String::as_str)).unwrap_or("-")
    }

    /// Returns the endpoint's `host` or `host:port`; empty when the endpoint is no URL.
    pub(super) fn host(&self) -> String {
        Url::parse(&self.endpoint).map(|url| host_of(&url)).unwrap_or_default()
    }

    fn belongs_to(&self, daac: &str) -> bool {
        let own = self.daac();
        daac::is_same(own, daac) || daac::name_of(daac) == Some(own)
    }
}

/// A sweep of 9,846 CMR collections in August 2026 gave this.
static BUILT_IN: LazyLock<BucketTable> =
    LazyLock::new(|| serde_json::from_str(include_str!("buckets.json")).unwrap_or_default());

/// What is known about buckets, by name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct BucketTable(BTreeMap<String, BucketInfo>);

impl BucketTable {
    /// Returns the compiled-in table.
    #[must_use]
    pub fn built_in() -> Self {
        BUILT_IN.clone()
    }

    /// Reads a table from a JSON file: `{"BUCKET": {"endpoint": URL, "providers": [ID, ...],
    /// "region": NAME}}`.
    ///
    /// # Errors
    /// [`Error::Usage`] when the file cannot be read, is no such JSON, or holds a name that no
    /// bucket can have.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let problem = || Problem::new("cannot read the table of buckets").about(path.display());
        let text =
            std::fs::read_to_string(path).map_err(|e| Error::usage(problem().caused_by(e)))?;
        let table: Self =
            serde_json::from_str(&text).map_err(|e| Error::usage(problem().caused_by(e)))?;
        if let Some((bucket, _)) = table.iter().find(|(bucket, _)| !is_bucket_name(bucket)) {
            return Err(Error::usage(problem().caused_by(invalid_bucket_name(bucket))));
        }
        Ok(table)
    }

    /// Returns what is known about `bucket`.
    #[must_use]
    pub fn get(&self, bucket: &str) -> Option<&BucketInfo> {
        self.0.get(bucket)
    }

    /// Returns every bucket, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BucketInfo)> {
        self.0.iter().map(|(bucket, info)| (bucket.as_str(), info))
    }

    /// Returns the buckets of a data center, however its name is written.
    pub fn of_daac(&self, daac: &str) -> impl Iterator<Item = (&str, &BucketInfo)> {
        self.iter().filter(move |(_, info)| info.belongs_to(daac))
    }

    /// Returns the buckets that `text` may mean: those of the data center with that name, or else
    /// those that have `text` in their name, endpoint or provider.
    #[must_use]
    pub fn matching(&self, text: &str) -> Self {
        let has = |field: &str| field.to_lowercase().contains(&text.to_lowercase());
        let is_daac = self.of_daac(text).next().is_some();
        let is_meant = |bucket: &str, info: &BucketInfo| match is_daac {
            true => info.belongs_to(text),
            false => {
                has(bucket)
                    || has(&info.endpoint)
                    || info.providers.iter().any(|provider| has(provider))
            }
        };
        let meant = self.iter().filter(|(bucket, info)| is_meant(bucket, info));
        Self(meant.map(|(bucket, info)| (bucket.to_owned(), info.clone())).collect())
    }

    /// Returns the bucket or the data center that `word` is almost the name of.
    #[must_use]
    pub fn similar_to(&self, word: &str) -> Option<String> {
        similar::source(word, self)
    }

    /// Returns whether it has no bucket.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_is_readable() {
        let table = BucketTable::built_in();
        assert_eq!(table.iter().count(), 37);
        assert!(
            table.iter().all(
                |(_, info)| info.endpoint.starts_with("https://") && info.region == "us-west-2"
            )
        );
        let info = table.get("podaac-ops-cumulus-protected").unwrap();
        assert_eq!(info.endpoint, "https://archive.podaac.earthdata.nasa.gov/s3credentials");
        assert_eq!(
            (info.daac(), info.host().as_str()),
            ("PODAAC", "archive.podaac.earthdata.nasa.gov")
        );
        assert!(table.get("no-such-bucket").is_none());
    }

    #[test]
    fn every_bucket_has_a_data_center_and_every_data_center_a_bucket() {
        let table = BucketTable::built_in();
        for (bucket, info) in table.iter() {
            assert_eq!(daac::name_of(info.daac()), Some(info.daac()), "{bucket}");
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
    fn a_data_center_in_a_users_table_keeps_its_name() {
        let text = r#"{
            "b-1": {
                "endpoint": "https://d.org/s3credentials",
                "providers": ["My Lab"],
                "region": "eu-central-1"
            },
            "b-2": {
                "endpoint": "https://e.org:444/s3credentials",
                "region": "us-west-2",
                "daac": "ignored"
            }
        }"#;
        let table: BucketTable = serde_json::from_str(text).unwrap();
        assert_eq!(table.of_daac("my_lab").map(|(bucket, _)| bucket).collect::<Vec<_>>(), ["b-1"]);
        assert_eq!(
            (table.get("b-2").unwrap().daac(), table.get("b-2").unwrap().host().as_str()),
            ("-", "e.org:444")
        );
    }
}
