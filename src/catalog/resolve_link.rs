//! From a data center's link to the bucket that holds what it links to.

use super::bucket_table::BucketTable;
use super::location::{is_bucket_name, parse_bucket_name};
use super::resolve::directory_of;
use super::resolved::ResolvedSource;
use super::{link_prefixes, system};
use crate::error::Error;

/// Data centers write the bucket as the first part of a link's path, or a word for it: ORNL
/// `protected`, GES DISC `data`.
///
/// Other links are looked up in the table of prefixes first. `None`: no rule knows which bucket it
/// is.
pub(super) fn resolve_link(
    host: &str,
    path: &str,
    table: &BucketTable,
) -> Result<Option<ResolvedSource>, Error> {
    if let Some((bucket, key)) = link_prefixes::bucket_and_key(host, path) {
        return Ok(Some(directory_of(&bucket, &key, table.get(&bucket))));
    }
    let (first, key) = path.split_once('/').unwrap_or((path, ""));
    if let Some(info) = table.get(first) {
        return Ok(Some(directory_of(first, key, Some(info))));
    }
    let at_host = table.iter().filter(|(_, info)| info.host() == host).collect::<Vec<_>>();
    let suffix = format!("-{first}");
    let ending_in_it =
        at_host.iter().filter(|(bucket, _)| bucket.ends_with(&suffix)).collect::<Vec<_>>();
    Ok(match (&at_host[..], &ending_in_it[..]) {
        (_, [(bucket, info)]) => Some(directory_of(bucket, key, Some(info))),
        // A bucket newer than the table has the endpoint of its neighbours at the same host.
        ([(_, neighbour), ..], _) if is_bucket_name(first) && first.contains('-') => {
            Some(directory_of(first, key, Some(*neighbour)))
        }
        ([(bucket, info)], _) => Some(directory_of(bucket, key, Some(info))),
        ([], _) if first.contains('-') && system::of_host(host).is_none() => {
            Some(directory_of(&parse_bucket_name(first)?, key, None))
        }
        _ => None,
    })
}

/// Returns the error for a link whose bucket nobody knows.
pub(super) fn unknown_link(host: &str, path: &str) -> Error {
    Error::usage(format!("which bucket has https://{host}/{path}? Give the granule's s3:// link"))
}

#[cfg(test)]
mod tests {
    use super::super::resolve::tests::{endpoint, resolved};

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
            (
                "https://nisar.asf.earthdatacloud.nasa.gov/NISAR/P_V1/g/g.h5",
                "s3://sds-n-cumulus-prod-nisar-products/P_V1/g/",
                Some("P_V1/g/g.h5"),
            ),
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
