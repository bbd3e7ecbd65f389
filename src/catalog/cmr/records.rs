//! CMR's answers, and the truth in them.

use serde::Deserialize;

use crate::catalog::bucket_table::BucketTable;
use crate::catalog::source::{Location, is_bucket_name};
use crate::object::Prefix;

/// What a search answers.
#[derive(Debug, Deserialize)]
pub(super) struct Answer<T> {
    pub(super) items: Vec<T>,
}

/// A collection.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    pub(super) meta: Meta,
    pub(super) umm: Umm,
}

#[derive(Debug, Deserialize)]
pub(super) struct Meta {
    #[serde(rename = "concept-id")]
    pub(super) concept_id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Umm {
    #[serde(rename = "ShortName")]
    pub(super) short_name: String,
    #[serde(rename = "Version", default)]
    pub(super) version: String,
    #[serde(rename = "DirectDistributionInformation")]
    pub(super) direct: Option<Direct>,
}

/// `DirectDistributionInformation`
#[derive(Debug, Deserialize)]
pub(super) struct Direct {
    #[serde(rename = "Region")]
    region: Option<String>,
    #[serde(rename = "S3BucketAndObjectPrefixNames")]
    prefixes: Option<Vec<String>>,
    #[serde(rename = "S3CredentialsAPIEndpoint")]
    endpoint: Option<String>,
}

/// A granule.
#[derive(Debug, Deserialize)]
pub(super) struct GranuleRecord {
    umm: GranuleUmm,
}

#[derive(Debug, Deserialize)]
struct GranuleUmm {
    #[serde(rename = "RelatedUrls", default)]
    urls: Vec<RelatedUrl>,
}

#[derive(Debug, Deserialize)]
struct RelatedUrl {
    #[serde(rename = "URL", default)]
    url: String,
    #[serde(rename = "Type", default)]
    kind: String,
}

/// Where in S3 a file of a granule is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) bucket: String,
    pub(super) key: String,
}

impl Link {
    /// Reads an `s3://` link.
    pub(super) fn read(url: &str) -> Option<Self> {
        let (bucket, key) = url.strip_prefix("s3://")?.split_once('/')?;
        Some(Self { bucket: bucket.into(), key: key.into() })
    }

    fn is_sidecar(&self) -> bool {
        SIDECARS.iter().any(|end| self.key.ends_with(end))
    }
}

/// What lies beside data, often in a bucket of its own, and is none.
const SIDECARS: [&str; 6] = [".md5", ".sha256", ".cmr.xml", ".cmr.json", ".dmrpp", ".iso.xml"];

impl GranuleRecord {
    /// The files of data that the granule offers in S3.
    pub(super) fn direct_links(&self) -> impl Iterator<Item = Link> {
        let direct =
            self.umm.urls.iter().filter(|related| related.kind == "GET DATA VIA DIRECT ACCESS");
        direct.filter_map(|related| Link::read(&related.url)).filter(|link| !link.is_sidecar())
    }
}

/// Why CMR refused a search, in its own words.
pub(super) fn complaint(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Complaint {
        errors: Vec<String>,
    }
    serde_json::from_str::<Complaint>(text).ok().map(|complaint| complaint.errors.join("; "))
}

/// What a collection's record says about where it is.
#[derive(Debug, Default)]
pub(super) struct Hints {
    /// Free text, taken apart.
    prefixes: Vec<String>,
    /// The same as it stands in the record.
    pub(super) told: String,
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
}

impl Hints {
    pub(super) fn new(direct: Option<&Direct>) -> Self {
        let Some(direct) = direct else { return Self::default() };
        let filled = |field: &Option<String>| {
            field.as_deref().map(str::trim).filter(|field| !field.is_empty()).map(str::to_owned)
        };
        let told =
            direct.prefixes.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ");
        let words = direct.prefixes.iter().flatten();
        let prefixes = words
            .flat_map(|text| text.split([',', ';', ' ', '\n']))
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
        Self {
            prefixes: prefixes.collect(),
            told,
            endpoint: filled(&direct.endpoint),
            region: filled(&direct.region),
        }
    }

    /// The prefixes, where `bucket` is one that is known beside those of the table.
    pub(super) fn locations(&self, table: &BucketTable, bucket: Option<&str>) -> Vec<Location> {
        self.prefixes.iter().filter_map(|text| location(text, table, bucket)).collect()
    }

    /// The narrowest prefix that holds `link`.
    pub(super) fn bearing(&self, link: &Link, table: &BucketTable) -> Option<Prefix> {
        let locations = self.locations(table, Some(&link.bucket)).into_iter();
        let bearing = locations.filter(|hint| {
            hint.bucket == link.bucket && link.key.starts_with(hint.prefix.as_str())
        });
        bearing.map(|hint| hint.prefix).max_by_key(|prefix| prefix.as_str().len())
    }

    /// A record that says this.
    #[cfg(test)]
    pub(super) fn of(prefixes: &[&str]) -> Self {
        Self { prefixes: prefixes.iter().map(|text| (*text).into()).collect(), ..Self::default() }
    }
}

/// Reads what people have typed: with or without `s3://`, with or without a last slash, with or
/// without one behind the bucket.
fn location(text: &str, table: &BucketTable, bucket: Option<&str>) -> Option<Location> {
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
    let run_together = known.filter(|name| {
        text.strip_prefix(name).is_some_and(|rest| rest.starts_with(char::is_alphanumeric))
    });
    match run_together.max_by_key(|name| name.len()) {
        Some(name) => Some(Location::new(name, &text[name.len()..])),
        None => is_bucket_name(first).then(|| Location::new(first, prefix)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLLECTIONS: &str = include_str!("recorded/collections-poc.json");

    fn recorded_granules(text: &str) -> Vec<GranuleRecord> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Recorded {
            WithHeaders { body: Answer<GranuleRecord> },
            Bare(Answer<GranuleRecord>),
        }
        let (Recorded::WithHeaders { body: answer } | Recorded::Bare(answer)) =
            serde_json::from_str(text).unwrap();
        answer.items
    }

    #[test]
    fn the_recorded_collections_tell_where_they_are() {
        let answer: Answer<Record> = serde_json::from_str(COLLECTIONS).unwrap();
        let table = BucketTable::built_in();
        assert_eq!(answer.items.len(), 20);
        for record in &answer.items {
            let hints = Hints::new(record.umm.direct.as_ref());
            let locations = hints.locations(&table, None);
            assert_eq!(locations.len(), 2, "{}", record.umm.short_name);
            for location in locations {
                let known = table.get(&location.bucket).unwrap();
                assert_eq!(
                    Some(&known.endpoint),
                    hints.endpoint.as_ref(),
                    "{}",
                    record.umm.short_name
                );
                assert_eq!(Some(&known.region), hints.region.as_ref());
                assert!(
                    location.prefix.as_str().ends_with('/')
                        && !location.prefix.as_str().starts_with('/')
                );
            }
        }
    }

    /// Those of TELLUS are data in two buckets; those of Daymet and IMERG have their sums only in
    /// another one.
    #[test]
    fn the_recorded_granules_tell_which_buckets_they_need() {
        for (text, needed) in [
            (
                include_str!("recorded/granules-tellus.json"),
                &[
                    ("podaac-ops-cumulus-protected", "TELLUS_GRAC_L3_JPL_RL06_LND_v04/GRD-3_"),
                    ("podaac-ops-cumulus-public", "TELLUS_GRAC_L3_JPL_RL06_LND_v04/GRD-3_"),
                ][..],
            ),
            (
                include_str!("recorded/granules-daymet.json"),
                &[("ornl-cumulus-prod-protected", "daymet/Daymet_Daily_V4R1/data/")],
            ),
            (
                include_str!("recorded/granule-imerg.json"),
                &[("gesdisc-cumulus-prod-protected", "GPM_L3/GPM_3IMERGHH.06/2019/051/3B-")],
            ),
        ] {
            for granule in recorded_granules(text) {
                let links = granule.direct_links().collect::<Vec<_>>();
                let is_at = |link: &Link, (bucket, key): &(&str, &str)| {
                    link.bucket == *bucket && link.key.starts_with(key)
                };
                assert!(
                    links.iter().all(|link| needed.iter().any(|place| is_at(link, place))),
                    "{links:?}"
                );
                assert!(
                    needed.iter().all(|place| links.iter().any(|link| is_at(link, place))),
                    "{links:?}"
                );
            }
        }
    }

    #[test]
    fn sums_and_metadata_are_no_data() {
        let files = [
            "x.nc",
            "x.nc.md5",
            "x.nc.sha256",
            "x.cmr.xml",
            "x.cmr.json",
            "x.nc.dmrpp",
            "x.iso.xml",
            "x.xml",
        ];
        let urls = files.map(|name| {
            format!(r#"{{"URL": "s3://b-1/{name}", "Type": "GET DATA VIA DIRECT ACCESS"}}"#)
        });
        let other = r#"{"URL": "s3://b-2/x.png", "Type": "GET RELATED VISUALIZATION"}, {"URL": "https://d.org/b-1/x.nc", "Type": "GET DATA"}"#;
        let text = format!(r#"{{"umm": {{"RelatedUrls": [{}, {other}]}}}}"#, urls.join(", "));
        let granule: GranuleRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(
            granule.direct_links().map(|link| link.key).collect::<Vec<_>>(),
            ["x.nc", "x.xml"]
        );
    }

    /// earthdata.md, section 6: with or without `s3://`, a last slash, and the separator.
    #[test]
    fn a_prefix_is_read_however_it_was_typed() {
        let table = BucketTable::built_in();
        let read =
            |text: &str| location(text, &table, Some("b-new")).map(|location| location.to_string());
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
        // Nothing to tell them from a bucket of their own.
        assert_eq!(read("lp-protected-2/X").as_deref(), Some("s3://lp-protected-2/X/"));
        for text in ["", "/", "s3://", "HLSS30.020/", "a/b"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_complaint_is_told_in_cmrs_words() {
        assert_eq!(
            complaint(r#"{"errors":["Parameter [x] was not recognized."]}"#).unwrap(),
            "Parameter [x] was not recognized."
        );
        assert_eq!(complaint("<html>"), None);
    }
}
