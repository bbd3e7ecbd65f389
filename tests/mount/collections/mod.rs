//! Mounting a collection by its short name. CMR's record of a collection's bucket and prefix is
//! free text and sometimes wrong, so it is checked against the links of the granules.

mod several_buckets;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::{fs, thread};

use fake_daac::{CmrAnswer, Collection, DirectDistribution, Setup};
use serde_json::json;

use crate::harness::{CommandOutput, Mount, MountCommand, TestEnvironment, names_in};

const BUCKET: &str = "podaac-local-protected";

fn environment() -> Option<TestEnvironment> {
    let environment = TestEnvironment::with_setup(Setup::three_daacs())?;
    for key in ["MUR.v4.1/2002/a.nc", "MUR.v4.1/2020/z.nc", "OTHER.v1/b.nc"] {
        environment.fake_daac.put(BUCKET, key, key);
    }
    Some(environment)
}

fn mount_command(environment: &TestEnvironment, collection: &str) -> MountCommand {
    environment
        .mount_command_with_table(&format!("collection:{collection}"))
        .args(&["--cmr-host", &environment.fake_daac.cmr_host()])
}

fn mur(version: &str, direct_distribution: DirectDistribution) -> Collection {
    Collection::new("MUR", version, BUCKET, "MUR.v4.1/")
        .with_direct_distribution(direct_distribution)
}

#[track_caller]
fn must_show_mur((mount, output): (Mount, CommandOutput), note: &str) {
    assert_eq!(output.stdout_text(), "");
    assert_eq!(
        (output.stderr.is_empty(), output.stderr.contains(note)),
        (note.is_empty(), true),
        "{}",
        output.stderr
    );
    assert_eq!(names_in(&mount.path()), ["2002", "2020"]);
    assert_eq!(fs::read_to_string(mount.at("2020/z.nc")).unwrap(), "MUR.v4.1/2020/z.nc");
}

/// CMR's records state the prefix with or without `s3://`, with or without the last slash,
/// sometimes without the separator after the bucket, and sometimes wrongly.
#[test]
fn a_collection_is_found_however_its_record_states_the_prefix() {
    for (direct_distribution, note) in [
        (DirectDistribution::Clean, ""),
        (DirectDistribution::NoScheme, ""),
        (DirectDistribution::NoSlash, ""),
        (DirectDistribution::NoSeparator, ""),
        (DirectDistribution::Bare, ""),
        (
            DirectDistribution::WrongBucket,
            "CMR says s3://there-is-no-such-bucket/NOWHERE/ for C1000000000-POCLOUD, but its \
             granules are in",
        ),
        (
            DirectDistribution::WrongPrefix,
            "but its granules are in s3://podaac-local-protected/MUR.v4.1/",
        ),
        (
            DirectDistribution::Verbatim(vec![
                "podaac-local-public/MUR.v4.1/".into(),
                format!("{BUCKET}/MUR.v4.1/"),
            ]),
            "",
        ),
        (
            DirectDistribution::Verbatim(vec!["see the user guide".into()]),
            "CMR says see the user guide for",
        ),
        (DirectDistribution::Verbatim(vec![]), "CMR says nothing for"),
    ] {
        let Some(environment) = environment() else { return };
        environment.fake_daac.publish(mur("4.1", direct_distribution));
        must_show_mur(mount_command(&environment, "MUR").mount_with_output(), note);
    }
}

/// The endpoint of a bucket that is not in the bucket table comes from CMR. A note says so, since
/// the token is sent there.
#[test]
fn the_endpoint_of_a_bucket_that_is_not_in_the_table_comes_from_cmr() {
    let Some(environment) = environment() else { return };
    for (version, direct_distribution) in
        [("1", DirectDistribution::Clean), ("2", DirectDistribution::Bare)]
    {
        environment.fake_daac.publish(mur(version, direct_distribution));
        let source = format!("collection:MUR@{version}");
        let mount_command = environment
            .mount_command(&source)
            .without_env("S3_CREDENTIAL_ENDPOINT")
            .args(&["--cmr-host", &environment.fake_daac.cmr_host()]);
        let endpoint = environment.fake_daac.credentials_url("PODAAC");
        let note = format!(
            "the table of buckets does not know {BUCKET}: the credentials come from {endpoint}, as \
             CMR says"
        );
        must_show_mur(mount_command.mount_with_output(), &note);
        let output = environment.run_granulefs(&[
            "doctor",
            &source,
            "--cmr-host",
            &environment.fake_daac.cmr_host(),
        ]);
        assert!(
            output.code == Some(0)
                && output.stdout_text().contains(&format!("note     source        {note}")),
            "{}",
            output.stdout_text()
        );
        must_show_mur(mount_command_with_endpoint(&environment, &source).mount_with_output(), "");
    }
    assert_eq!(environment.fake_daac.daac_stats("PODAAC").issued, 6);
}

/// Returns a mount with the endpoint in the environment, and with the fake CMR.
fn mount_command_with_endpoint(environment: &TestEnvironment, source: &str) -> MountCommand {
    environment.mount_command(source).args(&["--cmr-host", &environment.fake_daac.cmr_host()])
}

/// Starts a CMR with one collection, whose record states `endpoint`; returns its host.
fn cmr_with_endpoint(endpoint: &str) -> String {
    let record = json!({
        "meta": { "concept-id": "C1-LOCAL" },
        "umm": { "ShortName": "MUR", "Version": "1", "DirectDistributionInformation": {
            "Region": "us-west-2",
            "S3BucketAndObjectPrefixNames": [format!("{BUCKET}/MUR.v4.1/")],
            "S3CredentialsAPIEndpoint": endpoint,
        } },
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines =
                BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let is_collections =
                lines.next().is_some_and(|request| request.contains("/collections."));
            while lines.next().is_some_and(|header| !header.is_empty()) {}
            let body =
                json!({ "items": if is_collections { vec![record.clone()] } else { vec![] } })
                    .to_string();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    host
}

/// CMR's records are free text: the token is sent only to an endpoint of NASA, of the bucket table,
/// or of the user's choice.
#[test]
fn an_endpoint_from_cmr_is_refused_unless_it_is_nasas_or_given_by_the_user() {
    let Some(environment) = environment() else { return };
    for endpoint in [
        "https://tea.example.org/s3credentials",
        "http://archive.podaac.earthdata.nasa.gov/s3credentials",
    ] {
        let cmr = cmr_with_endpoint(endpoint);
        let collection = ["collection:MUR", "--cmr-host", &cmr];
        for verb in ["doctor", "credentials"] {
            let output = environment.run_granulefs(&[&[verb], &collection[..]].concat());
            let printed = format!("{}{}", output.stdout_text(), output.stderr);
            assert!(
                output.code == Some(1)
                    && printed.contains(endpoint)
                    && printed.contains("--credentials-endpoint"),
                "{verb}: {printed}"
            );
        }
        let mount_command = environment.mount_command(collection[0]).args(&collection[1..]);
        let output = mount_command.run();
        assert_eq!(output.code, Some(0), "the user gave an endpoint: {}", output.stderr);
        let output = environment
            .mount_command(collection[0])
            .without_env("S3_CREDENTIAL_ENDPOINT")
            .args(&collection[1..])
            .run();
        assert!(
            output.code == Some(1) && output.stderr.contains("nothing was sent there"),
            "{}",
            output.stderr
        );
    }
}

/// The newest version is mounted unless one is named, and a note lists the others; a concept id is
/// one collection.
#[test]
fn the_newest_version_is_mounted_unless_one_is_named() {
    let Some(environment) = environment() else { return };
    let other = |version: &str| Collection::new("MUR", version, BUCKET, "OTHER.v1/");
    let old = environment.fake_daac.publish(other("9"));
    environment.fake_daac.publish(mur("10", DirectDistribution::NoSlash));
    environment.fake_daac.publish(other("11").with_direct_distribution(DirectDistribution::Absent));
    must_show_mur(
        mount_command(&environment, "MUR").mount_with_output(),
        "MUR is version 10, the newest; others, as MUR@VERSION: 9",
    );
    must_show_mur(mount_command(&environment, "MUR@10").mount_with_output(), "");
    for named in ["MUR@9", &old] {
        let mount = mount_command(&environment, named).mount();
        assert!(mount.at("b.nc").exists(), "{named}");
    }
    mount_command(&environment, "MUR@8")
        .must_fail_with(&["knows no collection MUR version 8; its versions are 9, 10, 11"]);
}

/// A collection that CMR does not know, or that is not in the cloud, is an error before any login.
#[test]
fn a_collection_that_is_unknown_or_not_in_the_cloud_is_an_error() {
    let Some(environment) = environment() else { return };
    environment.fake_daac.publish(mur("4.1", DirectDistribution::Absent));
    environment.fake_daac.publish(Collection::new("EMPTY", "1", BUCKET, "EMPTY/"));
    let host = environment.fake_daac.cmr_host();
    mount_command(&environment, "MUR").must_fail_with(&[
        "the collection MUR",
        "is in no bucket",
        &host,
    ]);
    mount_command(&environment, "NONE").must_fail_with(&[
        "knows no collection NONE",
        "short name",
        &host,
    ]);
    mount_command(&environment, "NONE@9")
        .must_fail_with(&["knows no collection NONE version 9; check its short name"]);
    assert_eq!(environment.fake_daac.stats().credentials, 0);
    let empty = mount_command(&environment, "EMPTY").run();
    assert_eq!(empty.code, Some(1));
    assert!(
        empty.stderr.contains("unchecked: it has no granule")
            && empty.stderr.contains("nothing below"),
        "{}",
        empty.stderr
    );
}

/// When CMR is down, mounting a collection fails with a message that says so, and mounting a bucket
/// of the table still works.
#[test]
fn a_cmr_that_is_down_fails_the_mount_of_a_collection_and_not_of_a_bucket() {
    let Some(environment) = environment() else { return };
    environment.fake_daac.publish(mur("4.1", DirectDistribution::Clean));
    let host = environment.fake_daac.cmr_host();
    for (answer, words) in [
        (CmrAnswer::InternalError, "500"),
        (CmrAnswer::Unavailable, "503"),
        (CmrAnswer::TooMany, "429"),
        (CmrAnswer::Malformed, "cannot be read"),
    ] {
        environment.fake_daac.set(|knobs| knobs.cmr = answer);
        mount_command(&environment, "MUR").must_fail_with(&[
            "no answer from CMR at",
            &host,
            words,
            "granulefs buckets",
        ]);
    }
    environment.fake_daac.set(|knobs| (knobs.cmr, knobs.cmr_down) = (CmrAnswer::Normal, true));
    mount_command(&environment, "MUR").must_fail_with(&["no answer from CMR at", &host]);
    let mount = environment
        .mount_command_with_table(&format!("{BUCKET}/MUR.v4.1"))
        .args(&["--cmr-host", &host])
        .mount();
    assert!(mount.at("2002/a.nc").exists());
    assert_eq!(environment.fake_daac.stats().issued, 1);
    // `doctor` has the same words.
    let output = environment.run_granulefs(&[
        "doctor",
        "collection:MUR",
        "--cmr-host",
        &host,
        "--buckets-file",
        &environment.buckets_file_path(),
    ]);
    assert_eq!(output.code, Some(1));
    assert!(
        output.stdout_text().contains("FAILED   source        no answer from CMR at"),
        "{}",
        output.stdout_text()
    );
}
