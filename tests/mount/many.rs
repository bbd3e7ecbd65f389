//! "One mount, many buckets: (...) credentials are fetched lazily per endpoint at the first access below a bucket, swapped per endpoint,
//! and one endpoint's failure touches no other bucket. Listing the top costs no request." (issue 5, item 1)

use std::fs;
use std::path::Path;
use std::time::Duration;

use archive::{EndpointAnswer, Setup};

use crate::harness::{Mount, PATIENCE, Site, errno, eventually, tool};

const BUCKETS: [&str; 5] =
    ["asf-local-browse", "asf-local-products", "nsidc-local-protected", "podaac-local-protected", "podaac-local-public"];

fn site() -> Option<Site> {
    let site = Site::of(Setup::three_daacs())?;
    for bucket in BUCKETS {
        for key in ["a/x.nc", "a/y.nc", "b/z.nc"] {
            site.archive.put(bucket, key, format!("{bucket} {key}").into_bytes());
        }
    }
    Some(site)
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[track_caller]
fn must_be_readable(mount: &Mount, bucket: &str) {
    let path = mount.at(bucket).join("a/x.nc");
    assert_eq!(fs::read_to_string(&path).unwrap_or_else(|e| panic!("{bucket}: {e}")), format!("{bucket} a/x.nc"));
}

fn issued(site: &Site) -> [u64; 3] {
    ["PODAAC", "NSIDC", "ASF"].map(|daac| site.archive.daac_stats(daac).issued)
}

#[test]
fn the_top_is_free_and_each_endpoint_is_asked_at_the_first_access_below_its_buckets() {
    let Some(site) = site() else { return };
    let mount = site.plan_by_table("earthdata").mount();
    assert_eq!(names(&mount.path()), BUCKETS);
    assert_eq!(String::from_utf8(tool(&mount.path(), "ls", ["-1"]).success()).unwrap().lines().collect::<Vec<_>>(), BUCKETS);
    tool(&mount.path(), "ls", ["-l"]).success();
    assert_eq!(errno(fs::metadata(mount.at("no-such-bucket"))), libc::ENOENT);
    assert_eq!(errno(fs::metadata(mount.at(BUCKETS[0]))), 0);
    assert_eq!((issued(&site), site.archive.stats().s3_requests(), site.archive.stats().credentials), ([0; 3], 0, 0));
    must_be_readable(&mount, "nsidc-local-protected");
    assert_eq!(issued(&site), [0, 1, 0]);
    for bucket in BUCKETS {
        must_be_readable(&mount, bucket);
    }
    assert_eq!(issued(&site), [1, 1, 1], "buckets of one endpoint share a login");
    let url = |path: &str| xattr::get(mount.at(path), "user.s3.url").unwrap().map(|url| String::from_utf8(url).unwrap());
    assert_eq!((url(""), url("asf-local-browse").as_deref()), (None, Some("s3://asf-local-browse/")));
    let path = site.ask(&["path", "s3://asf-local-browse/a/x.nc", &mount.path().display().to_string()]);
    assert_eq!(path.text(), format!("{}\n", mount.at("asf-local-browse/a/x.nc").display()));
}

#[test]
fn a_data_center_shows_its_own_buckets() {
    let Some(site) = site() else { return };
    let mount = site.plan_by_table("PO.DAAC").mount();
    assert_eq!(names(&mount.path()), BUCKETS[3..]);
    assert!(mount.place().mounts()[0].contains(" PO.DAAC "), "{:?}", mount.place().mounts());
}

/// With "a read that fails later for such a reason leaves one clear log line, not one per read" (item 6).
#[test]
fn one_endpoints_failure_touches_no_other_bucket_and_is_logged_once() {
    for answer in [EndpointAnswer::Unavailable, EndpointAnswer::NoPermission] {
        let Some(site) = site() else { return };
        site.archive.set(|knobs| knobs.daac("ASF").endpoint = Some(answer));
        let mount = site.plan_by_table("earthdata").args(&["--timeout=2s"]).mount();
        for _ in 0..3 {
            assert_eq!(errno(fs::read(mount.at("asf-local-products/a/x.nc"))), libc::EACCES, "{answer:?}");
        }
        for bucket in &BUCKETS[2..] {
            must_be_readable(&mount, bucket);
        }
        let log = mount.log();
        let failed: Vec<_> = log.lines().filter(|line| line.contains("failed")).collect();
        assert!(matches!(failed[..], [line] if line.contains(&site.archive.credentials_url("ASF"))), "{answer:?}: {log}");
        site.archive.set(|knobs| knobs.daacs.clear());
        if answer == EndpointAnswer::Unavailable {
            eventually("it recovers", PATIENCE, || errno(fs::read(mount.at("asf-local-products/a/x.nc"))) == 0);
        }
    }
}

#[test]
fn trees_of_both_families_are_walked_and_copied_across_expiries() {
    let Some(site) = site() else { return };
    site.archive.set(|knobs| knobs.credential_life = Duration::from_secs(2));
    let mount = site.plan_by_table("earthdata").mount();
    let found = || String::from_utf8(tool(&mount.path(), "find", [".", "-type", "f"]).success()).unwrap().lines().count();
    eventually("each endpoint has swapped", PATIENCE, || {
        assert_eq!(found(), 15);
        for bucket in BUCKETS {
            must_be_readable(&mount, bucket);
        }
        tool(&mount.path(), env!("CARGO_BIN_EXE_granulefs"), ["refresh", "."]).success();
        issued(&site).iter().all(|issued| *issued > 2)
    });
    let copy = tempfile::tempdir().unwrap();
    let to = copy.path().display().to_string();
    tool(&mount.path(), "cp", ["-r", ".", &to]).success();
    tool(&mount.path(), "diff", ["-r", ".", &to]).success();
}

/// Names are taken anew below one bucket, or all of them.
#[test]
fn a_refresh_is_of_one_bucket_or_of_all() {
    let Some(site) = site() else { return };
    let mount = site.plan_by_table("earthdata").args(&["--metadata-ttl=1h"]).mount();
    let (one, other) = (mount.at(BUCKETS[0]).join("a"), mount.at(BUCKETS[4]).join("a"));
    let seen = || [names(&one).len(), names(&other).len()];
    assert_eq!(seen(), [2, 2]);
    for bucket in BUCKETS {
        site.archive.put(bucket, "a/new.nc", "new");
    }
    assert_eq!(seen(), [2, 2]);
    let refresh = |path: &[&str]| site.ask(&[&["refresh", &mount.path().display().to_string()], path].concat()).success();
    refresh(&[BUCKETS[0]]);
    assert_eq!(seen(), [3, 2]);
    refresh(&[]);
    assert_eq!(seen(), [3, 3]);
}
