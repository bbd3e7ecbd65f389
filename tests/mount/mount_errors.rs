//! A mount that cannot be used fails with one message and exit code 1, and leaves no process and no
//! mount behind. [`MountCommand::must_fail`] checks that in every test.

use std::time::{Duration, Instant};

use fake_daac::{BearerAnswer, EndpointAnswer, FakeDaac, Family, LoginAnswer};

use crate::harness::{BUCKET, MountCommand, TestEnvironment};

fn with_password(mount_command: MountCommand, fake_daac: &FakeDaac) -> MountCommand {
    mount_command
        .without_env("EARTHDATA_TOKEN")
        .env("EARTHDATA_USERNAME", fake_daac.user())
        .env("EARTHDATA_PASSWORD", fake_daac.password())
}

/// Without an identity the message lists every source of one.
#[test]
fn a_missing_identity_is_an_error_that_lists_its_sources() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount_command = environment.mount_command(BUCKET).without_env("EARTHDATA_TOKEN");
    mount_command.must_fail_with(&["EARTHDATA_TOKEN", "EARTHDATA_USERNAME", "machine", ".netrc"]);
    let half = environment
        .mount_command(BUCKET)
        .without_env("EARTHDATA_TOKEN")
        .env("EARTHDATA_USERNAME", "ada");
    half.must_fail_with(&["EARTHDATA_PASSWORD is not"]);
}

/// A wrong password is sent once, so that the account is not locked.
#[test]
fn a_wrong_password_is_an_error_and_is_sent_once() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mount_command = with_password(environment.mount_command(BUCKET), &environment.fake_daac)
        .env("EARTHDATA_PASSWORD", "guess");
    mount_command.must_fail_with(&[
        "refused the user name or password",
        "EARTHDATA_USERNAME",
        &environment.fake_daac.login_host(),
    ]);
    assert_eq!(environment.fake_daac.stats().rejected, 1);
}

/// The message of a refused token names the token's source.
#[test]
fn a_refused_token_is_an_error_that_names_its_source() {
    for family in [Family::Cumulus, Family::Tea] {
        let Some(environment) = TestEnvironment::with_family(family) else { return };
        environment.fake_daac.set(|knobs| knobs.bearer = BearerAnswer::Refuse);
        environment
            .mount_command(BUCKET)
            .must_fail_with(&["refused the token from EARTHDATA_TOKEN"]);
    }
}

/// The message of a missing agreement has the URL of the page where it can be accepted.
#[test]
fn a_missing_agreement_is_an_error_that_names_its_page() {
    let Some(tea) = TestEnvironment::with_family(Family::Tea) else { return };
    tea.fake_daac.set(|knobs| knobs.bearer = BearerAnswer::Eula);
    tea.mount_command(BUCKET).must_fail_with(&[
        "EULA Acceptance Failure",
        &tea.fake_daac.login_host(),
        "/approve_app?client_id=",
    ]);
    let Some(cumulus) = TestEnvironment::with_family(Family::Cumulus) else { return };
    for answer in [LoginAnswer::Eula, LoginAnswer::Profile] {
        cumulus.fake_daac.set(|knobs| knobs.login = answer);
        with_password(cumulus.mount_command(BUCKET), &cumulus.fake_daac)
            .must_fail_with(&[&cumulus.fake_daac.login_host(), "in a browser"]);
    }
}

/// A user whose groups may access no data gets a message that says so.
#[test]
fn a_user_without_access_to_any_data_is_an_error() {
    let Some(environment) = TestEnvironment::with_family(Family::Tea) else { return };
    environment.fake_daac.set(|knobs| knobs.endpoint = EndpointAnswer::NoPermission);
    environment.mount_command(BUCKET).must_fail_with(&["may not access any of its data"]);
}

/// The endpoint comes from the bucket table; a bucket that is not in it needs
/// `--credentials-endpoint`.
#[test]
fn an_unknown_bucket_needs_an_endpoint() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment
        .mount_command(BUCKET)
        .without_env("S3_CREDENTIAL_ENDPOINT")
        .must_fail_with(&[BUCKET, "--credentials-endpoint"]);
}

/// A bucket that does not exist and a prefix without a key have different messages.
#[test]
fn a_missing_bucket_and_an_empty_prefix_are_different_errors() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment
        .mount_command_with_aws_keys("no-such-bucket")
        .must_fail_with(&["s3://no-such-bucket/", "no such bucket"]);
    environment
        .mount_command("granules/fold")
        .must_fail_with(&["nothing below s3://granules/fold/"]);
}

/// When S3 refuses credentials outside their region, the message names the region.
#[test]
fn being_outside_the_region_is_an_error_that_names_the_region() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment.fake_daac.set(|knobs| knobs.out_of_region = true);
    environment.mount_command(BUCKET).must_fail_with(&["only from inside AWS us-west-2"]);
}

/// A region that is not the bucket's is an error that names the right one, whichever request is
/// the first.
#[test]
fn a_wrong_region_is_an_error_that_names_the_right_one() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    for source in [BUCKET, "s3://granules/folder/one.txt"] {
        let mount_command = environment.mount_command(source).args(&["--region", "mars-1"]);
        mount_command
            .must_fail_with(&["the bucket is in us-west-2; mount with --region us-west-2"]);
    }
}

/// When Earthdata or S3 is down, the command fails within a bounded time.
#[test]
fn services_that_are_down_are_an_error_in_bounded_time() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let began = Instant::now();
    environment.fake_daac.set(|knobs| knobs.login_down = true);
    with_password(environment.mount_command(BUCKET), &environment.fake_daac)
        .must_fail_with(&[&environment.fake_daac.login_host(), "no answer from"]);
    environment.fake_daac.set(|knobs| (knobs.login_down, knobs.daac_down) = (false, true));
    let endpoint = environment.fake_daac.credentials_url("PODAAC");
    environment.mount_command(BUCKET).must_fail_with(&[
        endpoint.trim_start_matches("http://").trim_end_matches("/s3credentials"),
        "no answer from",
    ]);
    assert!(began.elapsed() < Duration::from_secs(40), "{:?} for both", began.elapsed());

    let began = Instant::now();
    environment.fake_daac.set(|knobs| (knobs.daac_down, knobs.s3_down) = (false, true));
    // A reset meets a connection that is made, which is waited for, or one that is not yet.
    environment
        .mount_command(BUCKET)
        .args(&["--timeout=5"])
        .must_fail_with(&["s3://granules/: no answer from S3", "dispatch failure: "]);
    assert!((4..15).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

/// There is one message, even when the login was tried several times and there is no log file.
#[test]
fn the_terminal_gets_one_message_for_several_attempts() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment.fake_daac.set(|knobs| knobs.daac_down = true);
    environment.mount_command(BUCKET).without_log_file().must_fail_with(&["no answer from"]);
}

/// Secrets are sent only over https, or over http to loopback; nothing is sent to another URL.
#[test]
fn secrets_are_not_sent_unencrypted() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    for option in
        ["--credentials-endpoint=http://192.0.2.1/s3credentials", "--endpoint-url=http://192.0.2.1"]
    {
        environment
            .mount_command(BUCKET)
            .args(&[option])
            .must_fail_with(&["http://192.0.2.1", "https"]);
    }
    assert_eq!(environment.fake_daac.stats().s3_requests(), 0);
}

/// A wrong command line is an error before any request, with exit code 2, clap's code for usage
/// errors.
#[test]
fn a_wrong_command_line_is_refused_before_any_request() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    for (arguments, message) in [
        (["-o", "ro,colour=blue"], "--colour"),
        (["--file-mode", "1644"], "more than 0777"),
        (["--dir-mode", "rwx"], "octal"),
        (["--cache-size", "1k"], "at least"),
        (["--metadata-ttl", "soon"], "soon"),
    ] {
        let mount_command = environment.mount_command(BUCKET).args(&arguments);
        let output = mount_command.run();
        assert_eq!((output.code, output.stdout_text().as_str()), (Some(2), ""), "{arguments:?}");
        assert!(output.stderr.contains(message), "{arguments:?}: {}", output.stderr);
        assert_eq!(mount_command.directory().mounted_types(), [""; 0]);
    }
    assert_eq!(environment.fake_daac.stats().credentials, 0);
}

/// AWS keys that the store does not know are an error without retries, since only the user can
/// correct them.
#[test]
fn keys_that_the_store_does_not_know_are_an_error_at_once() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let began = Instant::now();
    environment
        .mount_command_with_aws_keys(BUCKET)
        .env("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN")
        .must_fail_with(&["InvalidAccessKeyId", "--endpoint-url"]);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

/// When the store does not accept the endpoint's credentials, the mount fails instead of warning.
#[test]
fn a_store_that_rejects_the_endpoints_credentials_is_an_error() {
    let (Some(environment), Some(other)) =
        (TestEnvironment::with_one_object(), TestEnvironment::with_one_object())
    else {
        return;
    };
    let mount_command =
        environment.mount_command(BUCKET).env("AWS_ENDPOINT_URL_S3", other.fake_daac.s3_url());
    mount_command.must_fail_with(&["does not accept the credentials", "--endpoint-url"]);
    assert_eq!(environment.fake_daac.stats().issued, 2);
}

/// When a login takes long, standard error says what the command is waiting for.
#[test]
fn a_slow_login_says_what_is_waited_for() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment.fake_daac.set(|knobs| knobs.credentials_latency = Duration::from_secs(8));
    let endpoint = environment.fake_daac.credentials_url("PODAAC");
    let message = format!("granulefs: waiting for credentials from {endpoint}: no answer from ");
    let (mount, warning) = environment.mount_command(BUCKET).mount_with_warning();
    assert!(warning.starts_with(&message) && warning.matches('\n').count() == 1, "{warning}");
    assert_eq!(mount.log(), "");
    let doctor = environment.run_granulefs(&[
        "doctor",
        BUCKET,
        "--buckets-file",
        &environment.buckets_file_path(),
    ]);
    assert!(doctor.code == Some(0) && doctor.stderr.starts_with(&message), "{}", doctor.stderr);
}

/// The message of an endpoint's failure says that it may pass, and what to do.
#[test]
fn a_failing_endpoint_is_an_error_that_may_pass() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    for (answer, words) in [
        (EndpointAnswer::FailedDependency, ["424", "a fault at its end that may pass"]),
        (EndpointAnswer::Unavailable, ["503", "a fault at its end that may pass"]),
        (EndpointAnswer::Malformed, ["no temporary credentials", "is that an /s3credentials URL?"]),
    ] {
        environment.fake_daac.set(|knobs| knobs.endpoint = answer);
        environment.mount_command(BUCKET).must_fail_with(&[
            words[0],
            words[1],
            "; given up after ",
            "try again later",
        ]);
    }
}
