//! Collections whose granules are in several buckets.

use std::fs;

use fake_daac::{Daac, Family, Setup};
use serde_json::{Value, json};

use super::mount_command;
use crate::harness::{TestEnvironment, names_in};

/// Publishes a collection whose record states these prefixes and whose granules have these files.
fn publish(environment: &TestEnvironment, claims: &[&str], granules: &[&[&str]]) {
    let granule = |(day, files): (usize, &&[&str])| {
        let urls =
            files.iter().map(|url| json!({ "URL": url, "Type": "GET DATA VIA DIRECT ACCESS" }));
        json!({ "umm": {
            "CollectionReference": { "ShortName": "WIDE", "Version": "1" },
            "TemporalExtent": { "RangeDateTime": {
                "BeginningDateTime": format!("2020-01-{day:02}T00:00:00.000Z"),
            } },
            "RelatedUrls": urls.collect::<Vec<_>>(),
        } })
    };
    let record = json!({
        "meta": { "concept-id": "C1-LOCAL" },
        "umm": { "ShortName": "WIDE", "Version": "1", "DirectDistributionInformation": {
            "Region": "us-west-2", "S3BucketAndObjectPrefixNames": claims,
        } },
    });
    let granules = granules.iter().enumerate().map(granule).collect::<Vec<_>>();
    environment.fake_daac.publish_recorded("PODAAC", vec![record], &granules);
}

/// Each bucket that a granule's links name has a directory, and buckets that only the record names
/// have none; a single bucket is the root of the mount.
#[test]
fn a_collection_in_several_buckets_has_a_directory_for_each_bucket_of_its_granules() {
    const OPS: &str = "s3://podaac-local-protected/W.v1/a.nc";
    const MAPS: &str = "s3://podaac-local-public/W.v1/a.tif";
    const OLD: &str = "s3://asf-local-products/W/1/a.nc";
    const SUM: &str = "s3://podaac-local-public/W.v1/a.nc.md5";
    let claims =
        ["podaac-local-public/W.v1", "podaac-local-protected/W.v1/", "nsidc-local-protected/W.v1"];
    for (granules, shown, note) in [
        (&[&[OPS, SUM][..]][..], &[][..], ""),
        (
            &[&[OPS, MAPS]],
            &[OPS, MAPS][..],
            "WIDE is in 2 buckets: the mount has a directory for each",
        ),
        (
            &[&[OLD], &[OPS], &[OPS, MAPS]],
            &[OLD, OPS, MAPS],
            "but its granules are in s3://asf-local-products/W/1/;",
        ),
    ] {
        let Some(environment) = TestEnvironment::with_setup(Setup::three_daacs()) else { return };
        for url in [OPS, MAPS, OLD, SUM] {
            let (bucket, key) = url.strip_prefix("s3://").unwrap().split_once('/').unwrap();
            environment.fake_daac.put(bucket, key, url);
        }
        publish(&environment, &claims, granules);
        let (mount, output) = mount_command(&environment, "WIDE").mount_with_output();
        assert_eq!(
            (output.stderr.is_empty(), output.stderr.contains(note)),
            (note.is_empty(), true),
            "{}",
            output.stderr
        );
        if shown.is_empty() {
            assert_eq!(names_in(&mount.path()), ["a.nc"]);
            continue;
        }
        let bucket_of = |url: &str| url.split('/').nth(2).unwrap().to_owned();
        assert_eq!(
            names_in(&mount.path()),
            shown.iter().map(|url| bucket_of(url)).collect::<Vec<_>>()
        );
        for url in shown {
            let name = url.rsplit('/').next().unwrap();
            let path = mount.at(bucket_of(url)).join(name);
            assert_eq!(fs::read_to_string(&path).unwrap(), *url);
            let printed =
                environment.run_granulefs(&["path", url, &mount.path().display().to_string()]);
            assert_eq!(printed.stdout_text(), format!("{}\n", path.display()));
        }
        assert!(
            mount.directory().mountinfo_lines()[0].contains(" collection:WIDE "),
            "{:?}",
            mount.directory().mountinfo_lines()
        );
        assert_eq!(
            ["PODAAC", "NSIDC"].map(|daac| environment.fake_daac.daac_stats(daac).issued),
            [1, 0]
        );
        let doctor = environment.run_granulefs(&[
            "doctor",
            "collection:WIDE",
            "--cmr-host",
            &environment.fake_daac.cmr_host(),
            "--buckets-file",
            &environment.buckets_file_path(),
        ]);
        assert_eq!(
            (doctor.code, doctor.stdout_text().matches("can be read").count()),
            (Some(0), shown.len()),
            "{}",
            doctor.stdout_text()
        );
    }
}

/// Recorded answers of CMR can be mounted. The granules of TELLUS have their data in one bucket and
/// their maps in another.
#[test]
fn a_recorded_collection_in_two_buckets_shows_both() {
    const SHORT_NAME: &str = "TELLUS_GRAC_L3_JPL_RL06_LND_v04";
    let buckets = ["podaac-ops-cumulus-protected", "podaac-ops-cumulus-public"];
    let daac = Daac {
        name: "PODAAC".into(),
        family: Family::Cumulus,
        buckets: buckets.map(Into::into).into(),
    };
    let Some(environment) =
        TestEnvironment::with_setup(Setup { daacs: vec![daac], ..Setup::default() })
    else {
        return;
    };
    let recorded: Value = serde_json::from_str(include_str!(
        "../../../src/catalog/cmr/recorded/granules-tellus.json"
    ))
    .unwrap();
    let granules = recorded["body"]["items"].as_array().unwrap();
    for url in granules.iter().flat_map(|granule| granule["umm"]["RelatedUrls"].as_array().unwrap())
    {
        if let Some((bucket, key)) =
            url["URL"].as_str().unwrap().strip_prefix("s3://").and_then(|url| url.split_once('/'))
        {
            environment.fake_daac.put(bucket, key, "data");
        }
    }
    let collections: Value = serde_json::from_str(include_str!(
        "../../../src/catalog/cmr/recorded/collections-poc.json"
    ))
    .unwrap();
    let mut record = collections["items"][1].clone();
    let claims = buckets.map(|bucket| format!("{bucket}/{SHORT_NAME}/"));
    record["umm"]["ShortName"] = SHORT_NAME.into();
    record["umm"]["Version"] = granules[0]["umm"]["CollectionReference"]["Version"].clone();
    record["umm"]["DirectDistributionInformation"]["S3BucketAndObjectPrefixNames"] = json!(claims);
    environment.fake_daac.publish_recorded("PODAAC", vec![record], granules);
    let (mount, output) = mount_command(&environment, SHORT_NAME).mount_with_output();
    assert!(output.stderr.contains("is in 2 buckets"), "{}", output.stderr);
    assert_eq!(names_in(&mount.path()), buckets);
    for (bucket, extension, count) in
        [(buckets[0], ".nc", 12), (buckets[1], ".tif", 12), (buckets[1], ".txt", 12)]
    {
        let found = names_in(&mount.at(bucket))
            .into_iter()
            .filter(|name| name.ends_with(extension))
            .count();
        assert_eq!(found, count, "{bucket} {extension}");
    }
}
