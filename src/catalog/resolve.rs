//! From a [`Source`] to the buckets that it means.

use super::bucket_table::{BucketInfo, BucketTable};
use super::source::{Location, Source, bucket_name, is_bucket_name};
use super::untrusted_endpoint::UntrustedEndpoint;
use super::{cmr, daac};
use crate::error::Error;
use crate::object::Prefix;

/// A prefix of a bucket, and who hands out credentials for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedBucket {
    /// The bucket and where in it.
    pub location: Location,
    /// The /s3credentials URL, where the table knows it.
    pub endpoint: Option<String>,
    /// What CMR says instead, where the table knows none.
    pub told: Option<UntrustedEndpoint>,
    /// The AWS region, where it is known.
    pub region: Option<String>,
}

impl ResolvedBucket {
    /// `prefix` of `bucket`, with what the table knows of it.
    #[must_use]
    pub fn new(bucket: &str, prefix: &str, known: Option<&BucketInfo>) -> Self {
        Self {
            location: Location::new(bucket, prefix),
            endpoint: known.map(|known| known.endpoint.clone()),
            told: None,
            region: known.map(|known| known.region.clone()),
        }
    }

    /// Which of NASA's systems it belongs to.
    fn system(&self) -> Option<&'static str> {
        let endpoint = self.endpoint.as_deref().or_else(|| self.told.as_ref()?.believed());
        system(endpoint?.split('/').nth(2)?)
    }
}

/// Which of NASA's systems a host belongs to, each with a login of its own: the trial systems have
/// their names in those of their hosts, `data.ghrc.uat.earthdata.nasa.gov`. `None`: the host is not
/// NASA's.
fn system(host: &str) -> Option<&'static str> {
    let name = host.split(':').next().unwrap_or(host);
    // ASF's endpoints are in part at its university.
    [".nasa.gov", ".asf.alaska.edu"].iter().any(|end| name.ends_with(end)).then(|| {
        let trial =
            ["uat", "sit"].into_iter().find(|trial| name.split('.').any(|label| label == *trial));
        trial.unwrap_or("production")
    })
}

/// What a source means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedSource {
    /// At least one.
    pub places: Vec<ResolvedBucket>,
    /// The key that was pointed at; it is below the one place.
    pub file: Option<String>,
    /// Something the user did not say and should know, such as the version chosen.
    pub note: Option<String>,
}

impl ResolvedSource {
    /// Leaves out, of several places, those that the login at `earthdata_host` does not know since
    /// they belong to another of NASA's systems. A single place is what the user named, and stays.
    ///
    /// # Errors
    /// [`Error::Usage`] when nothing is left.
    pub fn keep_known_to(&mut self, earthdata_host: &str) -> Result<(), Error> {
        let Some(login) = system(earthdata_host).filter(|_| self.places.len() > 1) else {
            return Ok(());
        };
        self.places.retain(|place| place.system().is_none_or(|system| system == login));
        match self.places.is_empty() {
            true => Err(Error::usage(format!(
                "none of these buckets belongs to the system of {earthdata_host}; name one, or a table of others with --buckets-file"
            ))),
            false => Ok(()),
        }
    }

    pub(super) fn one(place: ResolvedBucket) -> Self {
        Self { places: vec![place], file: None, note: None }
    }
}

/// Looks `source` up in `table`, and a collection in CMR at `cmr_host`. Only a collection costs
/// requests.
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
        Source::Collection(collection) => {
            cmr::Cmr::new(cmr_host)?.resolved(collection, table).await
        }
        other => look_up(other, table),
    }
}

/// [`resolve`] for what needs no CMR.
///
/// # Errors
/// [`Error::Usage`].
pub fn look_up(source: &Source, table: &BucketTable) -> Result<ResolvedSource, Error> {
    match source {
        Source::Earthdata => several(table.iter(), "the table of buckets is empty"),
        Source::Word(word) => match (table.get(word), daac::name_of(word)) {
            (Some(known), _) => Ok(ResolvedSource::one(ResolvedBucket::new(word, "", Some(known)))),
            (None, name) if name.is_some() || table.of_daac(word).next().is_some() => {
                several(table.of_daac(word), &format!("the table of buckets has none of {word}"))
            }
            (None, _) if is_bucket_name(word) => {
                Ok(ResolvedSource::one(ResolvedBucket::new(word, "", None)))
            }
            (None, _) if table.get(&word.to_lowercase()).is_some() => {
                Err(Error::usage(format!("{word} is no bucket; {} is one", word.to_lowercase())))
            }
            (None, _) => {
                let names = daac::names().collect::<Vec<_>>().join(", ");
                Err(Error::usage(format!(
                    "{word} is neither a bucket nor a data center; those are {names}"
                )))
            }
        },
        Source::Prefix(Location { bucket, prefix }) => {
            Ok(ResolvedSource::one(ResolvedBucket::new(bucket, prefix.as_str(), table.get(bucket))))
        }
        Source::File { bucket, key } => Ok(directory_of(bucket, key, table.get(bucket))),
        Source::Link { host, path } => link(host, path, table),
        Source::Collection(collection) => {
            Err(Error::usage(format!("only CMR knows where the collection {collection} is")))
        }
    }
}

fn several<'t>(
    buckets: impl Iterator<Item = (&'t str, &'t BucketInfo)>,
    none: &str,
) -> Result<ResolvedSource, Error> {
    let places = buckets
        .map(|(bucket, known)| ResolvedBucket::new(bucket, "", Some(known)))
        .collect::<Vec<_>>();
    match places.is_empty() {
        true => Err(Error::usage(none)),
        false => Ok(ResolvedSource { places, file: None, note: None }),
    }
}

/// The directory that holds `key`, with the key pointed at unless it is a directory itself.
fn directory_of(bucket: &str, key: &str, known: Option<&BucketInfo>) -> ResolvedSource {
    let (prefix, name) = Prefix::of_key(key);
    let file = (!name.is_empty()).then(|| key.to_owned());
    ResolvedSource {
        file,
        ..ResolvedSource::one(ResolvedBucket::new(bucket, prefix.as_str(), known))
    }
}

/// Data centers write the bucket as the first part of a link's path, or a word for it: ORNL
/// `protected`, GES DISC `data`.
fn link(host: &str, path: &str, table: &BucketTable) -> Result<ResolvedSource, Error> {
    let (first, key) = path.split_once('/').unwrap_or((path, ""));
    if let Some(known) = table.get(first) {
        return Ok(directory_of(first, key, Some(known)));
    }
    let at_host = table.iter().filter(|(_, known)| known.host() == host).collect::<Vec<_>>();
    let suffix = format!("-{first}");
    let ends_like_it =
        at_host.iter().filter(|(bucket, _)| bucket.ends_with(&suffix)).collect::<Vec<_>>();
    match (&at_host[..], &ends_like_it[..]) {
        (_, [(bucket, known)]) => Ok(directory_of(bucket, key, Some(known))),
        // A bucket newer than the table.
        ([(_, neighbour), ..], _) if is_bucket_name(first) && first.contains('-') => {
            Ok(directory_of(first, key, Some(*neighbour)))
        }
        ([(bucket, known)], _) => Ok(directory_of(bucket, key, Some(known))),
        ([], _) if first.contains('-') => Ok(directory_of(&bucket_name(first)?, key, None)),
        _ => Err(Error::usage(format!(
            "which bucket has https://{host}/{path}? Give the granule's s3:// link"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places as URLs, and the file.
    fn found(source: &str) -> Result<(Vec<String>, Option<String>), Error> {
        let resolved = look_up(&source.parse()?, &BucketTable::built_in())?;
        Ok((
            resolved.places.iter().map(|place| place.location.to_string()).collect(),
            resolved.file,
        ))
    }

    fn endpoint(source: &str) -> Option<String> {
        look_up(&source.parse().unwrap(), &BucketTable::built_in())
            .unwrap()
            .places
            .swap_remove(0)
            .endpoint
    }

    #[test]
    fn a_word_is_a_known_bucket_or_a_data_center_or_an_unknown_bucket() {
        assert_eq!(found("prod-lads").unwrap().0, ["s3://prod-lads/"]);
        assert_eq!(found("laads").unwrap().0, ["s3://prod-lads/"]);
        assert_eq!(found("LP DAAC").unwrap().0.len(), 4);
        assert_eq!(found("earthdata").unwrap().0.len(), 36);
        assert_eq!(found("no-such-bucket").unwrap().0, ["s3://no-such-bucket/"]);
        assert_eq!(endpoint("no-such-bucket"), None);
        // Who means a bucket that is called like a data center says so.
        assert_eq!(found("podaac/").unwrap().0, ["s3://podaac/"]);
        for unknown in ["NOAA", "GES DISCO"] {
            assert!(found(unknown).unwrap_err().to_string().contains("GES_DISC"), "{unknown}");
        }
    }

    /// "UAT and others" (issue 5, item 9): each system has a login of its own, so of several
    /// buckets those of other systems are left out.
    #[test]
    fn several_places_are_those_of_the_logins_own_system() {
        let (production, uat, own) =
            ("urs.earthdata.nasa.gov", "uat.urs.earthdata.nasa.gov", "localhost:8080");
        for (source, host, places) in [
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
            let mut resolved = look_up(&source.parse().unwrap(), &BucketTable::built_in()).unwrap();
            assert_eq!(resolved.keep_known_to(host).is_ok(), places > 0, "{source} {host}");
            assert_eq!(resolved.places.len(), places, "{source} {host}");
        }
        let own = r#"{"b-1": {"endpoint": "https://tea.lab.org/s3credentials", "region": "us-west-2"},
                      "b-2": {"endpoint": "https://tea.uat.lab.org/s3credentials", "region": "us-west-2"}}"#;
        for host in [production, uat] {
            let mut resolved =
                look_up(&Source::Earthdata, &serde_json::from_str(own).unwrap()).unwrap();
            resolved.keep_known_to(host).unwrap();
            assert_eq!(resolved.places.len(), 2, "nobody knows whose login those want");
        }
    }

    #[test]
    fn a_bucket_that_the_table_knows_wins_over_a_data_center() {
        let table =
            r#"{"asf": {"endpoint": "https://d.org/s3credentials", "region": "us-west-2"}}"#;
        let resolved =
            look_up(&"asf".parse().unwrap(), &serde_json::from_str(table).unwrap()).unwrap();
        assert_eq!(resolved.places[0].endpoint.as_deref(), Some("https://d.org/s3credentials"));
        let none =
            look_up(&"podaac".parse().unwrap(), &serde_json::from_str(table).unwrap()).unwrap_err();
        assert_eq!(none.to_string(), "the table of buckets has none of podaac");
    }

    /// The links are from the recorded CMR answers, or of their shape.
    #[test]
    fn a_granule_is_its_directory_and_the_file_in_it() {
        for (source, place, file) in [
            ("s3://prod-lads/a/b/x.hdf", "s3://prod-lads/a/b/", Some("a/b/x.hdf")),
            ("s3://prod-lads/x.hdf", "s3://prod-lads/", Some("x.hdf")),
            (
                "https://archive.podaac.earthdata.nasa.gov/podaac-ops-cumulus-protected/T/GRD-3_v04.nc",
                "s3://podaac-ops-cumulus-protected/T/",
                Some("T/GRD-3_v04.nc"),
            ),
            (
                "https://data.gesdisc.earthdata.nasa.gov/data/GPM_L3/GPM_3IMERGHH.06/2019/051/3B.V06B.HDF5",
                "s3://gesdisc-cumulus-prod-protected/GPM_L3/GPM_3IMERGHH.06/2019/051/",
                Some("GPM_L3/GPM_3IMERGHH.06/2019/051/3B.V06B.HDF5"),
            ),
            (
                "https://data.ornldaac.earthdata.nasa.gov/protected/daymet/Daymet_Daily_V4R1/data/d.nc",
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
                found(source).unwrap(),
                (vec![place.to_owned()], file.map(Into::into)),
                "{source}"
            );
        }
        for unknown in [
            "https://elsewhere.org/data/x.nc",
            "https://data.lpdaac.earthdatacloud.nasa.gov/data/x.nc",
        ] {
            assert!(found(unknown).unwrap_err().to_string().contains("s3:// link"), "{unknown}");
        }
    }

    /// A link is pasted from anywhere: its host is not believed to be one that may see a token.
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
