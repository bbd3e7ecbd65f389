//! "A collection by short name through CMR (...) it is free text and sometimes wrong, so check it
//! against one granule's own link" (issue 5, item 2; `earthdata.md`, section 6).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use fake_daac::{CmrAnswer, Collection, Daac, DirectDistribution, Family, Setup};
use serde_json::{Value, json};

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

/// A collection whose record claims these places, and whose granules have these files.
fn publish(environment: &TestEnvironment, claims: &[&str], granules: &[&[&str]]) {
    let granule = |(day, files): (usize, &&[&str])| {
        let urls =
            files.iter().map(|url| json!({ "URL": url, "Type": "GET DATA VIA DIRECT ACCESS" }));
        json!({ "umm": {
            "CollectionReference": { "ShortName": "WIDE", "Version": "1" },
            "TemporalExtent": { "RangeDateTime": { "BeginningDateTime": format!("2020-01-{day:02}T00:00:00.000Z") } },
            "RelatedUrls": urls.collect::<Vec<_>>(),
        } })
    };
    let record = json!({ "meta": { "concept-id": "C1-LOCAL" }, "umm": { "ShortName": "WIDE", "Version": "1",
        "DirectDistributionInformation": { "Region": "us-west-2", "S3BucketAndObjectPrefixNames": claims } } });
    let granules = granules.iter().enumerate().map(granule).collect::<Vec<_>>();
    environment.fake_daac.publish_recorded("PODAAC", vec![record], &granules);
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

/// "With or without `s3://`, with or without a trailing slash, sometimes without the separator
/// after the bucket, sometimes wrong."
#[test]
fn a_collection_is_found_however_its_prefix_was_typed() {
    for (direct_distribution, note) in [
        (DirectDistribution::Clean, ""),
        (DirectDistribution::NoScheme, ""),
        (DirectDistribution::NoSlash, ""),
        (DirectDistribution::NoSeparator, ""),
        (DirectDistribution::Bare, ""),
        (
            DirectDistribution::WrongBucket,
            "CMR says s3://there-is-no-such-bucket/NOWHERE/ for C1000000000-POCLOUD, but its granules are in",
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

/// A bucket that no table knows has its endpoint from CMR, which is told: the token goes there.
#[test]
fn cmr_names_the_endpoint_of_a_bucket_that_no_table_knows() {
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
            "the table of buckets does not know {BUCKET}: the credentials come from {endpoint}, as CMR says"
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

/// With the endpoint from the user, and the catalogue of this machine.
fn mount_command_with_endpoint(environment: &TestEnvironment, source: &str) -> MountCommand {
    environment.mount_command(source).args(&["--cmr-host", &environment.fake_daac.cmr_host()])
}

/// A catalogue whose one collection has its credentials at `endpoint`; returns its host.
fn catalogue_naming(endpoint: &str) -> String {
    let record = json!({ "meta": { "concept-id": "C1-LOCAL" }, "umm": { "ShortName": "MUR", "Version": "1",
        "DirectDistributionInformation": { "Region": "us-west-2", "S3BucketAndObjectPrefixNames": [format!("{BUCKET}/MUR.v4.1/")],
            "S3CredentialsAPIEndpoint": endpoint } } });
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

/// CMR's word is free text: a token goes to NASA, to an endpoint of the table or where the user
/// says, and nowhere else.
#[test]
fn an_endpoint_that_cmr_names_is_refused_unless_it_is_nasas_or_the_user_names_it() {
    let Some(environment) = environment() else { return };
    for endpoint in [
        "https://tea.example.org/s3credentials",
        "http://archive.podaac.earthdata.nasa.gov/s3credentials",
    ] {
        let cmr = catalogue_naming(endpoint);
        let collection = ["collection:MUR", "--cmr-host", &cmr];
        for verb in ["doctor", "credentials"] {
            let output = environment.run_granulefs(&[&[verb], &collection[..]].concat());
            let said = format!("{}{}", output.stdout_text(), output.stderr);
            assert!(
                output.code == Some(1)
                    && said.contains(endpoint)
                    && said.contains("--credentials-endpoint"),
                "{verb}: {said}"
            );
        }
        let mount_command = environment.mount_command(collection[0]).args(&collection[1..]);
        let output = mount_command.run();
        assert_eq!(output.code, Some(0), "the user has named another: {}", output.stderr);
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

/// The newest version unless one is named, and the choice is told; a concept id is one collection.
#[test]
fn the_newest_version_is_mounted_unless_another_one_is_named() {
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

/// What CMR does not know, or knows to be elsewhere, is told before anybody logs in.
#[test]
fn a_collection_that_is_not_in_the_cloud_is_told() {
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

/// "CMR being down is a clear message and no obstacle where the table knows the bucket."
#[test]
fn a_catalogue_that_is_down_is_told_and_no_obstacle_to_a_bucket() {
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
    // In doctor's line as well.
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

/// "CMR's DirectDistributionInformation gives bucket, prefixes and endpoint; (...) check it against
/// one granule's own link": every bucket that a granule needs is a directory, those that are only
/// claimed are none, and where one is enough it is the mount.
#[test]
fn a_collection_over_several_buckets_has_a_directory_for_each_that_its_granules_need() {
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
            let told =
                environment.run_granulefs(&["path", url, &mount.path().display().to_string()]);
            assert_eq!(told.stdout_text(), format!("{}\n", path.display()));
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

/// "The recorded shapes of CMR answers (`earthdata.md` section 6) parse, including the dirty ones":
/// the granules of TELLUS have their data in one bucket and their maps in another.
#[test]
fn a_recorded_collection_shows_both_of_its_buckets() {
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
    let recorded: Value =
        serde_json::from_str(include_str!("../../src/catalog/cmr/recorded/granules-tellus.json"))
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
    let collections: Value =
        serde_json::from_str(include_str!("../../src/catalog/cmr/recorded/collections-poc.json"))
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
