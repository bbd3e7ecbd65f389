//! "Hubs: `--aws-credentials` with the instance's or pod's role, per bucket falls back to Earthdata
//! when the role is refused, and the other way round, once, remembered." (issue 5, item 8), on a
//! mount of several buckets.

use std::collections::BTreeMap;
use std::fs;

use fake_daac::{BearerAnswer, Failure, Fault, Listing};

use crate::harness::{BUCKETS, PATIENCE, Plan, Site, errno, eventually};

/// A mount of everything by one who has a role that opens these buckets.
fn with_role(site: &Site, buckets: &[&str]) -> Plan {
    let (key, secret) = site.archive.static_keys_of(buckets);
    let plan = site.plan_by_table("earthdata").args(&["--aws-credentials"]);
    plan.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", secret)
}

/// How often the role was refused, by bucket.
fn refused(site: &Site) -> BTreeMap<String, usize> {
    let mut refused = BTreeMap::new();
    let log = site.archive.log();
    for logged in log.iter().filter(|logged| logged.status == 403) {
        *refused.entry(logged.bucket.clone()).or_default() += 1;
    }
    refused
}

/// The role is refused for one data center's buckets: Earthdata is asked for those and there only,
/// and what was found out is remembered.
#[test]
fn a_role_gives_way_to_earthdata_in_the_buckets_that_refuse_it_only() {
    let Some(site) = Site::of_several() else { return };
    let mount = with_role(&site, &BUCKETS[2..]).mount();
    for bucket in BUCKETS {
        mount.must_read(bucket);
    }
    assert_eq!(site.issued(), [0, 0, 1]);
    let once = refused(&site);
    assert_eq!(once.keys().collect::<Vec<_>>(), BUCKETS[..2].iter().collect::<Vec<_>>());
    for bucket in BUCKETS {
        for file in ["a/y.nc", "b/z.nc"] {
            assert_eq!(
                fs::read_to_string(mount.at(bucket).join(file)).unwrap(),
                format!("{bucket} {file}")
            );
        }
    }
    assert_eq!((refused(&site), site.issued()), (once, [0, 0, 1]), "remembered");
    let told = mount.logged("preferred from now on");
    assert_eq!((told.len(), mount.log().lines().count()), (2, 2), "{}", mount.log());
    let is_told = |bucket: &&str| {
        told.iter().any(|line| {
            line.contains(*bucket) && line.contains(&site.archive.credentials_url("ASF"))
        })
    };
    assert!(BUCKETS[..2].iter().all(is_told), "{told:?}");
}

/// The other way round: Earthdata serves a bucket that refused the role, until it is refused itself
/// and the role is let in.
#[test]
fn earthdata_gives_way_to_the_role_where_it_is_refused() {
    const BUCKET: &str = "nsidc-local-protected";
    let Some(site) = Site::of_several() else { return };
    let mount = with_role(&site, &BUCKETS).mount();
    // A lookup asks twice: for a file and for a directory.
    site.archive.fault(Fault::new(Failure::Denied).in_bucket(BUCKET).next(2));
    mount.must_read(BUCKET);
    assert_eq!(
        (site.issued(), mount.logged("preferred from now on").len()),
        ([0, 1, 0], 1),
        "{}",
        mount.log()
    );
    site.archive.set(|knobs| knobs.daac("NSIDC").out_of_region = Some(true));
    let read = |file: &str| fs::read_to_string(mount.at(BUCKET).join(file)).unwrap();
    assert_eq!(read("a/y.nc"), format!("{BUCKET} a/y.nc"));
    let told = mount.logged("preferred from now on");
    assert!(
        matches!(&told[..], [_, back] if back.contains("refusal=S3 denies") && back.contains("from=\"the environment\"")),
        "{told:?}"
    );
    let once = refused(&site);
    assert_eq!(read("b/z.nc"), format!("{BUCKET} b/z.nc"));
    assert_eq!((refused(&site), site.issued()), (once, [0, 1, 0]), "remembered");
    assert_eq!(mount.log().lines().count(), 2, "{}", mount.log());
}

/// What neither opens is the role's refusal; that Earthdata was no help, and why, is told once.
#[test]
fn what_neither_opens_is_told_with_both_reasons() {
    let Some(site) = Site::of_several() else { return };
    site.archive.set(|knobs| knobs.daac("ASF").bearer = Some(BearerAnswer::Eula));
    let mount = with_role(&site, &BUCKETS[2..]).mount();
    for _ in 0..3 {
        assert_eq!(
            errno(
                fs::read_dir(mount.at("asf-local-products/a"))
                    .and_then(|mut names| names.next().unwrap())
            ),
            libc::EACCES
        );
    }
    let tried = mount.logged("do not help either");
    assert!(
        matches!(&tried[..], [line] if line.contains("asf-local-products") && line.contains("/approve_app?")),
        "{}",
        mount.log()
    );
    assert!(
        matches!(&mount.logged("failed")[..], [line] if line.contains("s3://asf-local-products/")),
        "{}",
        mount.log()
    );
    mount.must_read(BUCKETS[2]);
}

/// Keys that are dead or not there say nothing: the mount says what Earthdata says, and works where
/// Earthdata works.
#[test]
fn without_usable_keys_what_earthdata_says_is_told() {
    let Some(site) = Site::of_several() else { return };
    let bucket = "asf-local-products";
    let none =
        |plan: Plan| plan.args(&["--aws-credentials"]).env("AWS_EC2_METADATA_DISABLED", "true");
    let dead = |plan: Plan| {
        none(plan).env("AWS_ACCESS_KEY_ID", "ASIADEAD").env("AWS_SECRET_ACCESS_KEY", "guess")
    };
    let plan = || site.plan_by_table(bucket);
    for (plan, own) in [
        (none(plan()), "no AWS credentials in the environment"),
        (dead(plan()), "InvalidAccessKeyId"),
    ] {
        site.archive.set(|knobs| knobs.daac("ASF").bearer = Some(BearerAnswer::Eula));
        plan.must_say(&[
            "Earthdata Login wants something",
            "/approve_app?",
            "of the environment: ",
            own,
        ]);
    }
    site.archive.set(|knobs| knobs.daacs.clear());
    none(plan().without("EARTHDATA_TOKEN"))
        .must_say(&["no AWS credentials in", "of Earthdata: no Earthdata Login identity found"]);
    site.archive.set(|knobs| knobs.bucket(bucket).listing = Some(Listing::Denied));
    for plan in [none(plan()), dead(plan())] {
        let (mount, warning) = plan.mount_warned();
        assert!(warning.contains("names given in full may still open"), "{warning}");
        assert_eq!(fs::read_to_string(mount.at("a/x.nc")).unwrap(), format!("{bucket} a/x.nc"));
    }
}

/// "Credentials dead and none to be had in time: EACCES" (semantics.md): the line in the log names
/// the endpoint that is waited for.
#[test]
fn a_fallback_that_is_down_is_named_and_recovers() {
    let Some(site) = Site::of_several() else { return };
    site.archive.set(|knobs| knobs.daac("ASF").down = Some(true));
    let plan = site.plan_by_table("earthdata").args(&["--aws-credentials", "--timeout=2"]);
    let mount =
        plan.env("AWS_ACCESS_KEY_ID", "AKIADEAD").env("AWS_SECRET_ACCESS_KEY", "guess").mount();
    let file = mount.at("asf-local-products/a/x.nc");
    assert_eq!(errno(fs::metadata(&file)), libc::EACCES);
    let endpoint = site.archive.credentials_url("ASF");
    let told = mount.logged("gives none");
    assert!(
        matches!(&told[..], [line] if line.contains(&endpoint) && line.contains("no answer from")),
        "{}",
        mount.log()
    );
    site.archive.set(|knobs| knobs.daacs.clear());
    eventually("it is served", PATIENCE, || fs::metadata(&file).is_ok());
}
