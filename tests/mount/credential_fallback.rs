//! With `--aws-credentials`, each bucket of a mount falls back from the role to Earthdata when the
//! role is refused, and the other way round; each bucket remembers which one works.

use std::collections::BTreeMap;
use std::fs;

use fake_daac::{BearerAnswer, Failure, Fault, Listing};

use crate::harness::{BUCKETS, MountCommand, TIMEOUT, TestEnvironment, errno, eventually};

/// Returns a mount of all buckets with a role that opens only these ones.
fn with_role(environment: &TestEnvironment, buckets: &[&str]) -> MountCommand {
    let (key, secret) = environment.fake_daac.static_keys_of(buckets);
    let mount_command =
        environment.mount_command_with_table("earthdata").args(&["--aws-credentials"]);
    mount_command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", secret)
}

/// Returns the number of refused requests, by bucket.
fn refused(environment: &TestEnvironment) -> BTreeMap<String, usize> {
    let mut refused = BTreeMap::new();
    let log = environment.fake_daac.log();
    for logged in log.iter().filter(|logged| logged.status == 403) {
        *refused.entry(logged.bucket.clone()).or_default() += 1;
    }
    refused
}

/// When one DAAC's buckets refuse the role, only those use Earthdata's credentials, and the next
/// requests use the credentials that worked.
#[test]
fn a_role_is_replaced_by_earthdata_only_in_the_buckets_that_refuse_it() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    let mount = with_role(&environment, &BUCKETS[2..]).mount();
    for bucket in BUCKETS {
        mount.must_read_file_of(bucket);
    }
    assert_eq!(environment.issued(), [0, 0, 1]);
    let once = refused(&environment);
    assert_eq!(once.keys().collect::<Vec<_>>(), BUCKETS[..2].iter().collect::<Vec<_>>());
    for bucket in BUCKETS {
        for file in ["a/y.nc", "b/z.nc"] {
            assert_eq!(
                fs::read_to_string(mount.at(bucket).join(file)).unwrap(),
                format!("{bucket} {file}")
            );
        }
    }
    assert_eq!((refused(&environment), environment.issued()), (once, [0, 0, 1]), "remembered");
    let log_lines = mount.log_lines_with("preferred from now on");
    assert_eq!((log_lines.len(), mount.log().lines().count()), (2, 2), "{}", mount.log());
    let is_logged = |bucket: &&str| {
        log_lines.iter().any(|line| {
            line.contains(*bucket) && line.contains(&environment.fake_daac.credentials_url("ASF"))
        })
    };
    assert!(BUCKETS[..2].iter().all(is_logged), "{log_lines:?}");
}

/// A bucket that has fallen back to Earthdata returns to the role when Earthdata's credentials are
/// refused.
#[test]
fn earthdata_is_replaced_by_the_role_where_it_is_refused() {
    const BUCKET: &str = "nsidc-local-protected";
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    let mount = with_role(&environment, &BUCKETS).mount();
    // A lookup sends two requests: for a file and for a directory.
    environment.fake_daac.add_fault(Fault::new(Failure::Denied).in_bucket(BUCKET).times(2));
    mount.must_read_file_of(BUCKET);
    assert_eq!(
        (environment.issued(), mount.log_lines_with("preferred from now on").len()),
        ([0, 1, 0], 1),
        "{}",
        mount.log()
    );
    environment.fake_daac.set(|knobs| knobs.daac("NSIDC").out_of_region = Some(true));
    let read = |file: &str| fs::read_to_string(mount.at(BUCKET).join(file)).unwrap();
    assert_eq!(read("a/y.nc"), format!("{BUCKET} a/y.nc"));
    let log_lines = mount.log_lines_with("preferred from now on");
    let [_, back] = &log_lines[..] else { panic!("{log_lines:?}") };
    assert!(back.contains("refusal=S3 denies"), "{log_lines:?}");
    assert!(back.contains("from=\"the environment\""), "{log_lines:?}");
    let once = refused(&environment);
    assert_eq!(read("b/z.nc"), format!("{BUCKET} b/z.nc"));
    assert_eq!((refused(&environment), environment.issued()), (once, [0, 1, 0]), "remembered");
    assert_eq!(mount.log().lines().count(), 2, "{}", mount.log());
}

/// When both are refused, the error is the role's, and one log line says why Earthdata did not
/// help.
#[test]
fn a_refusal_of_both_is_logged_with_both_reasons() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    environment.fake_daac.set(|knobs| knobs.daac("ASF").bearer = Some(BearerAnswer::Eula));
    let mount = with_role(&environment, &BUCKETS[2..]).mount();
    for _ in 0..3 {
        assert_eq!(
            errno(
                fs::read_dir(mount.at("asf-local-products/a"))
                    .and_then(|mut names| names.next().unwrap())
            ),
            libc::EACCES
        );
    }
    let tried = mount.log_lines_with("do not help either");
    let [line] = &tried[..] else { panic!("{}", mount.log()) };
    assert!(line.contains("asf-local-products") && line.contains("/approve_app?"), "{line}");
    let failed = mount.log_lines_with("failed");
    let [line] = &failed[..] else { panic!("{}", mount.log()) };
    assert!(line.contains("s3://asf-local-products/"), "{line}");
    mount.must_read_file_of(BUCKETS[2]);
}

/// When the keys have expired or are missing, the error is Earthdata's, and the mount works where
/// Earthdata's credentials do.
#[test]
fn without_usable_keys_the_error_is_earthdatas() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    let bucket = "asf-local-products";
    let none = |mount_command: MountCommand| {
        mount_command.args(&["--aws-credentials"]).env("AWS_EC2_METADATA_DISABLED", "true")
    };
    let dead = |mount_command: MountCommand| {
        none(mount_command)
            .env("AWS_ACCESS_KEY_ID", "ASIADEAD")
            .env("AWS_SECRET_ACCESS_KEY", "guess")
    };
    let mount_command = || environment.mount_command_with_table(bucket);
    for (mount_command, own) in [
        (none(mount_command()), "no AWS credentials in the environment"),
        (dead(mount_command()), "InvalidAccessKeyId"),
    ] {
        environment.fake_daac.set(|knobs| knobs.daac("ASF").bearer = Some(BearerAnswer::Eula));
        mount_command.must_fail_with(&[
            "Earthdata Login wants something",
            "/approve_app?",
            "of the environment: ",
            own,
        ]);
    }
    environment.fake_daac.set(|knobs| knobs.daacs.clear());
    none(mount_command().without_env("EARTHDATA_TOKEN")).must_fail_with(&[
        "no AWS credentials in",
        "of Earthdata: no Earthdata Login identity found",
    ]);
    environment.fake_daac.set(|knobs| knobs.bucket(bucket).listing = Some(Listing::Denied));
    for mount_command in [none(mount_command()), dead(mount_command())] {
        let (mount, warning) = mount_command.mount_with_warning();
        assert!(warning.contains("names given in full may still open"), "{warning}");
        assert_eq!(fs::read_to_string(mount.at("a/x.nc")).unwrap(), format!("{bucket} a/x.nc"));
    }
}

/// When no credentials can be fetched before the deadline, the operation is EACCES
/// (docs/semantics.md, "Errors"), and the log line names the endpoint.
#[test]
fn a_fallback_that_is_down_is_logged_and_recovers() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    environment.fake_daac.set(|knobs| knobs.daac("ASF").down = Some(true));
    let mount_command = environment
        .mount_command_with_table("earthdata")
        .args(&["--aws-credentials", "--timeout=2"]);
    let mount = mount_command
        .env("AWS_ACCESS_KEY_ID", "AKIADEAD")
        .env("AWS_SECRET_ACCESS_KEY", "guess")
        .mount();
    let file = mount.at("asf-local-products/a/x.nc");
    assert_eq!(errno(fs::metadata(&file)), libc::EACCES);
    let endpoint = environment.fake_daac.credentials_url("ASF");
    let log_lines = mount.log_lines_with("gives none");
    let [line] = &log_lines[..] else { panic!("{}", mount.log()) };
    assert!(line.contains(&endpoint) && line.contains("no answer from"), "{line}");
    environment.fake_daac.set(|knobs| knobs.daacs.clear());
    eventually("the fallback recovers", TIMEOUT, || fs::metadata(&file).is_ok());
}
