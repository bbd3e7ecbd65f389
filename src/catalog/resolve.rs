//! From a [`Source`] to the buckets that it means.

use super::bucket_table::{BucketInfo, BucketTable};
use super::location::{Location, is_bucket_name, parse_bucket_name};
use super::resolved::{ResolvedBucket, ResolvedSource};
use super::source::Source;
use super::{cmr, daac};
use crate::error::Error;
use crate::object::Prefix;

/// Looks `source` up in `table`, and a collection in CMR at `cmr_host` (`host` or `host:port`).
/// Only a collection costs requests.
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
        Source::Collection(collection) => cmr::Cmr::new(cmr_host)?.resolve(collection, table).await,
        other => resolve_offline(other, table),
    }
}

/// [`resolve`] for every source that needs no CMR.
///
/// # Errors
/// [`Error::Usage`] when it means nothing that is known, or is a collection.
pub fn resolve_offline(source: &Source, table: &BucketTable) -> Result<ResolvedSource, Error> {
    match source {
        Source::Earthdata => several(table.iter(), "the table of buckets is empty"),
        Source::Word(word) => resolve_word(word, table),
        Source::Prefix(Location { bucket, prefix }) => {
            Ok(ResolvedBucket::new(bucket, prefix.as_str(), table.get(bucket)).into())
        }
        Source::File { bucket, key } => Ok(directory_of(bucket, key, table.get(bucket))),
        Source::Link { host, path } => resolve_link(host, path, table),
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
    let names = daac::names().collect::<Vec<_>>().join(", ");
    Err(Error::usage(format!("{word} is neither a bucket nor a data center; those are {names}")))
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
fn directory_of(bucket: &str, key: &str, info: Option<&BucketInfo>) -> ResolvedSource {
    let (prefix, name) = Prefix::of_key(key);
    let file = (!name.is_empty()).then(|| key.to_owned());
    ResolvedSource { file, ..ResolvedBucket::new(bucket, prefix.as_str(), info).into() }
}

/// Data centers write the bucket as the first part of a link's path, or a word for it: ORNL
/// `protected`, GES DISC `data`.
fn resolve_link(host: &str, path: &str, table: &BucketTable) -> Result<ResolvedSource, Error> {
    let (first, key) = path.split_once('/').unwrap_or((path, ""));
    if let Some(info) = table.get(first) {
        return Ok(directory_of(first, key, Some(info)));
    }
    let at_host = table.iter().filter(|(_, info)| info.host() == host).collect::<Vec<_>>();
    let suffix = format!("-{first}");
    let ending_in_it =
        at_host.iter().filter(|(bucket, _)| bucket.ends_with(&suffix)).collect::<Vec<_>>();
    match (&at_host[..], &ending_in_it[..]) {
        (_, [(bucket, info)]) => Ok(directory_of(bucket, key, Some(info))),
        // A bucket newer than the table has the endpoint of its neighbours at the same host.
        ([(_, neighbour), ..], _) if is_bucket_name(first) && first.contains('-') => {
            Ok(directory_of(first, key, Some(*neighbour)))
        }
        ([(bucket, info)], _) => Ok(directory_of(bucket, key, Some(info))),
        ([], _) if first.contains('-') => Ok(directory_of(&parse_bucket_name(first)?, key, None)),
        _ => Err(Error::usage(format!(
            "which bucket has https://{host}/{path}? Give the granule's s3:// link"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the locations as URLs, and the file.
    fn resolved(source: &str) -> Result<(Vec<String>, Option<String>), Error> {
        let resolved = resolve_offline(&source.parse()?, &BucketTable::built_in())?;
        Ok((
            resolved.buckets.iter().map(|bucket| bucket.location.to_string()).collect(),
            resolved.file,
        ))
    }

    fn endpoint(source: &str) -> Option<String> {
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
        assert_eq!(resolved("earthdata").unwrap().0.len(), 36);
        assert_eq!(resolved("no-such-bucket").unwrap().0, ["s3://no-such-bucket/"]);
        assert_eq!(endpoint("no-such-bucket"), None);
        // A slash says that a bucket is meant, also when a data center has that name.
        assert_eq!(resolved("podaac/").unwrap().0, ["s3://podaac/"]);
        for unknown in ["NOAA", "GES DISCO"] {
            assert!(resolved(unknown).unwrap_err().to_string().contains("GES_DISC"), "{unknown}");
        }
    }

    /// Each system has a login of its own, so of several buckets those of other systems are left
    /// out.
    #[test]
    fn several_buckets_are_those_of_the_logins_own_system() {
        let (production, uat, own) =
            ("urs.earthdata.nasa.gov", "uat.urs.earthdata.nasa.gov", "localhost:8080");
        for (source, host, count) in [
            ("earthdata", production, 34),
            ("GHRC", production, 1),
            ("OB.DAAC", production, 1),
            ("PODAAC", production, 5),
            ("ghrcwuat-protected", production, 1),
            ("ob-cumulus-sit-public", production, 1),
            ("earthdata", uat, 1),
            ("GHRC", uat, 1),
            ("PODAAC", uat, 0),
            ("podaac-ops-cumulus-protected", uat, 1),
            ("earthdata", own, 36),
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

    /// The links are from recorded CMR answers, or of their shape.
    #[test]
    fn a_granule_is_its_directory_and_the_file_in_it() {
        for (source, location, file) in [
            ("s3://prod-lads/a/b/x.hdf", "s3://prod-lads/a/b/", Some("a/b/x.hdf")),
            ("s3://prod-lads/x.hdf", "s3://prod-lads/", Some("x.hdf")),
            (
                "https://archive.podaac.earthdata.nasa.gov/podaac-ops-cumulus-protected/T/\
                 GRD-3_v04.nc",
                "s3://podaac-ops-cumulus-protected/T/",
                Some("T/GRD-3_v04.nc"),
            ),
            (
                "https://data.gesdisc.earthdata.nasa.gov/data/GPM_L3/GPM_3IMERGHH.06/2019/051/\
                 3B.V06B.HDF5",
                "s3://gesdisc-cumulus-prod-protected/GPM_L3/GPM_3IMERGHH.06/2019/051/",
                Some("GPM_L3/GPM_3IMERGHH.06/2019/051/3B.V06B.HDF5"),
            ),
            (
                "https://data.ornldaac.earthdata.nasa.gov/protected/daymet/Daymet_Daily_V4R1/data/\
                 d.nc",
                "s3://ornl-cumulus-prod-protected/daymet/Daymet_Daily_V4R1/data/",
                Some("daymet/Daymet_Daily_V4R1/data/d.nc"),
            ),
            (
                "https://data.ornldaac.earthdata.nasa.gov/public/daymet/d.nc.sha256",
                "s3://ornl-cumulus-prod-public/daymet/",
                Some("daymet/d.nc.sha256"),
            ),
            (
                "https://elsewhere.org/lp-prod-protected/a/x.tif",
                "s3://lp-prod-protected/a/",
                Some("a/x.tif"),
            ),
            (
                "https://data.lpdaac.earthdatacloud.nasa.gov/lp-new-bucket/a/x.tif",
                "s3://lp-new-bucket/a/",
                Some("a/x.tif"),
            ),
            ("https://elsewhere.org/a-bucket/x.tif", "s3://a-bucket/", Some("x.tif")),
            ("https://data.lpdaac.earthdatacloud.nasa.gov/lp-public/", "s3://lp-public/", None),
            ("https://data.lpdaac.earthdatacloud.nasa.gov/lp-public/a/", "s3://lp-public/a/", None),
        ] {
            assert_eq!(
                resolved(source).unwrap(),
                (vec![location.to_owned()], file.map(Into::into)),
                "{source}"
            );
        }
        for unknown in [
            "https://elsewhere.org/data/x.nc",
            "https://data.lpdaac.earthdatacloud.nasa.gov/data/x.nc",
        ] {
            assert!(resolved(unknown).unwrap_err().to_string().contains("s3:// link"), "{unknown}");
        }
    }

    /// A link may be pasted from anywhere, so its host is not trusted with a token.
    #[test]
    fn a_link_to_an_unknown_host_names_no_endpoint() {
        assert_eq!(endpoint("https://elsewhere.org/a-bucket/x.tif"), None);
        let known = endpoint("https://elsewhere.org/lp-prod-protected/a/x.tif").unwrap();
        assert_eq!(known, "https://data.lpdaac.earthdatacloud.nasa.gov/s3credentials");
        assert_eq!(
            endpoint("https://data.lpdaac.earthdatacloud.nasa.gov/lp-new-bucket/a/x.tif").unwrap(),
            known
        );
    }
}
