//! CMR's records: collections and granules, and the bucket and prefix that each collection states.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::buckets::{link, provider};
use crate::state::ServerState;
use crate::store::Store;

/// The most granules of a collection over a bucket: a search must not go through millions of
/// generated keys.
const MAX_GRANULES: usize = 5000;

/// The endings of keys that lie beside granules and are none.
const SIDECARS: [&str; 8] =
    ["/", ".md5", ".sha256", ".cmr.xml", ".cmr.json", ".dmrpp", ".iso.xml", ".cmr_iso.xml"];

/// A collection whose granules are the objects below a prefix of a bucket at the time of the
/// search.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collection {
    /// The short name, such as `MUR-JPL-L4-GLOB-v4.1`.
    pub short_name: String,
    /// The version, such as `4.1`.
    pub version: String,
    /// The bucket that holds the granules.
    pub bucket: String,
    /// The prefix of the granules' keys, with its last slash.
    pub prefix: String,
    /// How DirectDistributionInformation states bucket and prefix.
    #[serde(default)]
    pub direct_distribution: DirectDistribution,
}

/// How the `S3BucketAndObjectPrefixNames` of DirectDistributionInformation state bucket and prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectDistribution {
    /// `s3://bucket/prefix/`
    #[default]
    Clean,
    /// `bucket/prefix/`
    NoScheme,
    /// `s3://bucket/prefix`
    NoSlash,
    /// `s3://bucketprefix/`: the separator after the bucket is missing.
    NoSeparator,
    /// `bucketprefix`: scheme, separator and last slash are missing.
    Bare,
    /// A bucket and a prefix that do not exist; only the granules' own links are right.
    WrongBucket,
    /// The right bucket, and a prefix that does not exist.
    WrongPrefix,
    /// Exactly these strings.
    Verbatim(Vec<String>),
    /// The record has no DirectDistributionInformation, as for data that are not in the cloud.
    Absent,
}

impl Collection {
    /// Returns a collection that states its bucket and prefix as [`DirectDistribution::Clean`]
    /// does.
    #[must_use]
    pub fn new(short_name: &str, version: &str, bucket: &str, prefix: &str) -> Self {
        let [short_name, version, bucket, prefix] =
            [short_name, version, bucket, prefix].map(str::to_owned);
        Self { short_name, version, bucket, prefix, direct_distribution: DirectDistribution::Clean }
    }

    /// Changes how DirectDistributionInformation states bucket and prefix.
    #[must_use]
    pub fn with_direct_distribution(self, direct_distribution: DirectDistribution) -> Self {
        Self { direct_distribution, ..self }
    }
}

impl DirectDistribution {
    fn prefixes(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let bare = prefix.trim_end_matches('/');
        vec![match self {
            Self::Clean => format!("s3://{bucket}/{prefix}"),
            Self::NoScheme => format!("{bucket}/{prefix}"),
            Self::NoSlash => format!("s3://{bucket}/{bare}"),
            Self::NoSeparator => format!("s3://{bucket}{prefix}"),
            Self::Bare => format!("{bucket}{bare}"),
            Self::WrongBucket => "s3://there-is-no-such-bucket/NOWHERE/".into(),
            Self::WrongPrefix => format!("s3://{bucket}/NOWHERE/"),
            Self::Verbatim(prefixes) => return prefixes.clone(),
            Self::Absent => return Vec::new(),
        }]
    }
}

/// Adds a collection to the catalog and returns its concept id, `None` when its bucket belongs to
/// no DAAC.
pub(crate) fn publish(state: &ServerState, collection: Collection) -> Option<String> {
    let mut catalog = state.catalog.write();
    let entry = CatalogEntry::new(state, collection, catalog.len())?;
    let id = entry.record["meta"]["concept-id"].as_str().unwrap_or_default().to_owned();
    catalog.push(entry);
    Some(id)
}

/// A collection's record as CMR returns it, and the source of its granules.
#[derive(Debug)]
pub(crate) struct CatalogEntry {
    pub(crate) record: Value,
    granules: Granules,
}

#[derive(Debug)]
enum Granules {
    Objects { bucket: String, prefix: String },
    Recorded(Vec<Value>),
}

impl CatalogEntry {
    /// Returns an entry for a collection over a bucket of a DAAC.
    fn new(state: &ServerState, collection: Collection, number: usize) -> Option<Self> {
        let Collection { short_name, version, bucket, prefix, direct_distribution } = collection;
        let daac = state.owner(&bucket)?;
        let provider = provider(state.daac_name(daac));
        let names = direct_distribution.prefixes(&bucket, &prefix);
        let mut umm = json!({
            "ShortName": short_name,
            "Version": version,
            "EntryTitle": format!("{short_name}, made up"),
        });
        if direct_distribution != DirectDistribution::Absent {
            let endpoint = state.credentials_url(daac);
            umm["DirectDistributionInformation"] = json!({
                "Region": state.setup.region,
                "S3BucketAndObjectPrefixNames": names,
                "S3CredentialsAPIEndpoint": endpoint,
                "S3CredentialsAPIDocumentationURL": format!("{endpoint}README"),
            });
        }
        let meta = json!({
            "concept-id": format!("C{}-{provider}", 1_000_000_000 + number),
            "provider-id": provider,
            "native-id": format!("{short_name}_{version}"),
            "revision-id": 1,
            "s3-links": names,
        });
        Some(Self {
            record: json!({ "meta": meta, "umm": umm }),
            granules: Granules::Objects { bucket, prefix },
        })
    }

    /// Returns an entry for a recorded collection, with the recorded granules that refer to it.
    /// Every endpoint is replaced by the one of `daac`, so that a client that trusts the record
    /// sends no request to NASA.
    pub(crate) fn recorded(
        state: &ServerState,
        daac: usize,
        mut record: Value,
        granules: &[Value],
    ) -> Self {
        let endpoint = state.credentials_url(daac);
        let referred = |granule: &&Value| {
            let reference = &granule["umm"]["CollectionReference"];
            reference["ShortName"] == record["umm"]["ShortName"]
                && reference["Version"] == record["umm"]["Version"]
        };
        let mut granules: Vec<_> = granules.iter().filter(referred).cloned().collect();
        replace_endpoints(&mut record, &endpoint);
        granules.iter_mut().for_each(|granule| replace_endpoints(granule, &endpoint));
        granules.sort_by_key(|granule| start(granule).to_owned());
        Self { record, granules: Granules::Recorded(granules) }
    }

    /// Returns the granules in order of their start dates.
    pub(crate) fn granules(&self, state: &ServerState) -> Vec<Value> {
        match &self.granules {
            Granules::Recorded(granules) => granules.clone(),
            Granules::Objects { bucket, prefix } => {
                let keys = keys(&state.store.read(), bucket, prefix);
                keys.iter()
                    .enumerate()
                    .map(|(index, (key, size))| self.granule(state, bucket, key, *size, index))
                    .collect()
            }
        }
    }

    fn granule(
        &self,
        state: &ServerState,
        bucket: &str,
        key: &str,
        size: u64,
        index: usize,
    ) -> Value {
        let name = key.rsplit('/').next().unwrap_or_default();
        let id = self.record["meta"]["concept-id"].as_str().unwrap_or_default();
        let provider = &self.record["meta"]["provider-id"].as_str().unwrap_or_default();
        let day = jiff::civil::Date::constant(2002, 6, 1)
            .saturating_add(jiff::Span::new().days(index as i64));
        let endpoint = state.owner(bucket).map(|daac| state.credentials_url(daac));
        json!({
            "meta": {
                "concept-id": format!("G{}{index:04}-{provider}", &id[1..11]),
                "collection-concept-id": id,
                "provider-id": provider,
                "native-id": name,
                "revision-id": 1,
            },
            "umm": {
                "GranuleUR": name,
                "TemporalExtent": { "RangeDateTime": {
                    "BeginningDateTime": format!("{day}T00:00:00.000Z"),
                    "EndingDateTime": format!("{day}T23:59:59.000Z"),
                } },
                "RelatedUrls": [
                    {
                        "URL": link(state, bucket, key),
                        "Description": format!("Download {name}"),
                        "Type": "GET DATA",
                    },
                    {
                        "URL": format!("s3://{bucket}/{key}"),
                        "Description":
                            "This link provides direct download access via S3 to the granule",
                        "Type": "GET DATA VIA DIRECT ACCESS",
                    },
                    {
                        "URL": endpoint,
                        "Description": "api endpoint to retrieve temporary credentials valid for \
                            same-region direct s3 access",
                        "Type": "VIEW RELATED INFORMATION",
                    },
                ],
                "DataGranule": {
                    "ArchiveAndDistributionInformation": [{ "Name": name, "SizeInBytes": size }],
                },
                "CollectionReference": {
                    "ShortName": self.record["umm"]["ShortName"],
                    "Version": self.record["umm"]["Version"],
                },
            },
        })
    }
}

fn keys(store: &Store, bucket: &str, prefix: &str) -> Vec<(String, u64)> {
    let Some(bucket) = store.bucket(bucket) else { return Vec::new() };
    let below = bucket.entries(prefix).take_while(|(key, _)| key.starts_with(prefix));
    let granules = below.filter(|(key, _)| !SIDECARS.iter().any(|end| key.ends_with(end)));
    granules.take(MAX_GRANULES).map(|(key, object)| (key, object.size)).collect()
}

/// Returns the start date of a granule as ISO 8601, whose byte order is the order of time.
fn start(granule: &Value) -> &str {
    granule["umm"]["TemporalExtent"]["RangeDateTime"]["BeginningDateTime"]
        .as_str()
        .unwrap_or_default()
}

fn replace_endpoints(value: &mut Value, endpoint: &str) {
    match value {
        Value::String(text) if text.ends_with("/s3credentials") => *text = endpoint.to_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| replace_endpoints(item, endpoint)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| replace_endpoints(field, endpoint))
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_and_prefix_are_stated_in_every_form_seen_at_cmr() {
        for (direct_distribution, prefixes) in [
            (DirectDistribution::Clean, "s3://b/p/q/"),
            (DirectDistribution::NoScheme, "b/p/q/"),
            (DirectDistribution::NoSlash, "s3://b/p/q"),
            (DirectDistribution::NoSeparator, "s3://bp/q/"),
            (DirectDistribution::Bare, "bp/q"),
            (DirectDistribution::WrongPrefix, "s3://b/NOWHERE/"),
        ] {
            assert_eq!(direct_distribution.prefixes("b", "p/q/"), [prefixes]);
        }
    }
}
