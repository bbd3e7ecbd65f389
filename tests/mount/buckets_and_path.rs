//! `granulefs buckets [DAAC|TEXT]` prints the bucket table, and `granulefs path URL MOUNTPOINT` the
//! path of an s3:// or https link in a mount.

use std::fs;

use fake_daac::Setup;

use crate::harness::{BUCKET, TestEnvironment};

/// The columns are for people; the JSON is what `--buckets-file` reads.
#[test]
fn the_table_is_printed_with_endpoint_data_center_and_region() {
    let Some(environment) = TestEnvironment::with_setup(Setup::three_daacs()) else { return };
    let table = environment.buckets_file_path();
    let lines = |wanted: &[&str]| {
        let output =
            environment.run_granulefs(&[&["buckets", "--buckets-file", &table], wanted].concat());
        let text = String::from_utf8(output.must_succeed()).unwrap();
        text.lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    let endpoint = environment.fake_daac.credentials_url("ASF");
    let asf = [
        ["BUCKET", "DAAC", "REGION", "ENDPOINT"],
        ["asf-local-browse", "ASF", "us-west-2", &endpoint],
        ["asf-local-products", "ASF", "us-west-2", &endpoint],
    ];
    assert_eq!(lines(&["asf"]), asf);
    assert_eq!(lines(&["LOCAL"]).len(), 6);
    assert_eq!(lines(&["PO.DAAC"]).len(), 3);
    assert_eq!(lines(&[]).len(), 6);

    let json =
        environment.run_granulefs(&["buckets", "--json", "--buckets-file", &table]).must_succeed();
    let copy = format!("{table}.copy");
    fs::write(&copy, &json).unwrap();
    assert_eq!(
        environment.run_granulefs(&["buckets", "--json", "--buckets-file", &copy]).must_succeed(),
        json
    );
    let read: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let row = &read["podaac-local-public"];
    assert_eq!((row["daac"].as_str(), row["region"].as_str()), (Some("PODAAC"), Some("us-west-2")));
    assert_eq!(row["endpoint"].as_str().unwrap(), environment.fake_daac.credentials_url("PODAAC"));

    let none = environment.run_granulefs(&["buckets", "nowhere", "--buckets-file", &table]);
    assert_eq!((none.code, none.stdout_text().as_str()), (Some(1), ""));
    assert!(none.stderr.contains("nowhere"), "{}", none.stderr);
    assert_eq!(environment.fake_daac.stats().credentials, 0);
}

/// Without `--buckets-file` the built-in table is printed.
#[test]
fn the_built_in_table_is_printed_without_a_request() {
    let Some(environment) = TestEnvironment::start() else { return };
    let text =
        String::from_utf8(environment.run_granulefs(&["buckets", "GES DISC"]).must_succeed())
            .unwrap();
    assert!(text.contains("gesdisc-cumulus-prod-protected"), "{text}");
    assert_eq!(
        String::from_utf8(environment.run_granulefs(&["buckets"]).must_succeed())
            .unwrap()
            .lines()
            .count(),
        38
    );
    assert_eq!(environment.fake_daac.stats().s3_requests(), 0);
}

/// The path of every URL that is in the mount is printed, and opens the object; other URLs are
/// different errors.
#[test]
fn the_path_of_a_url_opens_its_object() {
    let Some(environment) = TestEnvironment::start() else { return };
    for key in [
        "p/a b/x%+.nc",
        "p/blue",
        "p/blue/y.nc",
        "p//z.nc",
        "p/dark.nc",
        "p/dark.nc/y.nc",
        "q/other.nc",
    ] {
        environment.fake_daac.put(BUCKET, key, key);
    }
    let mount = environment.mount("granules/p");
    let path = |url: &str, at: &str| {
        environment.run_granulefs(&[
            "path",
            url,
            at,
            "--buckets-file",
            &environment.buckets_file_path(),
        ])
    };
    let mountpoint = mount.path().display().to_string();
    // A directory shadows the object `p/dark.nc`, which has another name.
    for key in ["p/a b/x%+.nc", "p/blue/y.nc", "p//z.nc", "p/dark.nc", "p/dark.nc/y.nc"] {
        let link = environment.fake_daac.https_link(BUCKET, key);
        for url in [format!("s3://granules/{key}"), link] {
            let printed = String::from_utf8(path(&url, &mountpoint).must_succeed()).unwrap();
            assert_eq!(
                fs::read_to_string(printed.strip_suffix('\n').unwrap()).unwrap(),
                key,
                "{url}"
            );
        }
    }
    for (url, name) in [
        ("s3://granules/p/a b/", "a b"),
        ("s3://granules/p/", ""),
        ("s3://granules/p/blue/", "blue"),
    ] {
        let printed = String::from_utf8(path(url, &mountpoint).must_succeed()).unwrap();
        assert_eq!(
            printed.trim_end().trim_start_matches(&mountpoint).trim_start_matches('/'),
            name,
            "{url}"
        );
    }
    // A directory of the mount may be given instead of the mount point.
    let within = path("s3://granules/p/a b/x%+.nc", &format!("{mountpoint}/a b"));
    assert_eq!(within.stdout_text(), format!("{mountpoint}/a b/x%+.nc\n"));
    for (url, at, message) in [
        ("s3://granules/q/other.nc", &*mountpoint, "which does not hold s3://granules/q/other.nc"),
        ("s3://elsewhere/p/x.nc", &mountpoint, "which does not hold s3://elsewhere/p/x.nc"),
        ("s3://granules/p/missing.nc", &mountpoint, "s3://granules/p/missing.nc does not exist"),
        ("s3://granules/p/x.nc", "/", "/ is in no granulefs mount that has granules"),
        ("s3://granules/p/x.nc", "/nowhere", "/nowhere/granules: cannot look at this path"),
        ("podaac", &mountpoint, "s3:// URL"),
    ] {
        let output = path(url, at);
        assert_eq!((output.code, output.stdout_text().as_str()), (Some(1), ""), "{url}");
        assert!(output.stderr.contains(message), "{url}: {}", output.stderr);
    }
}
