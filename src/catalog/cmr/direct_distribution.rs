//! What a collection's record states about where its data are in S3: CMR's
//! `DirectDistributionInformation`, which people fill in by hand.

use serde::Deserialize;

use super::records::Link;
use crate::catalog::bucket_table::BucketTable;
use crate::catalog::location::{Location, is_bucket_name};
use crate::object::Prefix;

/// What a collection's record states about where its data are in S3. It may be wrong: the links of
/// the granules are what counts.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "DirectDistributionInformation")]
pub(super) struct DirectDistribution {
    /// The stated prefixes, split into one text for each.
    prefixes: Vec<String>,
    /// The stated prefixes as the record writes them.
    pub(super) prefixes_text: String,
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DirectDistributionInformation {
    region: Option<String>,
    #[serde(rename = "S3BucketAndObjectPrefixNames")]
    prefixes: Option<Vec<String>>,
    #[serde(rename = "S3CredentialsAPIEndpoint")]
    endpoint: Option<String>,
}

impl From<DirectDistributionInformation> for DirectDistribution {
    fn from(information: DirectDistributionInformation) -> Self {
        let filled = |field: Option<String>| {
            field.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let texts = information.prefixes.unwrap_or_default();
        let prefixes = texts.iter().flat_map(|text| text.split([',', ';', ' ', '\n']));
        Self {
            prefixes: prefixes.filter(|text| !text.is_empty()).map(str::to_owned).collect(),
            prefixes_text: texts.join(", "),
            endpoint: filled(information.endpoint),
            region: filled(information.region),
        }
    }
}

impl DirectDistribution {
    /// Returns the stated prefixes. `bucket` is a bucket that exists, beside those of the table.
    pub(super) fn locations(&self, table: &BucketTable, bucket: Option<&str>) -> Vec<Location> {
        self.prefixes.iter().filter_map(|text| parse_location(text, table, bucket)).collect()
    }

    /// Returns the longest stated prefix that holds `link`.
    pub(super) fn prefix_of(&self, link: &Link, table: &BucketTable) -> Option<Prefix> {
        self.locations(table, Some(&link.bucket))
            .into_iter()
            .filter(|stated| stated.bucket == link.bucket)
            .map(|stated| stated.prefix)
            .filter(|prefix| link.key.starts_with(prefix.as_str()))
            .max_by_key(|prefix| prefix.as_str().len())
    }

    /// One that states these prefixes.
    #[cfg(test)]
    pub(super) fn of(prefixes: &[&str]) -> Self {
        Self { prefixes: prefixes.iter().map(|text| (*text).into()).collect(), ..Self::default() }
    }
}

/// Parses what people have typed: with or without `s3://`, with or without a last slash, with or
/// without a slash between bucket and prefix.
fn parse_location(text: &str, table: &BucketTable, bucket: Option<&str>) -> Option<Location> {
    let text = text.trim_matches(['"', '\'', '*']);
    let text = text
        .get(..5)
        .filter(|scheme| scheme.eq_ignore_ascii_case("s3://"))
        .map_or(text, |_| &text[5..]);
    let text = text.trim_start_matches('/');
    let (first, prefix) = text.split_once('/').unwrap_or((text, ""));
    let is_known = |name: &str| bucket == Some(name) || table.get(name).is_some();
    if is_known(first) {
        return Some(Location::new(first, prefix));
    }
    let known = table.iter().map(|(name, _)| name).chain(bucket);
    let without_slash = known.filter(|name| {
        text.strip_prefix(name).is_some_and(|rest| rest.starts_with(char::is_alphanumeric))
    });
    match without_slash.max_by_key(|name| name.len()) {
        Some(name) => Some(Location::new(name, &text[name.len()..])),
        None => is_bucket_name(first).then(|| Location::new(first, prefix)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::{Answer, CollectionRecord};
    use super::*;

    const COLLECTIONS: &str = include_str!("recorded/collections-poc.json");

    #[test]
    fn recorded_collections_state_where_they_are() {
        let answer: Answer<CollectionRecord> = serde_json::from_str(COLLECTIONS).unwrap();
        let table = BucketTable::built_in();
        assert_eq!(answer.items.len(), 20);
        for record in &answer.items {
            let stated = record.umm.direct.as_ref().unwrap();
            let locations = stated.locations(&table, None);
            assert_eq!(locations.len(), 2, "{}", record.umm.short_name);
            for location in locations {
                let info = table.get(&location.bucket).unwrap();
                assert_eq!(
                    Some(&info.endpoint),
                    stated.endpoint.as_ref(),
                    "{}",
                    record.umm.short_name
                );
                assert_eq!(Some(&info.region), stated.region.as_ref());
                assert!(
                    location.prefix.as_str().ends_with('/')
                        && !location.prefix.as_str().starts_with('/')
                );
            }
        }
    }

    #[test]
    fn a_prefix_is_read_however_it_was_typed() {
        let table = BucketTable::built_in();
        let read = |text: &str| {
            parse_location(text, &table, Some("b-new")).map(|location| location.to_string())
        };
        for text in [
            "lp-prod-protected/HLSS30.020/",
            "lp-prod-protected/HLSS30.020",
            "s3://lp-prod-protected/HLSS30.020/",
            "S3://lp-prod-protected/HLSS30.020",
            "s3://lp-prod-protectedHLSS30.020/",
            "lp-prod-protectedHLSS30.020",
            "/lp-prod-protected/HLSS30.020/*",
            "\"lp-prod-protected/HLSS30.020/\"",
        ] {
            assert_eq!(read(text).as_deref(), Some("s3://lp-prod-protected/HLSS30.020/"), "{text}");
        }
        assert_eq!(
            read("ghrcw-protectednalma__1/").as_deref(),
            Some("s3://ghrcw-protected/nalma__1/")
        );
        assert_eq!(read("b-newX/Y").as_deref(), Some("s3://b-new/X/Y/"));
        assert_eq!(read("ob-cumulus-prod-public").as_deref(), Some("s3://ob-cumulus-prod-public/"));
        // Nothing distinguishes this from a bucket of its own.
        assert_eq!(read("lp-protected-2/X").as_deref(), Some("s3://lp-protected-2/X/"));
        for text in ["", "/", "s3://", "HLSS30.020/", "a/b"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
