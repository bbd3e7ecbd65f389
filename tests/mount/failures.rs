//! What keeps a mount from being usable is said in one clear message, with exit code 1, and leaves
//! nothing behind (issue 2, "What a user does"). That there is one message, and that nothing is
//! left, is part of every [`Plan::refusal`].

use std::time::{Duration, Instant};

use fake_daac::{BearerAnswer, EndpointAnswer, FakeDaac, Family, LoginAnswer};

use crate::harness::{BUCKET, Plan, Site};

fn with_password(plan: Plan, archive: &FakeDaac) -> Plan {
    plan.without("EARTHDATA_TOKEN")
        .env("EARTHDATA_USERNAME", archive.user())
        .env("EARTHDATA_PASSWORD", archive.password())
}

/// Without an identity the message names every place where one could be.
#[test]
fn a_missing_identity_is_told_with_the_ways_to_give_one() {
    let Some(site) = Site::with_one_object() else { return };
    let plan = site.plan(BUCKET).without("EARTHDATA_TOKEN");
    plan.must_say(&["EARTHDATA_TOKEN", "EARTHDATA_USERNAME", "machine", ".netrc"]);
    let half = site.plan(BUCKET).without("EARTHDATA_TOKEN").env("EARTHDATA_USERNAME", "ada");
    half.must_say(&["EARTHDATA_PASSWORD is not"]);
}

/// "every answer of section 2 becomes its own clear message": a wrong password is tried once, so
/// that no account gets locked.
#[test]
fn a_wrong_password_is_told_and_tried_once() {
    let Some(site) = Site::with_one_object() else { return };
    let plan = with_password(site.plan(BUCKET), &site.archive).env("EARTHDATA_PASSWORD", "guess");
    plan.must_say(&[
        "refused the user name or password",
        "EARTHDATA_USERNAME",
        &site.archive.edl_host(),
    ]);
    assert_eq!(site.archive.stats().rejected, 1);
}

/// A refused token is not a wrong password.
#[test]
fn a_refused_token_is_told_with_where_it_came_from() {
    for family in [Family::Cumulus, Family::Tea] {
        let Some(site) = Site::of_family(family) else { return };
        site.archive.set(|knobs| knobs.bearer = BearerAnswer::Refuse);
        site.plan(BUCKET).must_say(&["refused the token from EARTHDATA_TOKEN"]);
    }
}

/// "with the resolution URL where there is one".
#[test]
fn an_agreement_that_is_not_accepted_is_told_with_its_page() {
    let Some(tea) = Site::of_family(Family::Tea) else { return };
    tea.archive.set(|knobs| knobs.bearer = BearerAnswer::Eula);
    tea.plan(BUCKET).must_say(&[
        "EULA Acceptance Failure",
        &tea.archive.edl_host(),
        "/approve_app?client_id=",
    ]);
    let Some(cumulus) = Site::of_family(Family::Cumulus) else { return };
    for answer in [LoginAnswer::Eula, LoginAnswer::Profile] {
        cumulus.archive.set(|knobs| knobs.login = answer);
        with_password(cumulus.plan(BUCKET), &cumulus.archive)
            .must_say(&[&cumulus.archive.edl_host(), "in a browser"]);
    }
}

/// A user whose groups open nothing learns whom to ask.
#[test]
fn a_user_without_any_data_is_told_so() {
    let Some(site) = Site::of_family(Family::Tea) else { return };
    site.archive.set(|knobs| knobs.endpoint = EndpointAnswer::NoPermission);
    site.plan(BUCKET).must_say(&["may not access any of its data"]);
}

/// "Without `--credentials-endpoint` the endpoint comes from the table": a bucket that is not there
/// needs the option.
#[test]
fn an_unknown_bucket_asks_for_its_endpoint() {
    let Some(site) = Site::with_one_object() else { return };
    site.plan(BUCKET)
        .without("S3_CREDENTIAL_ENDPOINT")
        .must_say(&[BUCKET, "--credentials-endpoint"]);
}

/// A bucket that does not exist and a prefix without a key are two mistakes.
#[test]
fn a_missing_bucket_and_an_empty_prefix_are_told_apart() {
    let Some(site) = Site::with_one_object() else { return };
    site.plan_with_keys("no-such-bucket").must_say(&["s3://no-such-bucket/", "no such bucket"]);
    site.plan("granules/fold").must_say(&["nothing below s3://granules/fold/"]);
}

/// Credentials that work only inside the region say so, rather than "denied".
#[test]
fn being_outside_the_region_is_told() {
    let Some(site) = Site::with_one_object() else { return };
    site.archive.set(|knobs| knobs.out_of_region = true);
    site.plan(BUCKET).must_say(&["only from inside AWS us-west-2"]);
}

/// A region that is not the bucket's is told with the right one, whatever is asked first.
#[test]
fn a_wrong_region_is_told_with_the_right_one() {
    let Some(site) = Site::with_one_object() else { return };
    for source in [BUCKET, "s3://granules/folder/one.txt"] {
        let plan = site.plan(source).args(&["--region", "mars-1"]);
        plan.must_say(&["the bucket is in us-west-2; mount with --region us-west-2"]);
    }
}

/// Who types the command would rather know than wait: a dead Earthdata or S3 is told within a
/// bound.
#[test]
fn services_that_are_down_are_told_in_time() {
    let Some(site) = Site::with_one_object() else { return };
    let began = Instant::now();
    site.archive.set(|knobs| knobs.edl_down = true);
    with_password(site.plan(BUCKET), &site.archive)
        .must_say(&[&site.archive.edl_host(), "no answer from"]);
    site.archive.set(|knobs| (knobs.edl_down, knobs.daac_down) = (false, true));
    let endpoint = site.archive.credentials_url("PODAAC");
    site.plan(BUCKET).must_say(&[
        endpoint.trim_start_matches("http://").trim_end_matches("/s3credentials"),
        "no answer from",
    ]);
    assert!(began.elapsed() < Duration::from_secs(40), "{:?} for both", began.elapsed());

    let began = Instant::now();
    site.archive.set(|knobs| (knobs.daac_down, knobs.s3_down) = (false, true));
    site.plan(BUCKET).args(&["--timeout=5"]).must_say(&[
        "no answer within",
        "s3://granules/",
        "dispatch failure: ",
    ]);
    assert!((4..15).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

/// "One clear message", also when the login was tried several times and there is no log to write
/// that to.
#[test]
fn the_terminal_gets_one_message_however_often_it_was_tried() {
    let Some(site) = Site::with_one_object() else { return };
    site.archive.set(|knobs| knobs.daac_down = true);
    site.plan(BUCKET).without_log_file().must_say(&["no answer from"]);
}

/// "Secrets travel over https, or over http to loopback only": nothing is sent to find that out.
#[test]
fn secrets_are_not_sent_unencrypted() {
    let Some(site) = Site::with_one_object() else { return };
    for option in
        ["--credentials-endpoint=http://192.0.2.1/s3credentials", "--endpoint-url=http://192.0.2.1"]
    {
        site.plan(BUCKET).args(&[option]).must_say(&["http://192.0.2.1", "https"]);
    }
    assert_eq!(site.archive.stats().s3_requests(), 0);
}

/// A command line that cannot be meant is refused before anything is asked, with the code 2 that
/// clap gives to all usage errors.
#[test]
fn a_wrong_command_line_is_refused_before_any_request() {
    let Some(site) = Site::with_one_object() else { return };
    for (arguments, said) in [
        (["-o", "ro,colour=blue"], "--colour"),
        (["--file-mode", "0644"], "no write bits"),
        (["--dir-mode", "0775"], "no write bits"),
        (["--cache-size", "1k"], "at least"),
        (["--metadata-ttl", "soon"], "soon"),
    ] {
        let plan = site.plan(BUCKET).args(&arguments);
        let ran = plan.run();
        assert_eq!((ran.code, ran.text().as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
        assert_eq!(plan.place().mounted(), [""; 0]);
    }
    assert_eq!(site.archive.stats().credentials, 0);
}

/// AWS keys that the store does not know are the user's to correct, and waiting does not help.
#[test]
fn keys_that_the_store_does_not_know_are_told_at_once() {
    let Some(site) = Site::with_one_object() else { return };
    let began = Instant::now();
    site.plan_with_keys(BUCKET)
        .env("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN")
        .must_say(&["InvalidAccessKeyId", "--endpoint-url"]);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

/// Credentials of an endpoint that the store does not belong to are no mount, not even one with a
/// warning.
#[test]
fn a_store_that_rejects_the_endpoints_credentials_is_told() {
    let (Some(site), Some(other)) = (Site::with_one_object(), Site::with_one_object()) else {
        return;
    };
    let plan = site.plan(BUCKET).env("AWS_ENDPOINT_URL_S3", other.archive.s3_url());
    plan.must_say(&["does not accept the credentials", "--endpoint-url"]);
    assert_eq!(site.archive.stats().issued, 2);
}

/// Who types the command is told what takes so long, when it does; and what comes of it.
#[test]
fn a_login_that_takes_long_says_what_is_waited_for() {
    let Some(site) = Site::with_one_object() else { return };
    site.archive.set(|knobs| knobs.credentials_latency = Duration::from_secs(8));
    let endpoint = site.archive.credentials_url("PODAAC");
    let said = format!("granulefs: waiting for credentials from {endpoint}: no answer from ");
    let (mount, told) = site.plan(BUCKET).mount_warned();
    assert!(told.starts_with(&said) && told.matches('\n').count() == 1, "{told}");
    assert_eq!(mount.log(), "");
    let doctor = site.ask(&["doctor", BUCKET, "--buckets-file", &site.table()]);
    assert!(doctor.code == Some(0) && doctor.stderr.starts_with(&said), "{}", doctor.stderr);
}

/// "Every answer becomes its own clear message": what passes says so.
#[test]
fn an_endpoint_that_fails_says_whose_fault_that_is_and_what_to_do() {
    let Some(site) = Site::with_one_object() else { return };
    for (answer, words) in [
        (EndpointAnswer::FailedDependency, ["424", "a fault at its end that may pass"]),
        (EndpointAnswer::Unavailable, ["503", "a fault at its end that may pass"]),
        (EndpointAnswer::Nonsense, ["no temporary credentials", "is that an /s3credentials URL?"]),
    ] {
        site.archive.set(|knobs| knobs.endpoint = answer);
        site.plan(BUCKET).must_say(&[words[0], words[1], "; given up after ", "try again later"]);
    }
}
