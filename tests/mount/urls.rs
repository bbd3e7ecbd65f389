//! "`granulefs buckets [DAAC|text]`: the table with endpoint, DAAC and region; `--json`. `granulefs
//! path URL MOUNTPOINT` prints where an s3:// or https link lies in a mount." (issue 5, item 3)

use std::fs;

use fake_daac::Setup;

use crate::harness::{BUCKET, Site};

/// The columns are for people; the JSON is what `--buckets-file` reads.
#[test]
fn the_table_is_told_with_endpoint_data_center_and_region() {
    let Some(site) = Site::of(Setup::three_daacs()) else { return };
    let table = site.table();
    let lines = |wanted: &[&str]| {
        let ran = site.ask(&[&["buckets", "--buckets-file", &table], wanted].concat());
        let text = String::from_utf8(ran.success()).unwrap();
        text.lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    let endpoint = site.archive.credentials_url("ASF");
    let asf = [
        ["BUCKET", "DAAC", "REGION", "ENDPOINT"],
        ["asf-local-browse", "ASF", "us-west-2", &endpoint],
        ["asf-local-products", "ASF", "us-west-2", &endpoint],
    ];
    assert_eq!(lines(&["asf"]), asf);
    assert_eq!(lines(&["LOCAL"]).len(), 6);
    assert_eq!(lines(&["PO.DAAC"]).len(), 3);
    assert_eq!(lines(&[]).len(), 6);

    let json = site.ask(&["buckets", "--json", "--buckets-file", &table]).success();
    let copy = format!("{table}.copy");
    fs::write(&copy, &json).unwrap();
    assert_eq!(site.ask(&["buckets", "--json", "--buckets-file", &copy]).success(), json);
    let read: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let row = &read["podaac-local-public"];
    assert_eq!((row["daac"].as_str(), row["region"].as_str()), (Some("PODAAC"), Some("us-west-2")));
    assert_eq!(row["endpoint"].as_str().unwrap(), site.archive.credentials_url("PODAAC"));

    let none = site.ask(&["buckets", "nowhere", "--buckets-file", &table]);
    assert_eq!((none.code, none.text().as_str()), (Some(1), ""));
    assert!(none.stderr.contains("nowhere"), "{}", none.stderr);
    assert_eq!(site.archive.stats().credentials, 0);
}

/// Without a file it is the built-in table, and whoever has read enough may close the pipe.
#[test]
fn the_built_in_table_is_told_without_a_question_to_anybody() {
    let Some(site) = Site::start() else { return };
    let text = String::from_utf8(site.ask(&["buckets", "GES DISC"]).success()).unwrap();
    assert!(text.contains("gesdisc-cumulus-prod-protected"), "{text}");
    assert_eq!(String::from_utf8(site.ask(&["buckets"]).success()).unwrap().lines().count(), 37);
    assert_eq!(site.archive.stats().s3_requests(), 0);
}

/// Every URL that has a place in the mount has the path at which it opens; the others are told
/// apart.
#[test]
fn a_url_has_the_path_at_which_it_opens() {
    let Some(site) = Site::start() else { return };
    for key in [
        "p/a b/x%+.nc",
        "p/blue",
        "p/blue/y.nc",
        "p//z.nc",
        "p/dark.nc",
        "p/dark.nc/y.nc",
        "q/other.nc",
    ] {
        site.archive.put(BUCKET, key, key);
    }
    let mount = site.mount("granules/p");
    let path = |url: &str, at: &str| site.ask(&["path", url, at, "--buckets-file", &site.table()]);
    let mountpoint = mount.path().display().to_string();
    // A directory shadows the object `p/dark.nc`, which is beside it under another name.
    for key in ["p/a b/x%+.nc", "p/blue/y.nc", "p//z.nc", "p/dark.nc", "p/dark.nc/y.nc"] {
        let link = site.archive.https_link(BUCKET, key);
        for url in [format!("s3://granules/{key}"), link] {
            let told = String::from_utf8(path(&url, &mountpoint).success()).unwrap();
            assert_eq!(fs::read_to_string(told.strip_suffix('\n').unwrap()).unwrap(), key, "{url}");
        }
    }
    for (url, name) in [
        ("s3://granules/p/a b/", "a b"),
        ("s3://granules/p/", ""),
        ("s3://granules/p/blue/", "blue"),
    ] {
        let told = String::from_utf8(path(url, &mountpoint).success()).unwrap();
        assert_eq!(
            told.trim_end().trim_start_matches(&mountpoint).trim_start_matches('/'),
            name,
            "{url}"
        );
    }
    // From a directory within, too.
    let within = path("s3://granules/p/a b/x%+.nc", &format!("{mountpoint}/a b"));
    assert_eq!(within.text(), format!("{mountpoint}/a b/x%+.nc\n"));
    for (url, at, said) in [
        ("s3://granules/q/other.nc", &*mountpoint, "which does not hold s3://granules/q/other.nc"),
        ("s3://elsewhere/p/x.nc", &mountpoint, "which does not hold s3://elsewhere/p/x.nc"),
        ("s3://granules/p/missing.nc", &mountpoint, "s3://granules/p/missing.nc does not exist"),
        ("s3://granules/p/x.nc", "/", "/ is in no granulefs mount that has granules"),
        ("s3://granules/p/x.nc", "/nowhere", "/nowhere/granules: cannot look at this path"),
        ("podaac", &mountpoint, "s3:// URL"),
    ] {
        let ran = path(url, at);
        assert_eq!((ran.code, ran.text().as_str()), (Some(1), ""), "{url}");
        assert!(ran.stderr.contains(said), "{url}: {}", ran.stderr);
    }
}
