//! "A collection by short name through CMR (...) it is free text and sometimes wrong, so check it
//! against one granule's own link" (issue 5, item 2; `earthdata.md`, section 6).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use fake_daac::{CmrAnswer, Collection, Daac, Family, Hint, Setup};
use serde_json::{Value, json};

use crate::harness::{Mount, Plan, Ran, Site, names};

const BUCKET: &str = "podaac-local-protected";

fn site() -> Option<Site> {
    let site = Site::of(Setup::three_daacs())?;
    for key in ["MUR.v4.1/2002/a.nc", "MUR.v4.1/2020/z.nc", "OTHER.v1/b.nc"] {
        site.archive.put(BUCKET, key, key);
    }
    Some(site)
}

fn plan(site: &Site, collection: &str) -> Plan {
    site.plan_by_table(&format!("collection:{collection}"))
        .args(&["--cmr-host", &site.archive.cmr_host()])
}

fn mur(version: &str, hint: Hint) -> Collection {
    Collection::new("MUR", version, BUCKET, "MUR.v4.1/").hinted(hint)
}

/// A collection whose record claims these places, and whose granules have these files.
fn publish(site: &Site, claims: &[&str], granules: &[&[&str]]) {
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
    site.archive.publish_recorded("PODAAC", vec![record], &granules);
}

#[track_caller]
fn must_show_mur((mount, ran): (Mount, Ran), note: &str) {
    assert_eq!(ran.text(), "");
    assert_eq!(
        (ran.stderr.is_empty(), ran.stderr.contains(note)),
        (note.is_empty(), true),
        "{}",
        ran.stderr
    );
    assert_eq!(names(&mount.path()), ["2002", "2020"]);
    assert_eq!(fs::read_to_string(mount.at("2020/z.nc")).unwrap(), "MUR.v4.1/2020/z.nc");
}

/// "With or without `s3://`, with or without a trailing slash, sometimes without the separator
/// after the bucket, sometimes wrong."
#[test]
fn a_collection_is_found_however_its_prefix_was_typed() {
    for (hint, note) in [
        (Hint::Clean, ""),
        (Hint::NoScheme, ""),
        (Hint::NoSlash, ""),
        (Hint::NoSeparator, ""),
        (Hint::Bare, ""),
        (
            Hint::WrongBucket,
            "CMR says s3://there-is-no-such-bucket/NOWHERE/ for C1000000000-POCLOUD, but its granules are in",
        ),
        (Hint::WrongPrefix, "but its granules are in s3://podaac-local-protected/MUR.v4.1/"),
        (
            Hint::Verbatim(vec![
                "podaac-local-public/MUR.v4.1/".into(),
                format!("{BUCKET}/MUR.v4.1/"),
            ]),
            "",
        ),
        (Hint::Verbatim(vec!["see the user guide".into()]), "CMR says see the user guide for"),
        (Hint::Verbatim(vec![]), "CMR says nothing for"),
    ] {
        let Some(site) = site() else { return };
        site.archive.publish(mur("4.1", hint));
        must_show_mur(plan(&site, "MUR").mounted(), note);
    }
}

/// A bucket that no table knows has its endpoint from CMR, which is told: the token goes there.
#[test]
fn cmr_names_the_endpoint_of_a_bucket_that_no_table_knows() {
    let Some(site) = site() else { return };
    for (version, hint) in [("1", Hint::Clean), ("2", Hint::Bare)] {
        site.archive.publish(mur(version, hint));
        let source = format!("collection:MUR@{version}");
        let plan = site
            .plan(&source)
            .without("S3_CREDENTIAL_ENDPOINT")
            .args(&["--cmr-host", &site.archive.cmr_host()]);
        let endpoint = site.archive.credentials_url("PODAAC");
        let note = format!(
            "the table of buckets does not know {BUCKET}: the credentials come from {endpoint}, as CMR says"
        );
        must_show_mur(plan.mounted(), &note);
        let ran = site.ask(&["doctor", &source, "--cmr-host", &site.archive.cmr_host()]);
        assert!(
            ran.code == Some(0) && ran.text().contains(&format!("note     source        {note}")),
            "{}",
            ran.text()
        );
        must_show_mur(plan_naming_the_endpoint(&site, &source).mounted(), "");
    }
    assert_eq!(site.archive.daac_stats("PODAAC").issued, 6);
}

/// With the endpoint from the user, and the catalogue of this machine.
fn plan_naming_the_endpoint(site: &Site, source: &str) -> Plan {
    site.plan(source).args(&["--cmr-host", &site.archive.cmr_host()])
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
    let Some(site) = site() else { return };
    for endpoint in [
        "https://tea.example.org/s3credentials",
        "http://archive.podaac.earthdata.nasa.gov/s3credentials",
    ] {
        let cmr = catalogue_naming(endpoint);
        let collection = ["collection:MUR", "--cmr-host", &cmr];
        for verb in ["doctor", "credentials"] {
            let ran = site.ask(&[&[verb], &collection[..]].concat());
            let said = format!("{}{}", ran.text(), ran.stderr);
            assert!(
                ran.code == Some(1)
                    && said.contains(endpoint)
                    && said.contains("--credentials-endpoint"),
                "{verb}: {said}"
            );
        }
        let plan = site.plan(collection[0]).args(&collection[1..]);
        let ran = plan.run();
        assert_eq!(ran.code, Some(0), "the user has named another: {}", ran.stderr);
        let ran =
            site.plan(collection[0]).without("S3_CREDENTIAL_ENDPOINT").args(&collection[1..]).run();
        assert!(
            ran.code == Some(1) && ran.stderr.contains("nothing was sent there"),
            "{}",
            ran.stderr
        );
    }
}

/// The newest version unless one is named, and the choice is told; a concept id is one collection.
#[test]
fn the_newest_version_is_mounted_unless_another_one_is_named() {
    let Some(site) = site() else { return };
    let other = |version: &str| Collection::new("MUR", version, BUCKET, "OTHER.v1/");
    let old = site.archive.publish(other("9"));
    site.archive.publish(mur("10", Hint::NoSlash));
    site.archive.publish(other("11").hinted(Hint::Absent));
    must_show_mur(
        plan(&site, "MUR").mounted(),
        "MUR is version 10, the newest; others, as MUR@VERSION: 9",
    );
    must_show_mur(plan(&site, "MUR@10").mounted(), "");
    for named in ["MUR@9", &old] {
        let mount = plan(&site, named).mount();
        assert!(mount.at("b.nc").exists(), "{named}");
    }
    plan(&site, "MUR@8")
        .must_say(&["knows no collection MUR version 8; its versions are 9, 10, 11"]);
}

/// What CMR does not know, or knows to be elsewhere, is told before anybody logs in.
#[test]
fn a_collection_that_is_not_in_the_cloud_is_told() {
    let Some(site) = site() else { return };
    site.archive.publish(mur("4.1", Hint::Absent));
    site.archive.publish(Collection::new("EMPTY", "1", BUCKET, "EMPTY/"));
    let host = site.archive.cmr_host();
    plan(&site, "MUR").must_say(&["the collection MUR", "is in no bucket", &host]);
    plan(&site, "NONE").must_say(&["knows no collection NONE", "short name", &host]);
    plan(&site, "NONE@9").must_say(&["knows no collection NONE version 9; check its short name"]);
    assert_eq!(site.archive.stats().credentials, 0);
    let empty = plan(&site, "EMPTY").run();
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
        plan(&site, "MUR").must_say(&["no answer from CMR at", &host, words, "granulefs buckets"]);
    }
    site.archive.set(|knobs| (knobs.cmr, knobs.cmr_down) = (CmrAnswer::Normal, true));
    plan(&site, "MUR").must_say(&["no answer from CMR at", &host]);
    let mount =
        site.plan_by_table(&format!("{BUCKET}/MUR.v4.1")).args(&["--cmr-host", &host]).mount();
    assert!(mount.at("2002/a.nc").exists());
    assert_eq!(site.archive.stats().issued, 1);
    // In doctor's line as well.
    let ran = site.ask(&[
        "doctor",
        "collection:MUR",
        "--cmr-host",
        &host,
        "--buckets-file",
        &site.table(),
    ]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.text().contains("FAILED   source        no answer from CMR at"), "{}", ran.text());
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
        let Some(site) = Site::of(Setup::three_daacs()) else { return };
        for url in [OPS, MAPS, OLD, SUM] {
            let (bucket, key) = url.strip_prefix("s3://").unwrap().split_once('/').unwrap();
            site.archive.put(bucket, key, url);
        }
        publish(&site, &claims, granules);
        let (mount, ran) = plan(&site, "WIDE").mounted();
        assert_eq!(
            (ran.stderr.is_empty(), ran.stderr.contains(note)),
            (note.is_empty(), true),
            "{}",
            ran.stderr
        );
        if shown.is_empty() {
            assert_eq!(names(&mount.path()), ["a.nc"]);
            continue;
        }
        let bucket_of = |url: &str| url.split('/').nth(2).unwrap().to_owned();
        assert_eq!(
            names(&mount.path()),
            shown.iter().map(|url| bucket_of(url)).collect::<Vec<_>>()
        );
        for url in shown {
            let name = url.rsplit('/').next().unwrap();
            let path = mount.at(bucket_of(url)).join(name);
            assert_eq!(fs::read_to_string(&path).unwrap(), *url);
            let told = site.ask(&["path", url, &mount.path().display().to_string()]);
            assert_eq!(told.text(), format!("{}\n", path.display()));
        }
        assert!(
            mount.place().mounts()[0].contains(" collection:WIDE "),
            "{:?}",
            mount.place().mounts()
        );
        assert_eq!(["PODAAC", "NSIDC"].map(|daac| site.archive.daac_stats(daac).issued), [1, 0]);
        let doctor = site.ask(&[
            "doctor",
            "collection:WIDE",
            "--cmr-host",
            &site.archive.cmr_host(),
            "--buckets-file",
            &site.table(),
        ]);
        assert_eq!(
            (doctor.code, doctor.text().matches("can be read").count()),
            (Some(0), shown.len()),
            "{}",
            doctor.text()
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
    let Some(site) = Site::of(Setup { daacs: vec![daac], ..Setup::default() }) else { return };
    let recorded: Value =
        serde_json::from_str(include_str!("../../src/catalog/cmr/recorded/granules-tellus.json"))
            .unwrap();
    let granules = recorded["body"]["items"].as_array().unwrap();
    for url in granules.iter().flat_map(|granule| granule["umm"]["RelatedUrls"].as_array().unwrap())
    {
        if let Some((bucket, key)) =
            url["URL"].as_str().unwrap().strip_prefix("s3://").and_then(|url| url.split_once('/'))
        {
            site.archive.put(bucket, key, "data");
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
    site.archive.publish_recorded("PODAAC", vec![record], granules);
    let (mount, ran) = plan(&site, SHORT_NAME).mounted();
    assert!(ran.stderr.contains("is in 2 buckets"), "{}", ran.stderr);
    assert_eq!(names(&mount.path()), buckets);
    for (bucket, extension, count) in
        [(buckets[0], ".nc", 12), (buckets[1], ".tif", 12), (buckets[1], ".txt", 12)]
    {
        let found =
            names(&mount.at(bucket)).into_iter().filter(|name| name.ends_with(extension)).count();
        assert_eq!(found, count, "{bucket} {extension}");
    }
}
