//! "A collection by short name through CMR (...) it is free text and sometimes wrong, so check it against one granule's own link"
//! (issue 5, item 2; `earthdata.md`, section 6).

use std::fs;

use archive::{CmrAnswer, Collection, Hint, Setup};

use crate::harness::{Mount, Plan, Ran, Site};

const BUCKET: &str = "podaac-local-protected";

fn site() -> Option<Site> {
    let site = Site::of(Setup::three_daacs())?;
    for key in ["MUR.v4.1/2002/a.nc", "MUR.v4.1/2020/z.nc", "OTHER.v1/b.nc"] {
        site.archive.put(BUCKET, key, key);
    }
    Some(site)
}

fn plan(site: &Site, collection: &str) -> Plan {
    site.plan_by_table(&format!("collection:{collection}")).args(&["--cmr-host", &site.archive.cmr_host()])
}

fn mur(version: &str, hint: Hint) -> Collection {
    Collection::new("MUR", version, BUCKET, "MUR.v4.1/").hinted(hint)
}

#[track_caller]
fn must_show_mur((mount, ran): (Mount, Ran), note: &str) {
    assert_eq!(ran.text(), "");
    assert_eq!((ran.stderr.is_empty(), ran.stderr.contains(note)), (note.is_empty(), true), "{}", ran.stderr);
    let names = fs::read_dir(mount.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["2002", "2020"]);
    assert_eq!(fs::read_to_string(mount.at("2020/z.nc")).unwrap(), "MUR.v4.1/2020/z.nc");
}

#[track_caller]
fn must_say(plan: Plan, parts: &[&str]) {
    let message = plan.refusal();
    for part in parts {
        assert!(message.contains(part), "no {part:?} in {message:?}");
    }
}

/// "With or without `s3://`, with or without a trailing slash, sometimes without the separator after the bucket, sometimes wrong."
#[test]
fn a_collection_is_found_however_its_prefix_was_typed() {
    for (hint, note) in [
        (Hint::Clean, ""),
        (Hint::NoScheme, ""),
        (Hint::NoSlash, ""),
        (Hint::NoSeparator, ""),
        (Hint::Bare, ""),
        (Hint::WrongBucket, "CMR says s3://there-is-no-such-bucket/NOWHERE/ for C1000000000-POCLOUD, but its granules are in"),
        (Hint::WrongPrefix, "but its granules are in s3://podaac-local-protected/MUR.v4.1/"),
        (Hint::Verbatim(vec!["podaac-local-public/MUR.v4.1/".into(), format!("{BUCKET}/MUR.v4.1/")]), ""),
        (Hint::Verbatim(vec!["see the user guide".into()]), "CMR says see the user guide for"),
        (Hint::Verbatim(vec![]), "CMR says nothing for"),
    ] {
        let Some(site) = site() else { return };
        site.archive.publish(mur("4.1", hint));
        must_show_mur(plan(&site, "MUR").mounted(), note);
    }
}

/// A bucket that no table knows has its endpoint from CMR.
#[test]
fn cmr_names_the_endpoint_of_a_bucket_that_no_table_knows() {
    let Some(site) = site() else { return };
    for (version, hint) in [("1", Hint::Clean), ("2", Hint::Bare)] {
        site.archive.publish(mur(version, hint));
        let source = format!("collection:MUR@{version}");
        let plan = site.plan(&source).without("S3_CREDENTIAL_ENDPOINT").args(&["--cmr-host", &site.archive.cmr_host()]);
        must_show_mur(plan.mounted(), "");
    }
    assert_eq!(site.archive.daac_stats("PODAAC").issued, 2);
}

/// The newest version unless one is named, and the choice is told; a concept id is one collection.
#[test]
fn the_newest_version_is_mounted_unless_another_one_is_named() {
    let Some(site) = site() else { return };
    let other = |version: &str| Collection::new("MUR", version, BUCKET, "OTHER.v1/");
    let old = site.archive.publish(other("9"));
    site.archive.publish(mur("10", Hint::NoSlash));
    site.archive.publish(other("11").hinted(Hint::Absent));
    must_show_mur(plan(&site, "MUR").mounted(), "MUR is version 10, the newest; others, as MUR@VERSION: 9");
    must_show_mur(plan(&site, "MUR@10").mounted(), "");
    for named in ["MUR@9", &old] {
        let mount = plan(&site, named).mount();
        assert!(mount.at("b.nc").exists(), "{named}");
    }
}

/// What CMR does not know, or knows to be elsewhere, is told before anybody logs in.
#[test]
fn a_collection_that_is_not_in_the_cloud_is_told() {
    let Some(site) = site() else { return };
    site.archive.publish(mur("4.1", Hint::Absent));
    site.archive.publish(Collection::new("EMPTY", "1", BUCKET, "EMPTY/"));
    let host = site.archive.cmr_host();
    must_say(plan(&site, "MUR"), &["the collection MUR", "is in no bucket", &host]);
    must_say(plan(&site, "NONE"), &["knows no collection NONE", "short name", &host]);
    must_say(plan(&site, "MUR@9"), &["knows no collection MUR version 9"]);
    assert_eq!(site.archive.stats().credentials, 0);
    let empty = plan(&site, "EMPTY").run();
    assert_eq!(empty.code, Some(1));
    assert!(empty.stderr.contains("unchecked: it has no granule") && empty.stderr.contains("nothing below"), "{}", empty.stderr);
}

/// "CMR being down is a clear message and no obstacle where the table knows the bucket."
#[test]
fn a_catalogue_that_is_down_is_told_and_no_obstacle_to_a_bucket() {
    let Some(site) = site() else { return };
    site.archive.publish(mur("4.1", Hint::Clean));
    let host = site.archive.cmr_host();
    for (answer, words) in [
        (CmrAnswer::InternalError, "500"),
        (CmrAnswer::Unavailable, "503"),
        (CmrAnswer::TooMany, "429"),
        (CmrAnswer::Nonsense, "cannot be read"),
    ] {
        site.archive.set(|knobs| knobs.cmr = answer);
        must_say(plan(&site, "MUR"), &["no answer from CMR at", &host, words, "granulefs buckets"]);
    }
    site.archive.set(|knobs| (knobs.cmr, knobs.cmr_down) = (CmrAnswer::Normal, true));
    must_say(plan(&site, "MUR"), &["no answer from CMR at", &host]);
    let mount = site.plan_by_table(&format!("{BUCKET}/MUR.v4.1")).args(&["--cmr-host", &host]).mount();
    assert!(mount.at("2002/a.nc").exists());
    assert_eq!(site.archive.stats().issued, 1);
    // In doctor's line as well.
    let ran = site.ask(&["doctor", "collection:MUR", "--cmr-host", &host, "--buckets-file", &site.table()]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.text().contains("FAILED   source        no answer from CMR at"), "{}", ran.text());
}
