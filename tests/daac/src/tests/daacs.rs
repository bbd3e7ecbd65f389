//! Several DAACs in one archive, each with a fate of its own.

use super::*;
use crate::{BearerAnswer, DaacKnobs, DaacStats, EndpointAnswer, Listing, LoginAnswer};

fn three_daacs() -> FakeDaac {
    let archive = FakeDaac::start(Setup::three_daacs()).unwrap();
    for bucket in buckets(&archive) {
        archive.put(&bucket.0, "d/k", "x");
    }
    archive
}

/// Bucket and endpoint as the table has them.
fn buckets(archive: &FakeDaac) -> Vec<(String, String)> {
    let table: serde_json::Value = serde_json::from_str(&archive.buckets_file()).unwrap();
    let known = table.as_object().unwrap().iter();
    known
        .map(|(bucket, known)| (bucket.clone(), known["endpoint"].as_str().unwrap().to_owned()))
        .collect()
}

fn bearer(archive: &FakeDaac, daac: &str) -> Answer {
    ask(
        "GET",
        &archive.credentials_url(daac),
        &[("authorization", &format!("Bearer {}", archive.token()))],
        "",
    )
}

/// Posts the password on a DAAC's behalf.
fn post(archive: &FakeDaac, daac: &str) -> Answer {
    let endpoint = archive.credentials_url(daac);
    let credentials = STANDARD.encode(format!("{}:{}", archive.user(), archive.password()));
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("credentials", &credentials)
        .finish();
    let form =
        [("origin", endpoint.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    ask("POST", &ask("GET", &endpoint, &[], "").header("location"), &form, &body)
}

#[test]
fn the_table_names_five_buckets_with_endpoints_that_open_them_and_no_others() {
    let archive = three_daacs();
    let buckets = buckets(&archive);
    assert_eq!(buckets.len(), 5);
    let table: serde_json::Value = serde_json::from_str(&archive.buckets_file()).unwrap();
    assert_eq!(table["podaac-local-public"]["providers"], serde_json::json!(["POCLOUD"]));
    assert_eq!(table["asf-local-browse"]["region"], "us-west-2");
    for daac in ["PODAAC", "NSIDC", "ASF"] {
        let key = key_in(&bearer(&archive, daac));
        for (bucket, endpoint) in &buckets {
            let opens = *endpoint == archive.credentials_url(daac);
            let answer = s3(&archive, &key, "GET", &format!("/{bucket}/d/k"), &[]);
            assert_eq!(answer.status, if opens { 200 } else { 403 }, "{daac} {bucket}");
            assert!(opens || answer.text().contains("<Code>AccessDenied<"));
            let answer = s3(&archive, &key, "GET", &format!("/{bucket}?list-type=2"), &[]);
            assert_eq!(answer.status, if opens { 200 } else { 403 }, "{daac} {bucket}");
        }
    }
}

#[test]
fn what_is_wrong_with_one_daac_is_wrong_with_no_other() {
    let archive = three_daacs();
    type Turn = fn(&mut DaacKnobs);
    let table: [(Turn, u16, u16); 8] = [
        (|asf| asf.endpoint = Some(EndpointAnswer::Unavailable), 503, 503),
        (|asf| asf.endpoint = Some(EndpointAnswer::FailedDependency), 424, 424),
        (|asf| asf.endpoint = Some(EndpointAnswer::InternalError), 500, 500),
        (|asf| asf.endpoint = Some(EndpointAnswer::NoPermission), 403, 403),
        (|asf| asf.endpoint = Some(EndpointAnswer::Nonsense), 200, 200),
        (|asf| asf.bearer = Some(BearerAnswer::Eula), 403, 307),
        (|asf| asf.bearer = Some(BearerAnswer::Refuse), 401, 307),
        (|asf| asf.down = Some(true), 0, 0),
    ];
    for (index, (turn, tea, cumulus)) in table.into_iter().enumerate() {
        for (broken, status) in [("ASF", tea), ("NSIDC", cumulus)] {
            archive.set(|knobs| turn(knobs.daac(broken)));
            for daac in ["PODAAC", "NSIDC", "ASF"] {
                let wanted = if daac == broken { status } else { 200 };
                assert_eq!(bearer(&archive, daac).status, wanted, "{index} {broken} {daac}");
            }
            archive.set(|knobs| knobs.daacs.clear());
        }
    }
    assert_eq!(bearer(&archive, "ASF").status, 200);
}

#[test]
fn agreements_and_profiles_are_asked_for_on_behalf_of_one_daac() {
    let archive = three_daacs();
    for (answer, path) in
        [(LoginAnswer::Eula, "unaccepted_eulas"), (LoginAnswer::Profile, "profile")]
    {
        archive.set(|knobs| knobs.daac("NSIDC").login = Some(answer));
        for daac in ["PODAAC", "NSIDC", "ASF"] {
            let location = post(&archive, daac).header("location");
            assert_eq!(location.contains("error=access_denied"), daac == "NSIDC", "{location}");
            assert_eq!(location.contains(path), daac == "NSIDC", "{location}");
        }
    }
}

#[test]
fn out_of_region_is_a_matter_of_whose_credentials_they_are() {
    let archive = three_daacs();
    let (asf, podaac) = (key_in(&bearer(&archive, "ASF")), key_in(&bearer(&archive, "PODAAC")));
    let role = archive.mint_role(SOON, &["asf-local-products"]);
    archive.set(|knobs| knobs.daac("ASF").out_of_region = Some(true));
    let answer = s3(&archive, &asf, "GET", "/asf-local-products?list-type=2", &[]);
    assert_eq!(answer.status, 403);
    for words in
        ["s3-same-region-access-role", "s3:ListBucket", "explicit deny in an identity-based policy"]
    {
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    assert!(
        s3(&archive, &asf, "GET", "/asf-local-products/d/k", &[]).text().contains("s3:GetObject")
    );
    assert_eq!(s3(&archive, &role, "GET", "/asf-local-products/d/k", &[]).status, 200);
    assert_eq!(s3(&archive, &podaac, "GET", "/podaac-local-public/d/k", &[]).status, 200);
}

#[test]
fn credentials_live_as_long_as_their_own_daac_says() {
    let archive = three_daacs();
    archive.set(|knobs| knobs.daac("ASF").credential_life = Some(Duration::from_secs(5)));
    let (asf, podaac) = (key_in(&bearer(&archive, "ASF")), key_in(&bearer(&archive, "PODAAC")));
    archive.set(|knobs| knobs.clock_shift = 6);
    assert!(
        s3(&archive, &asf, "GET", "/asf-local-products/d/k", &[])
            .text()
            .contains("<Code>ExpiredToken<")
    );
    assert_eq!(s3(&archive, &podaac, "GET", "/podaac-local-public/d/k", &[]).status, 200);
}

#[test]
fn roles_open_the_chosen_buckets_only() {
    let archive = three_daacs();
    let (id, secret) = archive.static_keys_of(&["nsidc-local-protected"]);
    let role = archive.mint_role(SOON, &["nsidc-local-protected", "asf-local-browse"]);
    for (bucket, statics, roles) in [
        ("nsidc-local-protected", 200, 200),
        ("asf-local-browse", 403, 200),
        ("asf-local-products", 403, 403),
        ("podaac-local-protected", 403, 403),
    ] {
        let target = format!("/{bucket}/d/k");
        assert_eq!(
            s3(&archive, &(id.clone(), secret.clone(), String::new()), "GET", &target, &[]).status,
            statics,
            "{bucket}"
        );
        assert_eq!(s3(&archive, &role, "GET", &target, &[]).status, roles, "{bucket}");
    }
    assert!([&secret, &role.1, &role.2].iter().all(|secret| archive.secrets().contains(secret)));
}

#[test]
fn a_bucket_may_have_permissions_of_its_own() {
    let archive = three_daacs();
    let key = archive.mint(SOON);
    archive.set(|knobs| {
        knobs.bucket("asf-local-products").listing = Some(Listing::Under(vec!["d/".into()]));
        knobs.bucket("asf-local-browse").listing = Some(Listing::Denied);
        knobs.bucket("nsidc-local-protected").unreadable = Some(vec![String::new()]);
    });
    for (target, status) in [
        ("/asf-local-products?list-type=2", 403),
        ("/asf-local-products?list-type=2&prefix=d", 403),
        ("/asf-local-products?list-type=2&prefix=d%2F", 200),
        ("/asf-local-products/d/missing", 403),
        ("/asf-local-browse?list-type=2&prefix=d%2F", 403),
        ("/asf-local-browse/d/k", 200),
        ("/nsidc-local-protected?list-type=2", 200),
        ("/nsidc-local-protected/d/k", 403),
        ("/podaac-local-public?list-type=2", 200),
        ("/podaac-local-public/d/missing", 404),
    ] {
        assert_eq!(s3(&archive, &key, "GET", target, &[]).status, status, "{target}");
    }
}

#[test]
fn each_daac_is_counted_by_itself() {
    let archive = three_daacs();
    assert_eq!(log_in(&archive, "ASF").status, 200);
    bearer(&archive, "PODAAC");
    s3(&archive, &archive.mint(SOON), "GET", "/asf-local-browse/d/k", &[]);
    let asf = DaacStats {
        credentials: 2,
        logins: 1,
        callbacks: 1,
        issued: 1,
        authenticated: 1,
        s3_requests: 1,
        links: 0,
    };
    assert_eq!(archive.daac_stats("ASF"), asf);
    assert_eq!(
        archive.daac_stats("PODAAC"),
        DaacStats { credentials: 1, issued: 1, ..DaacStats::default() }
    );
    assert_eq!(archive.daac_stats("NSIDC"), DaacStats::default());
    archive.reset_stats();
    assert_eq!(archive.daac_stats("ASF"), DaacStats::default());
}

#[test]
fn a_granule_link_leads_to_the_login_and_is_counted() {
    let archive = three_daacs();
    let link = archive.https_link("nsidc-local-protected", "a b/é+.nc");
    assert!(link.ends_with("/nsidc-local-protected/a%20b/%C3%A9%2B.nc"), "{link}");
    assert_eq!(link.split('/').nth(2), archive.credentials_url("NSIDC").split('/').nth(2));
    assert_eq!(ask("GET", &link, &[], "").status, 307);
    assert_eq!(
        (archive.daac_stats("NSIDC").links, archive.stats().links, archive.stats().callbacks),
        (1, 1, 0)
    );
    assert_eq!(ask("GET", &archive.https_link("asf-local-browse", "k"), &[], "").status, 302);
    let elsewhere =
        archive.credentials_url("ASF").replace("s3credentials", "nsidc-local-protected/k");
    assert_eq!(ask("GET", &elsewhere, &[], "").status, 404);
}

#[test]
#[should_panic(expected = "no DAAC here")]
fn knobs_of_a_daac_that_is_not_there_are_a_mistake() {
    three_daacs().set(|knobs| knobs.daac("ASFF").down = Some(true));
}

#[test]
#[should_panic(expected = "no bucket here")]
fn knobs_of_a_bucket_that_is_not_there_are_a_mistake() {
    three_daacs().set(|knobs| knobs.bucket("asf").listing = Some(Listing::Denied));
}
