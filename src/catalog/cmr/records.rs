//! CMR's answers, as far as they are used.

use serde::Deserialize;

use super::direct_distribution::DirectDistribution;

/// The answer to a search.
#[derive(Debug, Deserialize)]
pub(super) struct Answer<T> {
    pub(super) items: Vec<T>,
}

/// A collection.
#[derive(Debug, Deserialize)]
pub(super) struct CollectionRecord {
    pub(super) meta: Meta,
    pub(super) umm: CollectionUmm,
}

#[derive(Debug, Deserialize)]
pub(super) struct Meta {
    #[serde(rename = "concept-id")]
    pub(super) concept_id: String,
}

/// The collection's metadata in CMR's Unified Metadata Model.
#[derive(Debug, Deserialize)]
pub(super) struct CollectionUmm {
    #[serde(rename = "ShortName")]
    pub(super) short_name: String,
    #[serde(rename = "Version", default)]
    pub(super) version: String,
    /// `None`: the collection is not in the cloud.
    #[serde(rename = "DirectDistributionInformation")]
    pub(super) direct: Option<DirectDistribution>,
}

/// A granule.
#[derive(Debug, Deserialize)]
pub(super) struct GranuleRecord {
    #[serde(default)]
    pub(super) meta: GranuleMeta,
    pub(super) umm: GranuleUmm,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct GranuleMeta {
    #[serde(rename = "collection-concept-id")]
    pub(super) collection_id: Option<String>,
}

/// The granule's metadata in CMR's Unified Metadata Model.
#[derive(Debug, Deserialize)]
pub(super) struct GranuleUmm {
    #[serde(rename = "GranuleUR", default)]
    pub(super) ur: String,
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

/// The bucket and key of a granule's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) bucket: String,
    pub(super) key: String,
}

impl Link {
    /// Parses an `s3://` URL.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let (bucket, key) = url.strip_prefix("s3://")?.split_once('/')?;
        Some(Self { bucket: bucket.into(), key: key.into() })
    }

    fn is_sidecar(&self) -> bool {
        SIDECARS.iter().any(|end| self.key.ends_with(end))
    }
}

/// Files beside the data, often in a bucket of their own. They say nothing about where the data
/// are.
const SIDECARS: [&str; 6] = [".md5", ".sha256", ".cmr.xml", ".cmr.json", ".dmrpp", ".iso.xml"];

impl GranuleRecord {
    /// Returns the files of data that the granule has in S3.
    pub(super) fn direct_links(&self) -> impl Iterator<Item = Link> {
        let direct =
            self.umm.urls.iter().filter(|related| related.kind == "GET DATA VIA DIRECT ACCESS");
        direct.filter_map(|related| Link::parse(&related.url)).filter(|link| !link.is_sidecar())
    }
}

/// Returns why CMR refused a search, in its own words.
pub(super) fn refusal_text(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        errors: Vec<String>,
    }
    serde_json::from_str::<Refusal>(text).ok().map(|refusal| refusal.errors.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// TELLUS has data in two buckets; Daymet and IMERG have only checksums in a second one.
    #[test]
    fn recorded_granules_say_which_buckets_hold_their_data() {
        for (text, expected) in [
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
                    links.iter().all(|link| expected.iter().any(|start| is_at(link, start))),
                    "{links:?}"
                );
                assert!(
                    expected.iter().all(|start| links.iter().any(|link| is_at(link, start))),
                    "{links:?}"
                );
            }
        }
    }

    #[test]
    fn checksums_and_metadata_are_no_data() {
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
        let other = r#"{"URL": "s3://b-2/x.png", "Type": "GET RELATED VISUALIZATION"},
                       {"URL": "https://d.org/b-1/x.nc", "Type": "GET DATA"}"#;
        let text = format!(r#"{{"umm": {{"RelatedUrls": [{}, {other}]}}}}"#, urls.join(", "));
        let granule: GranuleRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(
            granule.direct_links().map(|link| link.key).collect::<Vec<_>>(),
            ["x.nc", "x.xml"]
        );
    }

    #[test]
    fn a_refusal_is_in_cmrs_words() {
        assert_eq!(
            refusal_text(r#"{"errors":["Parameter [x] was not recognized."]}"#).unwrap(),
            "Parameter [x] was not recognized."
        );
        assert_eq!(refusal_text("<html>"), None);
    }
}
