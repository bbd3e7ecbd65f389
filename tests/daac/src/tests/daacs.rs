//! Several DAACs, each with faults, permissions and counts of its own.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::client::{Answer, SOON, ask, key_in, log_in, s3};
use crate::{
    BearerAnswer, DaacKnobs, DaacStats, EndpointAnswer, FakeDaac, Listing, LoginAnswer, Setup,
};

fn three_daacs() -> FakeDaac {
    let fake_daac = FakeDaac::start(Setup::three_daacs()).unwrap();
    for bucket in buckets(&fake_daac) {
        fake_daac.put(&bucket.0, "d/k", "x");
    }
    fake_daac
}

/// Bucket and endpoint of every row of the bucket table.
fn buckets(fake_daac: &FakeDaac) -> Vec<(String, String)> {
    let table: serde_json::Value = serde_json::from_str(&fake_daac.buckets_file()).unwrap();
    let known = table.as_object().unwrap().iter();
    known
        .map(|(bucket, known)| (bucket.clone(), known["endpoint"].as_str().unwrap().to_owned()))
        .collect()
}

fn bearer(fake_daac: &FakeDaac, daac: &str) -> Answer {
    ask(
        "GET",
        &fake_daac.credentials_url(daac),
        &[("authorization", &format!("Bearer {}", fake_daac.token()))],
        "",
    )
}

/// Posts the password for a login at a DAAC.
fn post(fake_daac: &FakeDaac, daac: &str) -> Answer {
    let endpoint = fake_daac.credentials_url(daac);
    let credentials = STANDARD.encode(format!("{}:{}", fake_daac.user(), fake_daac.password()));
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("credentials", &credentials)
        .finish();
    let form =
        [("origin", endpoint.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    ask("POST", &ask("GET", &endpoint, &[], "").header("location"), &form, &body)
}

#[test]
fn each_bucket_of_the_table_opens_only_to_the_credentials_of_its_endpoint() {
    let fake_daac = three_daacs();
    let buckets = buckets(&fake_daac);
    assert_eq!(buckets.len(), 5);
    let table: serde_json::Value = serde_json::from_str(&fake_daac.buckets_file()).unwrap();
    assert_eq!(table["podaac-local-public"]["providers"], serde_json::json!(["POCLOUD"]));
    assert_eq!(table["asf-local-browse"]["region"], "us-west-2");
    for daac in ["PODAAC", "NSIDC", "ASF"] {
        let key = key_in(&bearer(&fake_daac, daac));
        for (bucket, endpoint) in &buckets {
            let opens = *endpoint == fake_daac.credentials_url(daac);
            let answer = s3(&fake_daac, &key, "GET", &format!("/{bucket}/d/k"), &[]);
            assert_eq!(answer.status, if opens { 200 } else { 403 }, "{daac} {bucket}");
            assert!(opens || answer.text().contains("<Code>AccessDenied<"));
            let answer = s3(&fake_daac, &key, "GET", &format!("/{bucket}?list-type=2"), &[]);
            assert_eq!(answer.status, if opens { 200 } else { 403 }, "{daac} {bucket}");
        }
    }
}

#[test]
fn a_failure_of_one_daac_affects_no_other() {
    let fake_daac = three_daacs();
    type ChangeKnobs = fn(&mut DaacKnobs);
    let table: [(ChangeKnobs, u16, u16); 8] = [
        (|asf| asf.endpoint = Some(EndpointAnswer::Unavailable), 503, 503),
        (|asf| asf.endpoint = Some(EndpointAnswer::FailedDependency), 424, 424),
        (|asf| asf.endpoint = Some(EndpointAnswer::InternalError), 500, 500),
        (|asf| asf.endpoint = Some(EndpointAnswer::NoPermission), 403, 403),
        (|asf| asf.endpoint = Some(EndpointAnswer::Malformed), 200, 200),
        (|asf| asf.bearer = Some(BearerAnswer::Eula), 403, 307),
        (|asf| asf.bearer = Some(BearerAnswer::Refuse), 401, 307),
        (|asf| asf.down = Some(true), 0, 0),
    ];
    for (index, (change, tea, cumulus)) in table.into_iter().enumerate() {
        for (broken, status) in [("ASF", tea), ("NSIDC", cumulus)] {
            fake_daac.set(|knobs| change(knobs.daac(broken)));
            for daac in ["PODAAC", "NSIDC", "ASF"] {
                let wanted = if daac == broken { status } else { 200 };
                assert_eq!(bearer(&fake_daac, daac).status, wanted, "{index} {broken} {daac}");
            }
            fake_daac.set(|knobs| knobs.daacs.clear());
        }
    }
    assert_eq!(bearer(&fake_daac, "ASF").status, 200);
}

#[test]
fn a_missing_agreement_or_profile_concerns_one_daac_only() {
    let fake_daac = three_daacs();
    for (answer, path) in
        [(LoginAnswer::Eula, "unaccepted_eulas"), (LoginAnswer::Profile, "profile")]
    {
        fake_daac.set(|knobs| knobs.daac("NSIDC").login = Some(answer));
        for daac in ["PODAAC", "NSIDC", "ASF"] {
            let location = post(&fake_daac, daac).header("location");
            assert_eq!(location.contains("error=access_denied"), daac == "NSIDC", "{location}");
            assert_eq!(location.contains(path), daac == "NSIDC", "{location}");
        }
    }
}

#[test]
fn being_out_of_region_depends_on_the_daac_that_issued_the_credentials() {
    let fake_daac = three_daacs();
    let (asf, podaac) = (key_in(&bearer(&fake_daac, "ASF")), key_in(&bearer(&fake_daac, "PODAAC")));
    let role = fake_daac.temporary_keys_of(SOON, &["asf-local-products"]);
    fake_daac.set(|knobs| knobs.daac("ASF").out_of_region = Some(true));
    let answer = s3(&fake_daac, &asf, "GET", "/asf-local-products?list-type=2", &[]);
    assert_eq!(answer.status, 403);
    for words in
        ["s3-same-region-access-role", "s3:ListBucket", "explicit deny in an identity-based policy"]
    {
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    assert!(
        s3(&fake_daac, &asf, "GET", "/asf-local-products/d/k", &[]).text().contains("s3:GetObject")
    );
    assert_eq!(s3(&fake_daac, &role, "GET", "/asf-local-products/d/k", &[]).status, 200);
    assert_eq!(s3(&fake_daac, &podaac, "GET", "/podaac-local-public/d/k", &[]).status, 200);
}

#[test]
fn each_daac_has_its_own_credential_life() {
    let fake_daac = three_daacs();
    fake_daac.set(|knobs| knobs.daac("ASF").credential_life = Some(Duration::from_secs(5)));
    let (asf, podaac) = (key_in(&bearer(&fake_daac, "ASF")), key_in(&bearer(&fake_daac, "PODAAC")));
    fake_daac.set(|knobs| knobs.clock_shift = 6);
    assert!(
        s3(&fake_daac, &asf, "GET", "/asf-local-products/d/k", &[])
            .text()
            .contains("<Code>ExpiredToken<")
    );
    assert_eq!(s3(&fake_daac, &podaac, "GET", "/podaac-local-public/d/k", &[]).status, 200);
}

#[test]
fn role_credentials_open_the_chosen_buckets_only() {
    let fake_daac = three_daacs();
    let (id, secret) = fake_daac.static_keys_of(&["nsidc-local-protected"]);
    let role = fake_daac.temporary_keys_of(SOON, &["nsidc-local-protected", "asf-local-browse"]);
    for (bucket, statics, roles) in [
        ("nsidc-local-protected", 200, 200),
        ("asf-local-browse", 403, 200),
        ("asf-local-products", 403, 403),
        ("podaac-local-protected", 403, 403),
    ] {
        let target = format!("/{bucket}/d/k");
        assert_eq!(
            s3(&fake_daac, &(id.clone(), secret.clone(), String::new()), "GET", &target, &[])
                .status,
            statics,
            "{bucket}"
        );
        assert_eq!(s3(&fake_daac, &role, "GET", &target, &[]).status, roles, "{bucket}");
    }
    assert!([&secret, &role.1, &role.2].iter().all(|secret| fake_daac.secrets().contains(secret)));
}

#[test]
fn a_bucket_may_have_permissions_of_its_own() {
    let fake_daac = three_daacs();
    let key = fake_daac.temporary_keys(SOON);
    fake_daac.set(|knobs| {
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
        assert_eq!(s3(&fake_daac, &key, "GET", target, &[]).status, status, "{target}");
    }
}

#[test]
fn each_daac_has_its_own_counts() {
    let fake_daac = three_daacs();
    assert_eq!(log_in(&fake_daac, "ASF").status, 200);
    bearer(&fake_daac, "PODAAC");
    s3(&fake_daac, &fake_daac.temporary_keys(SOON), "GET", "/asf-local-browse/d/k", &[]);
    let asf = DaacStats {
        credentials: 2,
        logins: 1,
        callbacks: 1,
        issued: 1,
        authenticated: 1,
        s3_requests: 1,
        links: 0,
    };
    assert_eq!(fake_daac.daac_stats("ASF"), asf);
    assert_eq!(
        fake_daac.daac_stats("PODAAC"),
        DaacStats { credentials: 1, issued: 1, ..DaacStats::default() }
    );
    assert_eq!(fake_daac.daac_stats("NSIDC"), DaacStats::default());
    fake_daac.reset_stats();
    assert_eq!(fake_daac.daac_stats("ASF"), DaacStats::default());
}

#[test]
fn a_granule_link_leads_to_the_login_and_is_counted() {
    let fake_daac = three_daacs();
    let link = fake_daac.https_link("nsidc-local-protected", "a b/é+.nc");
    assert!(link.ends_with("/nsidc-local-protected/a%20b/%C3%A9%2B.nc"), "{link}");
    assert_eq!(link.split('/').nth(2), fake_daac.credentials_url("NSIDC").split('/').nth(2));
    assert_eq!(ask("GET", &link, &[], "").status, 307);
    assert_eq!(
        (fake_daac.daac_stats("NSIDC").links, fake_daac.stats().links, fake_daac.stats().callbacks),
        (1, 1, 0)
    );
    assert_eq!(ask("GET", &fake_daac.https_link("asf-local-browse", "k"), &[], "").status, 302);
    let elsewhere =
        fake_daac.credentials_url("ASF").replace("s3credentials", "nsidc-local-protected/k");
    assert_eq!(ask("GET", &elsewhere, &[], "").status, 404);
}

#[test]
#[should_panic(expected = "no DAAC here")]
fn knobs_of_an_unknown_daac_panic() {
    three_daacs().set(|knobs| knobs.daac("ASFF").down = Some(true));
}

#[test]
#[should_panic(expected = "no bucket here")]
fn knobs_of_an_unknown_bucket_panic() {
    three_daacs().set(|knobs| knobs.bucket("asf").listing = Some(Listing::Denied));
}
