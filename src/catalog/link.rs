//! Links, as people copy them from a browser.

use percent_encoding::percent_decode_str;

use super::collection::Collection;
use super::granule::{Granule, is_concept_id};
use super::source::Source;
use crate::error::Error;
use crate::http::Url;
use crate::http::host::host_of;

/// Reads a link. Nothing is asked for: the link of an object in S3 says where it is, links of CMR
/// and OPeNDAP name a granule or a collection, and every other one is a data center's.
pub(super) fn parse(text: &str) -> Result<Source, Error> {
    let url = Url::parse(text).map_err(|_| {
        Error::usage("the link is not complete: it is https://HOST/PATH of a granule's file")
    })?;
    // Plain http is as good as https here, since nothing is fetched from the link.
    if !matches!(url.scheme(), "https" | "http") {
        return Err(Error::usage(super::source::FORMS));
    }
    let path = percent_decode_str(url.path().trim_start_matches('/')).decode_utf8();
    let path = path.map_err(|_| Error::usage("the link holds a name that is not UTF-8"))?;
    let host = host_of(&url);
    if let Some(in_s3) = in_s3(&host, &path) {
        return format!("s3://{in_s3}").parse();
    }
    if let Some(source) = in_cmr(&host, &path).or_else(|| in_earthdata_search(&host, &url)) {
        return Ok(source);
    }
    if path.is_empty() {
        return Err(Error::usage("the link names no granule"));
    }
    Ok(Source::Link { host, path: path.into() })
}

/// Returns whether `text`, written without `https://`, starts with a host that has links.
#[must_use]
pub fn is_link_without_scheme(text: &str) -> bool {
    let host = text.split('/').next().unwrap_or_default();
    [".nasa.gov", ".asf.alaska.edu", ".amazonaws.com"].iter().any(|end| host.ends_with(end))
}

/// Returns `BUCKET/KEY` of an object's own URL: `BUCKET.s3.REGION.amazonaws.com/KEY`, or
/// `s3.REGION.amazonaws.com/BUCKET/KEY`.
fn in_s3(host: &str, path: &str) -> Option<String> {
    let name = host.strip_suffix(".amazonaws.com")?;
    let is_s3 = |text: &str| text == "s3" || text.starts_with("s3.") || text.starts_with("s3-");
    // The name of a bucket may hold dots, begin with "s3-", and one of its parts be "s3".
    let mut dots = name.rmatch_indices('.').map(|(at, _)| at);
    match dots.find(|at| is_s3(&name[at + 1..])) {
        Some(at) => Some(format!("{}/{path}", &name[..at])),
        None => is_s3(name).then(|| path.to_owned()),
    }
}

/// Returns the concept that `text` is the id of.
pub(super) fn concept(text: &str) -> Option<Source> {
    if is_concept_id(text, 'G') {
        return Some(Source::Granule(Granule::Concept(text.into())));
    }
    is_concept_id(text, 'C').then(|| Source::Collection(Collection::Concept(text.into())))
}

/// Returns what a link to CMR or to OPeNDAP names.
fn in_cmr(host: &str, path: &str) -> Option<Source> {
    if host.starts_with("cmr.") {
        let path = path.strip_prefix("search/").unwrap_or(path);
        let path = path.strip_prefix("virtual-directory/").unwrap_or(path);
        let id = path.strip_prefix("concepts/").or_else(|| path.strip_prefix("collections/"))?;
        return concept(id.split(['.', '/']).next()?);
    }
    if !host.starts_with("opendap.") {
        return None;
    }
    let (_, path) = path.split_once("collections/")?;
    match path.split_once("/granules/") {
        Some((collection, ur)) if !ur.is_empty() => {
            Some(Source::Granule(Granule::Named { collection: collection.into(), ur: ur.into() }))
        }
        _ => concept(path.split('/').next()?),
    }
}

/// Returns what a page of Earthdata Search shows: a granule, or the first of its collections.
fn in_earthdata_search(host: &str, url: &Url) -> Option<Source> {
    if !host.starts_with("search.") || !host.ends_with(".nasa.gov") {
        return None;
    }
    let value = |wanted: &str| {
        let (_, value) = url.query_pairs().find(|(name, _)| name == wanted)?;
        concept(value.split('!').find(|id| !id.is_empty())?)
    };
    value("g").or_else(|| value("p"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Source {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn an_objects_own_url_is_its_bucket_and_key() {
        for host in [
            "b-1.s3.us-west-2.amazonaws.com",
            "b-1.s3-us-west-2.amazonaws.com",
            "b-1.s3.amazonaws.com",
            "b-1.s3.dualstack.us-west-2.amazonaws.com",
            "s3.us-west-2.amazonaws.com/b-1",
            "s3-us-west-2.amazonaws.com/b-1",
            "s3.amazonaws.com/b-1",
        ] {
            for text in [format!("https://{host}"), host.to_owned()] {
                assert_eq!(read(&format!("{text}/a/x%2B.nc?v=1")), read("s3://b-1/a/x+.nc"));
                assert_eq!(read(&format!("{text}/a/")), read("s3://b-1/a/"));
                assert_eq!(read(&format!("{text}/")), read("s3://b-1/"));
            }
        }
        let dotted = "https://b.s3.x.s3.us-west-2.amazonaws.com/x.nc";
        assert_eq!(read(dotted), read("s3://b.s3.x/x.nc"));
        assert!("https://s3.us-west-2.amazonaws.com/".parse::<Source>().is_err());
    }

    #[test]
    fn cmr_and_opendap_name_granules_and_collections() {
        let granule = Source::Granule(Granule::Concept("G12-POCLOUD".into()));
        let collection = Source::Collection(Collection::Concept("C12-GES_DISC".into()));
        let named = |collection: &str, ur: &str| {
            Source::Granule(Granule::Named { collection: collection.into(), ur: ur.into() })
        };
        for (text, source) in [
            ("G12-POCLOUD", &granule),
            ("C12-GES_DISC", &collection),
            ("https://cmr.earthdata.nasa.gov/search/concepts/G12-POCLOUD", &granule),
            ("https://cmr.earthdata.nasa.gov/search/concepts/G12-POCLOUD.umm_json", &granule),
            ("https://cmr.earthdata.nasa.gov/search/concepts/C12-GES_DISC/4.html", &collection),
            ("cmr.uat.earthdata.nasa.gov/search/concepts/C12-GES_DISC", &collection),
            (
                "https://cmr.earthdata.nasa.gov/virtual-directory/collections/C12-GES_DISC",
                &collection,
            ),
            ("https://opendap.earthdata.nasa.gov/collections/C12-GES_DISC", &collection),
            (
                "https://opendap.earthdata.nasa.gov/collections/C12-GES_DISC/granules/A%3Ab.nc",
                &named("C12-GES_DISC", "A:b.nc"),
            ),
            (
                "https://opendap.earthdata.nasa.gov/providers/P/collections/A%20title/granules/x",
                &named("A title", "x"),
            ),
            (
                "https://search.earthdata.nasa.gov/search/granules?p=C12-GES_DISC!C13-X&pg[0][v]=f",
                &collection,
            ),
            ("https://search.earthdata.nasa.gov/search/granules?p=C1-X&g=G12-POCLOUD", &granule),
        ] {
            assert_eq!(read(text), *source, "{text}");
        }
    }

    #[test]
    fn a_known_host_needs_no_https_before_it() {
        let path = "lp-prod-protected/a/x.tif";
        for host in ["data.lpdaac.earthdatacloud.nasa.gov", "cumulus.asf.alaska.edu"] {
            assert_eq!(
                read(&format!("{host}/{path}")),
                Source::Link { host: host.into(), path: path.into() }
            );
        }
        assert!(matches!(read("my.bucket.org/a/x.tif"), Source::Prefix(_)));
    }
}
