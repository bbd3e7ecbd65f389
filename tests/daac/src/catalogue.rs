//! What CMR knows: collections, and where it says that they are.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::buckets::{link, provider};
use crate::state::ServerState;
use crate::store::Store;

/// The most granules that a collection over a bucket has, so that a search in millions of generated
/// keys takes no time.
const MOST: usize = 5000;

/// What lies beside granules and is none.
const SIDECARS: [&str; 8] =
    ["/", ".md5", ".sha256", ".cmr.xml", ".cmr.json", ".dmrpp", ".iso.xml", ".cmr_iso.xml"];

/// A collection whose granules are the objects of a bucket under a prefix, as they are when
/// somebody asks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collection {
    /// The short name, such as `MUR-JPL-L4-GLOB-v4.1`.
    pub short_name: String,
    /// The version, such as `4.1`.
    pub version: String,
    /// The bucket that holds the granules.
    pub bucket: String,
    /// What the keys of the granules start with, with its slash.
    pub prefix: String,
    /// What DirectDistributionInformation says of that.
    #[serde(default)]
    pub hint: Hint,
}

/// How DirectDistributionInformation names bucket and prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hint {
    /// `s3://bucket/prefix/`
    #[default]
    Clean,
    /// `bucket/prefix/`
    NoScheme,
    /// `s3://bucket/prefix`
    NoSlash,
    /// `s3://bucketprefix/`: the separator after the bucket is missing.
    NoSeparator,
    /// `bucketprefix`: everything is missing that can be.
    Bare,
    /// A prefix that is not there, of a bucket that is not there; only a granule's own link tells
    /// the truth.
    WrongBucket,
    /// The right bucket, and a prefix that is not there.
    WrongPrefix,
    /// These words and no others.
    Verbatim(Vec<String>),
    /// There is no DirectDistributionInformation, as where data are not in the cloud.
    Absent,
}

impl Collection {
    /// Returns a collection whose hint is clean.
    #[must_use]
    pub fn new(short_name: &str, version: &str, bucket: &str, prefix: &str) -> Self {
        let [short_name, version, bucket, prefix] =
            [short_name, version, bucket, prefix].map(str::to_owned);
        Self { short_name, version, bucket, prefix, hint: Hint::Clean }
    }

    /// Lets DirectDistributionInformation say it another way.
    #[must_use]
    pub fn hinted(self, hint: Hint) -> Self {
        Self { hint, ..self }
    }
}

impl Hint {
    fn words(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let bare = prefix.trim_end_matches('/');
        vec![match self {
            Self::Clean => format!("s3://{bucket}/{prefix}"),
            Self::NoScheme => format!("{bucket}/{prefix}"),
            Self::NoSlash => format!("s3://{bucket}/{bare}"),
            Self::NoSeparator => format!("s3://{bucket}{prefix}"),
            Self::Bare => format!("{bucket}{bare}"),
            Self::WrongBucket => "s3://there-is-no-such-bucket/NOWHERE/".into(),
            Self::WrongPrefix => format!("s3://{bucket}/NOWHERE/"),
            Self::Verbatim(words) => return words.clone(),
            Self::Absent => return Vec::new(),
        }]
    }
}

/// Makes CMR know a collection, and returns its concept id; `None` when its bucket belongs to no
/// DAAC.
pub(crate) fn publish(world: &ServerState, collection: Collection) -> Option<String> {
    let mut catalogue = world.catalogue.write();
    let entry = Entry::new(world, collection, catalogue.len())?;
    let id = entry.record["meta"]["concept-id"].as_str().unwrap_or_default().to_owned();
    catalogue.push(entry);
    Some(id)
}

/// A collection as CMR answers it, and where its granules are.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) record: Value,
    granules: Granules,
}

#[derive(Debug)]
enum Granules {
    Objects { bucket: String, prefix: String },
    Recorded(Vec<Value>),
}

impl Entry {
    /// An entry for a collection over a bucket of a DAAC.
    fn new(world: &ServerState, collection: Collection, number: usize) -> Option<Self> {
        let Collection { short_name, version, bucket, prefix, hint } = collection;
        let daac = world.owner(&bucket)?;
        let provider = provider(world.daac_name(daac));
        let names = hint.words(&bucket, &prefix);
        let mut umm = json!({ "ShortName": short_name, "Version": version, "EntryTitle": format!("{short_name}, made up") });
        if hint != Hint::Absent {
            let endpoint = world.credentials_url(daac);
            umm["DirectDistributionInformation"] = json!({
                "Region": world.setup.region,
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

    /// An entry for a recorded collection, with the recorded granules that refer to it. Every
    /// endpoint becomes the one of `daac`, so that nobody who believes the record asks NASA.
    pub(crate) fn recorded(
        world: &ServerState,
        daac: usize,
        mut record: Value,
        granules: &[Value],
    ) -> Self {
        let endpoint = world.credentials_url(daac);
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

    /// The granules in order of their start dates.
    pub(crate) fn granules(&self, world: &ServerState) -> Vec<Value> {
        match &self.granules {
            Granules::Recorded(granules) => granules.clone(),
            Granules::Objects { bucket, prefix } => {
                let keys = keys(&world.store.read(), bucket, prefix);
                keys.iter()
                    .enumerate()
                    .map(|(index, (key, size))| self.granule(world, bucket, key, *size, index))
                    .collect()
            }
        }
    }

    fn granule(
        &self,
        world: &ServerState,
        bucket: &str,
        key: &str,
        size: u64,
        index: usize,
    ) -> Value {
        let name = key.rsplit('/').next().unwrap_or_default();
        let provider = &self.record["meta"]["provider-id"].as_str().unwrap_or_default();
        let day = jiff::civil::Date::constant(2002, 6, 1)
            .saturating_add(jiff::Span::new().days(index as i64));
        let endpoint = world.owner(bucket).map(|daac| world.credentials_url(daac));
        json!({
            "meta": {
                "concept-id": format!("G{}-{provider}", 2_000_000_000 + index),
                "provider-id": provider,
                "native-id": name,
                "revision-id": 1,
            },
            "umm": {
                "GranuleUR": name,
                "TemporalExtent": { "RangeDateTime": {
                    "BeginningDateTime": format!("{day}T00:00:00.000Z"), "EndingDateTime": format!("{day}T23:59:59.000Z"),
                } },
                "RelatedUrls": [
                    { "URL": link(world, bucket, key), "Description": format!("Download {name}"), "Type": "GET DATA" },
                    {
                        "URL": format!("s3://{bucket}/{key}"),
                        "Description": "This link provides direct download access via S3 to the granule",
                        "Type": "GET DATA VIA DIRECT ACCESS",
                    },
                    {
                        "URL": endpoint,
                        "Description": "api endpoint to retrieve temporary credentials valid for same-region direct s3 access",
                        "Type": "VIEW RELATED INFORMATION",
                    },
                ],
                "DataGranule": { "ArchiveAndDistributionInformation": [{ "Name": name, "SizeInBytes": size }] },
                "CollectionReference": {
                    "ShortName": self.record["umm"]["ShortName"], "Version": self.record["umm"]["Version"],
                },
            },
        })
    }
}

fn keys(store: &Store, bucket: &str, prefix: &str) -> Vec<(String, u64)> {
    let Some(bucket) = store.bucket(bucket) else { return Vec::new() };
    let below = bucket.entries(prefix).take_while(|(key, _)| key.starts_with(prefix));
    let granules = below.filter(|(key, _)| !SIDECARS.iter().any(|end| key.ends_with(end)));
    granules.take(MOST).map(|(key, object)| (key, object.size)).collect()
}

/// When a granule starts; ISO 8601 is in the order of time.
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
    fn hints_are_written_in_every_way_ever_seen() {
        for (hint, words) in [
            (Hint::Clean, "s3://b/p/q/"),
            (Hint::NoScheme, "b/p/q/"),
            (Hint::NoSlash, "s3://b/p/q"),
            (Hint::NoSeparator, "s3://bp/q/"),
            (Hint::Bare, "bp/q"),
            (Hint::WrongPrefix, "s3://b/NOWHERE/"),
        ] {
            assert_eq!(hint.words("b", "p/q/"), [words]);
        }
    }
}
