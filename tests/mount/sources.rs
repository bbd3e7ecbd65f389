//! The forms of SOURCE: links to granules, names of data centers, and buckets of one's own table.

use std::fs;

use fake_daac::{Listing, Setup};

use crate::harness::TestEnvironment;

const KEY: &str = "MUR v4.1/2020/a%b+c.nc";

fn environment() -> Option<TestEnvironment> {
    let environment = TestEnvironment::with_setup(Setup::three_daacs())?;
    environment.fake_daac.put("podaac-local-protected", KEY, "granule\n");
    environment.fake_daac.put("nsidc-local-protected", "ATL03/b.h5", "beam\n");
    Some(environment)
}

/// The s3:// URL or the https link of a granule mounts its directory and prints the file's path.
#[test]
fn a_link_to_a_granule_mounts_its_directory_and_prints_the_path() {
    let Some(environment) = environment() else { return };
    let link = environment.fake_daac.https_link("podaac-local-protected", KEY);
    assert!(link.contains("/podaac-local-protected/MUR%20v4.1/2020/a%25b%2Bc.nc"), "{link}");
    for source in [
        format!("s3://podaac-local-protected/{KEY}"),
        link.clone(),
        format!("{link}?A-userid=ada#x"),
    ] {
        let (mount, output) = environment.mount_command_with_table(&source).mount_with_output();
        let path = mount.at("a%b+c.nc");
        assert_eq!(
            (output.stdout_text(), output.stderr.as_str()),
            (format!("{}\n", path.display()), ""),
            "{source}"
        );
        assert_eq!(fs::read_to_string(path).unwrap(), "granule\n");
        assert_eq!(fs::read_dir(mount.path()).unwrap().count(), 1);
        // As it was given, without what browsers add.
        let shown = source.split('?').next().unwrap().replace(' ', "\\040");
        assert_eq!(mount.directory().mounted_sources(), [shown]);
    }
    for missing in [
        "s3://podaac-local-protected/MUR v4.1/2020/z.nc",
        "s3://podaac-local-protected/nowhere/z.nc",
    ] {
        environment.mount_command_with_table(missing).must_fail_with(&[missing, "does not exist"]);
    }
}

/// A granule that may be read is mounted without a warning, even if its directory may not be
/// listed.
#[test]
fn a_granule_in_a_bucket_that_may_not_be_listed_mounts_without_a_warning() {
    let Some(environment) = environment() else { return };
    environment
        .fake_daac
        .set(|knobs| knobs.bucket("podaac-local-protected").listing = Some(Listing::Denied));
    let (mount, output) = environment
        .mount_command_with_table(&format!("s3://podaac-local-protected/{KEY}"))
        .mount_with_output();
    assert_eq!(output.stderr, "");
    assert_eq!(fs::read_to_string(mount.at("a%b+c.nc")).unwrap(), "granule\n");
}

/// A URL that may neither be listed nor answered by HEAD may be a directory. It is mounted with a
/// warning.
#[test]
fn a_granule_that_may_not_be_read_mounts_with_a_warning() {
    let Some(environment) = environment() else { return };
    environment.fake_daac.set(|knobs| {
        knobs.bucket("podaac-local-protected").listing = Some(Listing::Denied);
        knobs.unreadable = vec!["MUR".into()];
    });
    let url = format!("s3://podaac-local-protected/{KEY}");
    let (_mount, output) = environment.mount_command_with_table(&url).mount_with_output();
    assert!(
        output.stderr.contains("warning: ") && output.stderr.contains(&url),
        "{}",
        output.stderr
    );
}

/// A data center has several names; its endpoint comes from the bucket table.
#[test]
fn a_data_center_is_found_by_its_usual_names() {
    let Some(environment) = environment() else { return };
    for name in ["NSIDC", "nsidc", "NSIDC DAAC", "NSIDC_CPRD", "nsidc-local-protected"] {
        let mount = environment.mount_command_with_table(name).mount();
        assert_eq!(fs::read_to_string(mount.at("ATL03/b.h5")).unwrap(), "beam\n", "{name}");
    }
    assert_eq!(
        (environment.fake_daac.daac_stats("NSIDC").issued, environment.fake_daac.stats().issued),
        (5, 5)
    );
}

/// `--buckets-file` replaces the built-in bucket table, so that a user of UAT sends nothing to
/// the endpoints of production.
#[test]
fn a_buckets_file_replaces_the_built_in_table() {
    let Some(environment) = environment() else { return };
    environment
        .mount_command_with_table("lp-prod-protected")
        .must_fail_with(&["lp-prod-protected", "--credentials-endpoint"]);
    environment
        .mount_command_with_table("LP DAAC")
        .must_fail_with(&["the table of buckets has none of LP DAAC"]);
    environment
        .mount_command_with_table("NOAA")
        .must_fail_with(&["neither a bucket nor a data center", "PODAAC"]);
    let no_file =
        environment.mount_command("podaac").args(&["--buckets-file", "/nowhere/buckets.json"]);
    no_file.must_fail_with(&["/nowhere/buckets.json", "No such file"]);
    fs::write(environment.buckets_file_path(), "{\"b-1\": {\"region\": \"us-west-2\"}}").unwrap();
    environment
        .mount_command_with_table("podaac")
        .must_fail_with(&["missing field `endpoint`", "line 1"]);
    assert_eq!(environment.fake_daac.stats().credentials, 0);
}

/// A link may come from any source, so the token is sent only to hosts of the bucket table and to
/// the endpoint of the user's choice.
#[test]
fn a_link_to_a_host_that_is_not_in_the_table_gets_no_token() {
    let Some(environment) = environment() else { return };
    let link = environment.fake_daac.https_link("podaac-local-protected", KEY);
    let mount_command = environment.mount_command(&link).without_env("S3_CREDENTIAL_ENDPOINT");
    mount_command.must_fail_with(&[
        "which data center has the bucket podaac-local-protected",
        "--credentials-endpoint",
    ]);
    assert_eq!(environment.fake_daac.stats().credentials, 0);
    let (mount, _) = environment.mount_command(&link).mount_with_output();
    assert_eq!(fs::read_to_string(mount.at("a%b+c.nc")).unwrap(), "granule\n");
}
