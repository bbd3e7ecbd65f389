//! What to mount, in the forms that people have at hand.

use std::fmt;
use std::str::FromStr;

use super::collection::Collection;
use super::granule::Granule;
use super::link;
use super::location::{Location, parse_bucket_name};
use crate::error::Error;
use crate::object::Prefix;

/// What the user typed. Only a bucket table, or CMR, can tell which buckets it means:
/// [`resolve`](super::resolve()).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `earthdata`: every known bucket.
    Earthdata,
    /// A word that is a bucket or a data center.
    Word(String),
    /// `BUCKET/PREFIX` or `s3://BUCKET/PREFIX/`.
    Prefix(Location),
    /// `s3://BUCKET/KEY`, where the key ends in a file's name.
    File {
        /// The bucket's name.
        bucket: String,
        /// The whole key.
        key: String,
    },
    /// A data center's `https://HOST/PATH` of a granule.
    Link {
        /// `host` or `host:port`.
        host: String,
        /// The path, decoded, without its first slash.
        path: String,
    },
    /// A granule that CMR knows.
    Granule(Granule),
    /// `collection:...`, or a collection's concept id.
    Collection(Collection),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earthdata => f.write_str("earthdata"),
            Self::Word(word) => f.write_str(word),
            Self::Prefix(location) => write!(f, "{location}"),
            Self::File { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Self::Link { host, path } => write!(f, "https://{host}/{path}"),
            Self::Granule(granule) => write!(f, "{granule}"),
            Self::Collection(collection) => write!(f, "collection:{collection}"),
        }
    }
}

pub(super) const FORMS: &str = "write it as BUCKET/PREFIX, s3://BUCKET/PREFIX/, s3://BUCKET/KEY, \
                                a granule's https link, earthdata, a data center's name, or \
                                collection:SHORT_NAME";

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if let Some(name) = text.strip_prefix("collection:") {
            return name.parse().map(Self::Collection);
        }
        if let Some(path) = text.strip_prefix("s3://") {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            let bucket = parse_bucket_name(bucket)?;
            return Ok(match has_file_name(key) {
                true => Self::File { bucket, key: key.into() },
                false => Self::Prefix(Location::new(&bucket, key)),
            });
        }
        if text.contains("://") {
            return link::parse(text);
        }
        if link::is_link_without_scheme(text) {
            return link::parse(&format!("https://{text}"));
        }
        if is_path(text) {
            return Err(Error::usage(format!(
                "{text} is a path on this machine; what to mount comes first: granulefs mount \
                 SOURCE MOUNTPOINT"
            )));
        }
        if let Some(concept) = link::concept(text) {
            return Ok(concept);
        }
        match text.split_once('/') {
            Some((bucket, prefix)) => {
                Ok(Self::Prefix(Location::new(&parse_bucket_name(bucket)?, prefix)))
            }
            None if text.eq_ignore_ascii_case("earthdata") => Ok(Self::Earthdata),
            None if text.contains(|c: char| c.is_ascii_alphanumeric()) => {
                Ok(Self::Word(text.into()))
            }
            None => Err(Error::usage(FORMS)),
        }
    }
}

/// Returns whether `text` is written as a path, which no source is.
fn is_path(text: &str) -> bool {
    ["/", "./", "../", "~/"].iter().any(|start| text.starts_with(start))
        || matches!(text, "." | ".." | "~")
}

/// Returns whether the last part of `key` reads as a file's name rather than a directory's: it has
/// an extension. The version numbers that collections have behind a dot (`HLSS30.020`,
/// `MUR-JPL-L4-GLOB-v4.1`, `X.v003`) are none.
fn has_file_name(key: &str) -> bool {
    let (_, name) = Prefix::of_key(key);
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    let is_version = extension
        .strip_prefix(['v', 'V'])
        .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let is_short_word =
        extension.len() <= 8 && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let has_letter = extension.bytes().any(|byte| byte.is_ascii_alphabetic());
    !stem.is_empty() && is_short_word && has_letter && !is_version
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Source {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn a_bucket_and_a_prefix_are_written_in_many_ways() {
        for text in [
            "bucket/a/b",
            "bucket/a/b/",
            "s3://bucket/a/b",
            "s3://bucket/a/b/",
            " s3://bucket/a/b/\n",
        ] {
            assert_eq!(read(text), Source::Prefix(Location::new("bucket", "a/b/")), "{text}");
        }
        for text in ["bucket/", "s3://bucket", "s3://bucket/"] {
            assert_eq!(read(text), Source::Prefix(Location::new("bucket", "")), "{text}");
        }
        for text in [
            "",
            "s3://",
            "/a",
            "ftp://bucket/a",
            "BUCKET/a",
            "a/b",
            "s3://A/b",
            "https://",
            "https://d.org/",
            "-",
            "...",
        ] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_word_is_every_bucket_or_a_name_to_look_up() {
        for text in ["earthdata", "Earthdata", "EARTHDATA"] {
            assert_eq!(read(text), Source::Earthdata);
        }
        for text in ["bucket", "PO.DAAC", "GES DISC", "lp-public"] {
            assert_eq!(read(text), Source::Word(text.into()));
        }
    }

    #[test]
    fn a_collection_follows_its_own_word() {
        let collection = |text: &str| Source::Collection(text.parse().unwrap());
        assert_eq!(read("collection: ATL03@006"), collection("ATL03@006"));
        for text in ["collection:", "collection:@6", "collection:ATL03@"] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_differs_from_a_prefix_by_its_extension() {
        for key in [
            "c/20200101090000-JPL-L4_GHRSST-SSTfnd-MUR-GLOB-v02.0-fv04.1.nc",
            "ATLAS/ATL03/006/2019/11/30/ATL03_20191130221008_09930503_006_01.h5",
            "HLSS30.020/HLS.S30.T45RUK.2022182T044711.v2.0/\
             HLS.S30.T45RUK.2022182T044711.v2.0.B01.tif",
            "3B-HHR.MS.MRG.3IMERG.20190220-S000000-E002959.0000.V06B.HDF5",
            "nalma__1/NALMA_221108_005000_0600.dat.gz",
            "x.cmr.json",
            "a/x.h4",
        ] {
            assert_eq!(
                read(&format!("s3://bucket/{key}")),
                Source::File { bucket: "bucket".into(), key: key.into() }
            );
            // Without s3:// it is always a prefix.
            assert_eq!(
                read(&format!("bucket/{key}")),
                Source::Prefix(Location::new("bucket", key))
            );
            assert_eq!(
                read(&format!("s3://bucket/{key}/")),
                Source::Prefix(Location::new("bucket", key))
            );
        }
        for prefix in [
            "HLSS30.020",
            "MUR-JPL-L4-GLOB-v4.1",
            "X.v003",
            "GPM_L3/GPM_3IMERGHH.06",
            "a/.hidden",
            "a.b/c",
            "x.not-one",
        ] {
            assert_eq!(
                read(&format!("s3://bucket/{prefix}")),
                Source::Prefix(Location::new("bucket", prefix)),
                "{prefix}"
            );
        }
    }

    #[test]
    fn a_link_is_read_without_what_browsers_add() {
        let link = |host: &str, path: &str| Source::Link { host: host.into(), path: path.into() };
        for (text, source) in [
            ("https://d.org/b-1/a/x.nc", link("d.org", "b-1/a/x.nc")),
            (
                "HTTPS://D.org:443/b-1/a%20b/x%2B.nc?A-userid=jane#top",
                link("d.org", "b-1/a b/x+.nc"),
            ),
            ("http://127.0.0.1:8080/b-1/", link("127.0.0.1:8080", "b-1/")),
            ("https://jane:pw@d.org//b-1/x", link("d.org", "b-1/x")),
        ] {
            assert_eq!(read(text), source, "{text}");
        }
        assert!("https://d.org/b-1/%FF".parse::<Source>().is_err());
    }
}
