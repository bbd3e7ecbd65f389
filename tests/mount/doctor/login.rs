//! What `doctor` finds up to the login: identity, hosts, clock, token, endpoint.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fake_daac::{BearerAnswer, EndpointAnswer, Family, ForeignRedirect, Knobs, LoginAnswer};

use super::{doctor, lines, must_find, with_password};
use crate::harness::{TestEnvironment, run};

/// Each way in which the endpoint refuses the token fails the check `login`.
#[test]
fn a_refused_token_and_a_missing_agreement_are_found_at_the_login() {
    for (family, bearer, words) in [
        (
            Family::Cumulus,
            BearerAnswer::Refuse,
            ["refused the token from EARTHDATA_TOKEN", "/profile"],
        ),
        (Family::Tea, BearerAnswer::Refuse, ["refused the token from EARTHDATA_TOKEN", "/profile"]),
        (
            Family::Tea,
            BearerAnswer::Redirect,
            ["refused the token from EARTHDATA_TOKEN", "/profile"],
        ),
        (Family::Tea, BearerAnswer::Eula, ["EULA Acceptance Failure", "/approve_app?client_id="]),
        (Family::Cumulus, BearerAnswer::Eula, ["an agreement is missing", "/profile"]),
    ] {
        let Some(environment) = TestEnvironment::with_family(family) else { return };
        environment.fake_daac.set(|knobs| knobs.bearer = bearer);
        must_find(&environment, doctor(&environment, &["granules"]), "login", &words);
    }
}

/// A wrong password, a missing agreement and an incomplete profile have different messages; the
/// last two have the URL of the page to open.
#[test]
fn a_wrong_password_an_agreement_and_a_profile_have_different_messages() {
    for (family, answer, words) in [Family::Cumulus, Family::Tea].into_iter().flat_map(|family| {
        [
            (
                family,
                LoginAnswer::WrongPassword,
                "refused the user name or password from EARTHDATA_USERNAME",
            ),
            (family, LoginAnswer::Eula, "/users/ada/unaccepted_eulas in a browser"),
            (family, LoginAnswer::Profile, "/profile in a browser"),
        ]
    }) {
        let Some(environment) = TestEnvironment::with_family(family) else { return };
        environment.fake_daac.set(|knobs| knobs.login = answer);
        let mut command = doctor(&environment, &["granules"]);
        with_password(&mut command, &environment.fake_daac);
        must_find(&environment, command, "login", &[words, &environment.fake_daac.login_host()]);
    }
}

/// Each failure of the endpoint itself fails the check `login`.
#[test]
fn an_endpoint_without_credentials_is_found_at_the_login() {
    use Family::{Cumulus, Tea};
    for (answer, families, words) in [
        (EndpointAnswer::NoPermission, &[Cumulus, Tea][..], "may not access any of its data"),
        (EndpointAnswer::FailedDependency, &[Cumulus], "424"),
        (EndpointAnswer::InternalError, &[Cumulus, Tea], "500"),
        (EndpointAnswer::Unavailable, &[Cumulus, Tea], "503"),
        (EndpointAnswer::BadRequest, &[Cumulus, Tea], "refused the token"),
        (EndpointAnswer::Malformed, &[Cumulus, Tea], "holds no temporary credentials"),
        (EndpointAnswer::RedirectLoop, &[Cumulus, Tea], "refused the token"),
    ] {
        for family in families {
            let Some(environment) = TestEnvironment::with_family(*family) else { return };
            environment.fake_daac.set(|knobs| knobs.endpoint = answer);
            must_find(&environment, doctor(&environment, &["granules"]), "login", &[words]);
        }
    }
}

/// The password is sent only to the configured Earthdata Login, and the number of redirects is
/// bounded.
#[test]
fn a_login_that_leaves_its_hosts_or_never_ends_is_found() {
    for family in [Family::Cumulus, Family::Tea] {
        let Some(environment) = TestEnvironment::with_family(family) else { return };
        type ChangeKnobs = fn(&mut Knobs);
        let rows: [(ChangeKnobs, &str); 3] = [
            (|knobs| knobs.foreign_redirect = ForeignRedirect::Endpoint, "no password was sent"),
            (|knobs| knobs.endpoint = EndpointAnswer::RedirectLoop, "did not end as it should"),
            (|knobs| knobs.endpoint = EndpointAnswer::BadRequest, "answered 400"),
        ];
        for (change, words) in rows {
            environment.fake_daac.set(|knobs| *knobs = Knobs::default());
            environment.fake_daac.set(change);
            let mut command = doctor(&environment, &["granules"]);
            with_password(&mut command, &environment.fake_daac);
            must_find(&environment, command, "login", &[words, "s3credentials"]);
        }
    }
}

/// A missing identity fails its own check, and so does a host that does not answer.
#[test]
fn a_missing_identity_and_hosts_that_are_down_are_found_before_the_login() {
    let Some(environment) = TestEnvironment::with_family(Family::Cumulus) else { return };
    let mut without_identity = doctor(&environment, &["granules"]);
    without_identity.env_remove("EARTHDATA_TOKEN");
    must_find(
        &environment,
        without_identity,
        "identity",
        &["EARTHDATA_TOKEN", "machine", &format!("{}/.netrc", home(&environment))],
    );
    must_find(
        &environment,
        doctor(&environment, &["no-such-bucket"]),
        "login",
        &["no-such-bucket", "--credentials-endpoint"],
    );
    must_find(
        &environment,
        doctor(&environment, &["NOAA"]),
        "source",
        &["neither a bucket nor a data center"],
    );
    environment.fake_daac.set(|knobs| knobs.daac_down = true);
    must_find(&environment, doctor(&environment, &["granules"]), "login", &["no answer from"]);
    environment.fake_daac.set(|knobs| knobs.login_down = true);
    let mut by_password = doctor(&environment, &["granules"]);
    with_password(&mut by_password, &environment.fake_daac);
    must_find(
        &environment,
        by_password,
        "earthdata",
        &[&environment.fake_daac.login_host(), "--earthdata-host"],
    );
}

/// A note, not a failure, is an Earthdata Login that does not answer, which a mount with a token
/// does not need, and an endpoint in the environment that differs from the one of the bucket table.
#[test]
fn a_login_host_that_is_not_needed_and_another_endpoint_are_notes() {
    let Some(environment) = TestEnvironment::with_family(Family::Tea) else { return };
    environment.fake_daac.set(|knobs| knobs.login_down = true);
    let other = format!("{}?from=elsewhere", environment.fake_daac.credentials_url("PODAAC"));
    for (variable, value, check, words) in [
        ("UNUSED", "", "earthdata", "no answer"),
        ("S3_CREDENTIAL_ENDPOINT", "", "earthdata", "no answer"),
        (
            "S3_CREDENTIAL_ENDPOINT",
            &other,
            "source",
            "names another endpoint for granules than the table",
        ),
    ] {
        let output = run(doctor(&environment, &["granules"]).env(variable, value));
        let lines = lines(&environment, &output);
        let is_shown = |(state, found, text): &(String, String, String)| {
            state == "note" && found == check && text.contains(words)
        };
        assert!(
            output.code == Some(0) && lines.iter().any(is_shown),
            "{variable}={value}: {lines:#?}"
        );
    }
}

fn home(environment: &TestEnvironment) -> String {
    std::path::Path::new(&environment.buckets_file_path()).parent().unwrap().display().to_string()
}

/// The expiry that a token states is shown in days.
#[test]
fn the_remaining_days_of_a_token_are_shown() {
    let Some(environment) = TestEnvironment::with_family(Family::Cumulus) else { return };
    let days = |days: i64| {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs().cast_signed();
        let claims = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{}}}", now + days * 86_400 + 3600));
        format!("eyJ0eXAiOiJKV1QifQ.{claims}.c2ln")
    };
    for (token, state, words) in [
        (days(40), "ok", "it ends in 40 days"),
        (days(3), "note", "it ends in 3 days; make a new one at https://"),
        (days(-1), "FAILED", "it has expired; make a new one at https://"),
    ] {
        let output = run(doctor(&environment, &[]).env("EARTHDATA_TOKEN", token));
        let lines = lines(&environment, &output);
        let line = lines.iter().find(|(_, check, _)| check == "token").unwrap();
        assert_eq!((line.0.as_str(), line.2.starts_with(words)), (state, true), "{line:?}");
        assert_eq!(output.code, Some(i32::from(state == "FAILED")));
    }
}

/// A wrong clock is a note and no failure, since requests are signed with the server's time.
#[test]
fn a_wrong_clock_is_a_note() {
    let Some(environment) = TestEnvironment::with_family(Family::Cumulus) else { return };
    environment.fake_daac.set(|knobs| knobs.clock_shift = 3600);
    let output = run(&mut doctor(&environment, &["granules"]));
    let lines = lines(&environment, &output);
    assert_eq!(output.code, Some(0), "{lines:#?}");
    let clock = lines.iter().find(|(_, check, _)| check == "clock").unwrap();
    assert!(
        clock.0 == "note"
            && (clock.2.contains("59 minutes behind") || clock.2.contains("60 minutes behind")),
        "{clock:?}"
    );
}
