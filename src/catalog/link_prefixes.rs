//! Links whose path does not name the bucket: which bucket and key each of their prefixes stands
//! for.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// `HOST/PATH` to `BUCKET/KEY`. A word in braces stands for one part of the path, `{rest}` for all
/// that is left, and `{granule}` for the start of `{file}` up to its version.
static PREFIXES: LazyLock<BTreeMap<String, String>> =
    LazyLock::new(|| serde_json::from_str(include_str!("link_prefixes.json")).unwrap_or_default());

/// Returns the bucket and the key of `https://HOST/PATH`, by the longest prefix that the table has.
/// A link to a directory gives a key that is empty or ends in a slash.
pub(super) fn bucket_and_key(host: &str, path: &str) -> Option<(String, String)> {
    let link = format!("{host}/{path}");
    let matches = PREFIXES.iter().filter_map(|(pattern, target)| {
        let key = filled(target, &parts(pattern, &link)?);
        let literal = pattern.find('{').unwrap_or(pattern.len());
        Some((literal, key))
    });
    let (_, object) = matches.max_by_key(|(literal, _)| *literal)?;
    object.split_once('/').map(|(bucket, key)| (bucket.into(), key.into()))
}

/// Returns what the words in braces stand for. `None`: `link` is not of this form.
fn parts<'a>(pattern: &'a str, link: &'a str) -> Option<BTreeMap<&'a str, &'a str>> {
    let mut parts = BTreeMap::new();
    let mut left = Some(link);
    for wanted in pattern.split('/') {
        let word = wanted.strip_prefix('{').and_then(|word| word.strip_suffix('}'));
        let rest = left.unwrap_or_default();
        if word == Some("rest") {
            parts.insert("rest", rest);
            return Some(parts);
        }
        let (part, after) =
            rest.split_once('/').map_or((rest, None), |(part, after)| (part, Some(after)));
        match word {
            Some(word) if !part.is_empty() => {
                parts.insert(word, part);
            }
            Some(_) => return after.is_none().then_some(parts),
            None if part == wanted => {}
            None => return None,
        }
        left = after;
    }
    if let Some(granule) = parts.get("file").and_then(|file| granule_of(file)) {
        parts.insert("granule", granule);
    }
    left.is_none().then_some(parts)
}

/// Returns the part of a file's name that all files of its granule share: what ends in a version
/// like `_v1.0`.
fn granule_of(file: &str) -> Option<&str> {
    let start = file.rfind("_v")? + "_v".len();
    let version = file[start..].bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.');
    let granule = file[..start + version.count()].trim_end_matches('.');
    (granule.len() > start).then_some(granule)
}

/// Returns `target` with its words filled in, as far as they are known: a directory where one is
/// missing.
fn filled(target: &str, parts: &BTreeMap<&str, &str>) -> String {
    let mut filled = String::new();
    for (index, wanted) in target.split('/').enumerate() {
        if index > 0 {
            filled.push('/');
        }
        match wanted.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
            None => filled.push_str(wanted),
            Some(word) => match parts.get(word) {
                Some(part) => filled.push_str(part),
                None => return filled,
            },
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::BucketTable;

    #[test]
    fn the_table_is_readable_and_its_buckets_are_known() {
        let table = BucketTable::built_in();
        assert!(!PREFIXES.is_empty());
        for (pattern, target) in &*PREFIXES {
            let (bucket, _) = target.split_once('/').unwrap();
            assert!(table.get(bucket).is_some(), "{pattern}: {bucket}");
        }
    }

    #[test]
    fn each_form_of_a_link_is_its_bucket_and_key() {
        let rtc = "OPERA_L2_RTC-S1_T035-073251-IW2_20240113T020816Z_20240113T113128Z_S1A_30_v1.0";
        let (datapool, opera) =
            ("datapool.asf.alaska.edu/RTC/OPERA-S1", "asf-cumulus-prod-opera-products");
        for (link, object) in [
            (
                "nisar.asf.earthdatacloud.nasa.gov/NISAR/NISAR_L2_GCOV_BETA_V1/g/g.h5".into(),
                "sds-n-cumulus-prod-nisar-products/NISAR_L2_GCOV_BETA_V1/g/g.h5".into(),
            ),
            (
                "nisar.asf.earthdatacloud.nasa.gov/NISAR/".into(),
                "sds-n-cumulus-prod-nisar-products/".into(),
            ),
            (
                "cumulus.asf.earthdatacloud.nasa.gov/OPERA/OPERA_L2_CSLC-S1/g/g.h5".into(),
                format!("{opera}/OPERA_L2_CSLC-S1/g/g.h5"),
            ),
            (
                format!("{datapool}/{rtc}_VV.tif"),
                format!("{opera}/OPERA_L2_RTC-S1/{rtc}/{rtc}_VV.tif"),
            ),
            (
                format!("{datapool}/{rtc}.h5"),
                format!("{opera}/OPERA_L2_RTC-S1/{rtc}/{rtc}.h5"),
            ),
            // Its directory is not known, so this is the collection's.
            (format!("{datapool}/odd.tif"), format!("{opera}/OPERA_L2_RTC-S1/")),
            (
                "sentinel1.asf.alaska.edu/SLC/SA/S1A_IW_SLC__1SDV_F.zip".into(),
                "asf-ngap2w-p-s1-slc-7b420b89/S1A_IW_SLC__1SDV_F.zip".into(),
            ),
            (
                "ladsweb.modaps.eosdis.nasa.gov/archive/allData/61/MOD021KM/2020/001/M.A2020001.hdf"
                    .into(),
                "prod-lads/MOD021KM/M.A2020001.hdf".into(),
            ),
            (
                "ladsweb.modaps.eosdis.nasa.gov/archive/allData/61/MOD021KM/".into(),
                "prod-lads/MOD021KM/".into(),
            ),
            (
                "oceandata.sci.gsfc.nasa.gov/getfile/PACE_OCI.L2.nc".into(),
                "ob-cumulus-prod-public/PACE_OCI.L2.nc".into(),
            ),
            (
                "oceandata.sci.gsfc.nasa.gov/ob/getfile/PACE_OCI.L2.nc".into(),
                "ob-cumulus-prod-public/PACE_OCI.L2.nc".into(),
            ),
        ] {
            let (host, path) = link.split_once('/').unwrap();
            let found = bucket_and_key(host, path).map(|(bucket, key)| format!("{bucket}/{key}"));
            assert_eq!(found, Some(object), "{link}");
        }
        for (host, path) in [
            ("nisar.asf.earthdatacloud.nasa.gov", "OTHER/x.h5"),
            ("elsewhere.org", "NISAR/x.h5"),
            ("oceandata.sci.gsfc.nasa.gov", "getfile/a/b.nc"),
            ("oceandata.sci.gsfc.nasa.gov", "getfile_other/b.nc"),
        ] {
            assert_eq!(bucket_and_key(host, path), None, "{host}/{path}");
        }
    }

    #[test]
    fn a_granule_ends_in_its_version() {
        for (file, granule) in [
            ("A_30_v1.0_VV.tif", Some("A_30_v1.0")),
            ("A_30_v1.0.h5", Some("A_30_v1.0")),
            ("A_v10.iso.xml", Some("A_v10")),
            ("A_vv.tif", None),
            ("A.tif", None),
        ] {
            assert_eq!(granule_of(file), granule, "{file}");
        }
    }
}
