//! "SOURCE in the forms that people have at hand" (issue 5, item 2).

use std::fs;

use fake_daac::{Listing, Setup};

use crate::harness::Site;

const KEY: &str = "MUR v4.1/2020/a%b+c.nc";

fn site() -> Option<Site> {
    let site = Site::of(Setup::three_daacs())?;
    site.archive.put("podaac-local-protected", KEY, "granule\n");
    site.archive.put("nsidc-local-protected", "ATL03/b.h5", "beam\n");
    Some(site)
}

/// "`s3://bucket/key/of/granule.nc` (mounts its directory and prints the file's path), an https
/// granule link of a DAAC".
#[test]
fn a_link_to_a_granule_mounts_its_directory_and_tells_the_files_path() {
    let Some(site) = site() else { return };
    let link = site.archive.https_link("podaac-local-protected", KEY);
    assert!(link.contains("/podaac-local-protected/MUR%20v4.1/2020/a%25b%2Bc.nc"), "{link}");
    for source in [
        format!("s3://podaac-local-protected/{KEY}"),
        link.clone(),
        format!("{link}?A-userid=ada#x"),
    ] {
        let (mount, ran) = site.plan_by_table(&source).mounted();
        let path = mount.at("a%b+c.nc");
        assert_eq!(
            (ran.text(), ran.stderr.as_str()),
            (format!("{}\n", path.display()), ""),
            "{source}"
        );
        assert_eq!(fs::read_to_string(path).unwrap(), "granule\n");
        assert_eq!(fs::read_dir(mount.path()).unwrap().count(), 1);
        assert!(
            mount.place().mounts()[0].contains("s3://podaac-local-protected/MUR\\040v4.1/2020/")
        );
    }
    for missing in [
        "s3://podaac-local-protected/MUR v4.1/2020/z.nc",
        "s3://podaac-local-protected/nowhere/z.nc",
    ] {
        site.plan_by_table(missing).must_say(&[missing, "does not exist"]);
    }
}

/// "`mount` must not insist on listing the root" (issue 5, item 7): a granule that may be read is
/// enough.
#[test]
fn a_granule_in_a_bucket_that_may_not_be_listed_mounts_without_a_warning() {
    let Some(site) = site() else { return };
    site.archive
        .set(|knobs| knobs.bucket("podaac-local-protected").listing = Some(Listing::Denied));
    let (mount, ran) = site.plan_by_table(&format!("s3://podaac-local-protected/{KEY}")).mounted();
    assert_eq!(ran.stderr, "");
    assert_eq!(fs::read_to_string(mount.at("a%b+c.nc")).unwrap(), "granule\n");
}

/// One that may be neither looked at nor listed may be a directory as well: it mounts, and nobody
/// is told that it is there.
#[test]
fn a_granule_that_nobody_may_look_at_mounts_with_a_warning() {
    let Some(site) = site() else { return };
    site.archive.set(|knobs| {
        knobs.bucket("podaac-local-protected").listing = Some(Listing::Denied);
        knobs.unreadable = vec!["MUR".into()];
    });
    let url = format!("s3://podaac-local-protected/{KEY}");
    let (_mount, ran) = site.plan_by_table(&url).mounted();
    assert!(ran.stderr.contains("warning: ") && ran.stderr.contains(&url), "{}", ran.stderr);
}

/// "names as people write them"; the endpoint comes from the table, and so does the login.
#[test]
fn a_data_center_is_named_as_people_do() {
    let Some(site) = site() else { return };
    for name in ["NSIDC", "nsidc", "NSIDC DAAC", "NSIDC_CPRD", "nsidc-local-protected"] {
        let mount = site.plan_by_table(name).mount();
        assert_eq!(fs::read_to_string(mount.at("ATL03/b.h5")).unwrap(), "beam\n", "{name}");
    }
    assert_eq!((site.archive.daac_stats("NSIDC").issued, site.archive.stats().issued), (5, 5));
}

/// `--buckets-file` (item 9) stands in for the built-in table: who works at UAT sends nothing to
/// the endpoints of others.
#[test]
fn an_own_table_is_the_only_one() {
    let Some(site) = site() else { return };
    site.plan_by_table("lp-prod-protected")
        .must_say(&["lp-prod-protected", "--credentials-endpoint"]);
    site.plan_by_table("LP DAAC").must_say(&["the table of buckets has none of LP DAAC"]);
    site.plan_by_table("NOAA").must_say(&["neither a bucket nor a data center", "PODAAC"]);
    let no_file = site.plan("podaac").args(&["--buckets-file", "/nowhere/buckets.json"]);
    no_file.must_say(&["/nowhere/buckets.json", "No such file"]);
    fs::write(site.table(), "{\"b-1\": {\"region\": \"us-west-2\"}}").unwrap();
    site.plan_by_table("podaac").must_say(&["missing field `endpoint`", "line 1"]);
    assert_eq!(site.archive.stats().credentials, 0);
}

/// A link is pasted from anywhere. The token goes to hosts of the table, and to one that the user
/// has named, only.
#[test]
fn a_link_to_a_host_that_the_table_does_not_know_gets_no_token() {
    let Some(site) = site() else { return };
    let link = site.archive.https_link("podaac-local-protected", KEY);
    let plan = site.plan(&link).without("S3_CREDENTIAL_ENDPOINT");
    plan.must_say(&[
        "which data center has the bucket podaac-local-protected",
        "--credentials-endpoint",
    ]);
    assert_eq!(site.archive.stats().credentials, 0);
    let (mount, _) = site.plan(&link).mounted();
    assert_eq!(fs::read_to_string(mount.at("a%b+c.nc")).unwrap(), "granule\n");
}
