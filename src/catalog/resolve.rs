//! From a [`Source`] to the buckets that it means.

use super::bucket_table::{BucketInfo, BucketTable};
use super::cmr::Cmr;
use super::collection::Collection;
use super::location::{Location, is_bucket_name};
use super::resolve_link::{resolve_link, unknown_link};
use super::resolved::{ResolvedBucket, ResolvedSource};
use super::source::Source;
use super::{daac, locate, similar};
use crate::error::{Error, Problem};
use crate::object::Prefix;

/// Looks `source` up in `table`; what CMR alone knows, at `cmr_host` (`host` or `host:port`); and a
/// link that no rule knows, at its own host, if that is one of NASA's. Nothing else costs requests.
///
/// # Errors
/// [`Error::Usage`] when it means nothing that is known; [`Error::Transient`] when CMR is needed
/// and gives no answer.
pub async fn resolve(
    source: &Source,
    table: &BucketTable,
    cmr_host: &str,
) -> Result<ResolvedSource, Error> {
    match source {
        Source::Collection(collection) => Cmr::new(cmr_host)?.resolve(collection, table).await,
        Source::Granule(granule) => Cmr::new(cmr_host)?.resolve_granule(granule, table).await,
        Source::Word(word) => match resolve_word(word, table) {
            Err(neither) if may_be_collection(word, table) => {
                word_as_collection(word, table, cmr_host, &neither).await
            }
            outcome => outcome,
        },
        Source::Link { host, path } => match resolve_link(host, path, table)? {
            Some(found) => Ok(found),
            None => locate::at(host, path, table).await?.ok_or_else(|| unknown_link(host, path)),
        },
        other => resolve_offline(other, table),
    }
}

/// Returns whether a word that is no source might be the short name of a collection: those are
/// written with capitals, and no bucket is.
fn may_be_collection(word: &str, table: &BucketTable) -> bool {
    !is_bucket_name(word)
        && daac::name_of(word).is_none()
        && table.get(&word.to_lowercase()).is_none()
}

/// Takes a word that is neither a bucket nor a data center for a collection. `neither` says so.
async fn word_as_collection(
    word: &str,
    table: &BucketTable,
    cmr_host: &str,
    neither: &Error,
) -> Result<ResolvedSource, Error> {
    let Ok(collection) = word.parse::<Collection>() else { return Err(neither.clone()) };
    match Cmr::new(cmr_host)?.resolve(&collection, table).await {
        Err(Error::Usage(too)) => Err(Error::usage(format!("{neither}; {too}"))),
        Err(Error::Transient(too)) => {
            Err(Error::transient(Problem::new(neither.to_string()).caused_by(too)))
        }
        outcome => outcome,
    }
}

/// [`resolve`] for every source that needs no CMR.
///
/// # Errors
/// [`Error::Usage`] when it means nothing that is known without CMR.
pub fn resolve_offline(source: &Source, table: &BucketTable) -> Result<ResolvedSource, Error> {
    match source {
        Source::Earthdata => several(table.iter(), "the table of buckets is empty"),
        Source::Word(word) => resolve_word(word, table),
        Source::Prefix(Location { bucket, prefix }) => {
            Ok(ResolvedBucket::new(bucket, prefix.as_str(), table.get(bucket)).into())
        }
        Source::File { bucket, key } => Ok(directory_of(bucket, key, table.get(bucket))),
        Source::Link { host, path } => {
            resolve_link(host, path, table)?.ok_or_else(|| unknown_link(host, path))
        }
        Source::Granule(granule) => {
            Err(Error::usage(format!("only CMR knows where the granule {granule} is")))
        }
        Source::Collection(collection) => {
            Err(Error::usage(format!("only CMR knows where the collection {collection} is")))
        }
    }
}

/// Tries a bucket of the table first, then a data center, then a bucket that the table does not
/// have.
fn resolve_word(word: &str, table: &BucketTable) -> Result<ResolvedSource, Error> {
    if let Some(info) = table.get(word) {
        return Ok(ResolvedBucket::new(word, "", Some(info)).into());
    }
    if daac::name_of(word).is_some() || table.of_daac(word).next().is_some() {
        return several(table.of_daac(word), &format!("the table of buckets has none of {word}"));
    }
    if is_bucket_name(word) {
        return Ok(ResolvedBucket::new(word, "", None).into());
    }
    let lowercase = word.to_lowercase();
    if table.get(&lowercase).is_some() {
        return Err(Error::usage(format!("{word} is no bucket; {lowercase} is one")));
    }
    let neither = format!("{word} is neither a bucket nor a data center");
    Err(Error::usage(match similar::source(word, table) {
        Some(similar) => format!("{neither}; did you mean {similar}?"),
        None => {
            let names = daac::names().collect::<Vec<_>>().join(", ");
            format!("{neither}; those are {names}")
        }
    }))
}

fn several<'t>(
    buckets: impl Iterator<Item = (&'t str, &'t BucketInfo)>,
    none: &str,
) -> Result<ResolvedSource, Error> {
    let buckets = buckets
        .map(|(bucket, info)| ResolvedBucket::new(bucket, "", Some(info)))
        .collect::<Vec<_>>();
    match buckets.is_empty() {
        true => Err(Error::usage(none)),
        false => Ok(ResolvedSource { buckets, file: None, note: None }),
    }
}

/// Returns the directory that holds `key`, with `key` as the file unless it is a directory itself.
pub(super) fn directory_of(bucket: &str, key: &str, info: Option<&BucketInfo>) -> ResolvedSource {
    let (prefix, name) = Prefix::of_key(key);
    let file = (!name.is_empty()).then(|| key.to_owned());
    ResolvedSource { file, ..ResolvedBucket::new(bucket, prefix.as_str(), info).into() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns the locations as URLs, and the file.
    pub(in super::super) fn resolved(source: &str) -> Result<(Vec<String>, Option<String>), Error> {
        let resolved = resolve_offline(&source.parse()?, &BucketTable::built_in())?;
        Ok((
            resolved.buckets.iter().map(|bucket| bucket.location.to_string()).collect(),
            resolved.file,
        ))
    }

    pub(in super::super) fn endpoint(source: &str) -> Option<String> {
        resolve_offline(&source.parse().unwrap(), &BucketTable::built_in())
            .unwrap()
            .buckets
            .swap_remove(0)
            .endpoint
    }

    #[test]
    fn a_word_is_a_known_bucket_or_a_data_center_or_an_unknown_bucket() {
        assert_eq!(resolved("prod-lads").unwrap().0, ["s3://prod-lads/"]);
        assert_eq!(resolved("laads").unwrap().0, ["s3://prod-lads/"]);
        assert_eq!(resolved("LP DAAC").unwrap().0.len(), 4);
        assert_eq!(resolved("earthdata").unwrap().0.len(), 37);
        assert_eq!(resolved("no-such-bucket").unwrap().0, ["s3://no-such-bucket/"]);
        assert_eq!(endpoint("no-such-bucket"), None);
        // A slash says that a bucket is meant, also when a data center has that name.
        assert_eq!(resolved("podaac/").unwrap().0, ["s3://podaac/"]);
        for (unknown, words) in [
            ("NOAA", "a data center; those are ASDC, "),
            ("GES DISCO", "did you mean GES_DISC?"),
            ("PODACC", "did you mean PODAAC?"),
            ("Lp-Prod-Protecte", "did you mean lp-prod-protected?"),
        ] {
            let message = resolved(unknown).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }

    /// Each system has a login of its own, so of several buckets those of other systems are left
    /// out.
    #[test]
    fn several_buckets_are_those_of_the_logins_own_system() {
        let (production, uat, own) =
            ("urs.earthdata.nasa.gov", "uat.urs.earthdata.nasa.gov", "localhost:8080");
        for (source, host, count) in [
            ("earthdata", production, 35),
            ("GHRC", production, 1),
            ("OB.DAAC", production, 1),
            ("PODAAC", production, 5),
            ("ghrcwuat-protected", production, 1),
            ("ob-cumulus-sit-public", production, 1),
            ("earthdata", uat, 1),
            ("GHRC", uat, 1),
            ("PODAAC", uat, 0),
            ("podaac-ops-cumulus-protected", uat, 1),
            ("earthdata", own, 37),
        ] {
            let mut resolved =
                resolve_offline(&source.parse().unwrap(), &BucketTable::built_in()).unwrap();
            assert_eq!(resolved.keep_system_of(host).is_ok(), count > 0, "{source} {host}");
            assert_eq!(resolved.buckets.len(), count, "{source} {host}");
        }
        let own = r#"{
            "b-1": {"endpoint": "https://tea.lab.org/s3credentials", "region": "us-west-2"},
            "b-2": {"endpoint": "https://tea.uat.lab.org/s3credentials", "region": "us-west-2"}
        }"#;
        for host in [production, uat] {
            let mut resolved =
                resolve_offline(&Source::Earthdata, &serde_json::from_str(own).unwrap()).unwrap();
            resolved.keep_system_of(host).unwrap();
            assert_eq!(resolved.buckets.len(), 2, "nobody knows whose login those want");
        }
    }

    #[test]
    fn a_bucket_that_the_table_knows_wins_over_a_data_center() {
        let table =
            r#"{"asf": {"endpoint": "https://d.org/s3credentials", "region": "us-west-2"}}"#;
        let resolved =
            resolve_offline(&"asf".parse().unwrap(), &serde_json::from_str(table).unwrap())
                .unwrap();
        assert_eq!(resolved.buckets[0].endpoint.as_deref(), Some("https://d.org/s3credentials"));
        let none =
            resolve_offline(&"podaac".parse().unwrap(), &serde_json::from_str(table).unwrap())
                .unwrap_err();
        assert_eq!(none.to_string(), "the table of buckets has none of podaac");
    }
}
