//! Logins that fail: every answer of Earthdata Login and of `/s3credentials` has its own error.

use fake_daac::{
    BearerAnswer, EndpointAnswer, Failure, Family, Fault, ForeignRedirect, Knobs, LoginAnswer,
    PasswordMethod, RequestKind,
};
use granulefs::error::{Error, Refusal};
use granulefs::login::Login;
use granulefs::s3::{Bucket, BucketLocation};

use crate::canned_server::{CannedServer, redirect};
use crate::environment::{FAMILIES, TestEnvironment, TestIdentity, in_time};

type ChangeKnobs = fn(&mut Knobs);
type Check = fn(&TestEnvironment, &Error) -> bool;

/// The failure, the server families and the identity that it concerns, the knob that causes it, the
/// expected error, and the number of passwords sent.
type Row = (&'static str, &'static [Family], TestIdentity, ChangeKnobs, Check, u64);

fn is_transient(_: &TestEnvironment, error: &Error) -> bool {
    matches!(error, Error::Transient(_))
}

fn is_token_refused(environment: &TestEnvironment, error: &Error) -> bool {
    let Error::Refused(Refusal::TokenRefused { endpoint, .. }) = error else { return false };
    **endpoint == environment.endpoint()
}

fn is_wrong_password(_: &TestEnvironment, error: &Error) -> bool {
    let Error::Refused(Refusal::WrongPassword { origin, .. }) = error else { return false };
    &**origin == "~/.netrc"
}

fn is_no_data(_: &TestEnvironment, error: &Error) -> bool {
    matches!(error, Error::Refused(Refusal::NoData { .. }))
}

fn is_astray(_: &TestEnvironment, error: &Error) -> bool {
    matches!(error, Error::Refused(Refusal::Conversation { .. }))
}

/// Returns whether the error names this page as the one that resolves it.
fn resolves_at(environment: &TestEnvironment, error: &Error, page: &str) -> bool {
    let url = format!("http://{}/{page}", environment.fake_daac.login_host());
    let Error::Refused(Refusal::Resolution { resolution_url, .. }) = error else { return false };
    resolution_url.starts_with(&url) && error.to_string().contains(&url)
}

/// Every answer that refuses a login has its own error, and no password is sent twice.
#[tokio::test]
async fn each_answer_has_its_own_error_and_no_password_is_sent_twice() {
    use Family::{Cumulus, Tea};
    const ALL: &[Family] = &FAMILIES;
    let rows: [Row; 22] = [
        ("a wrong password", ALL, TestIdentity::WrongPassword, |_| {}, is_wrong_password, 1),
        (
            "a locked account",
            ALL,
            TestIdentity::Password,
            |k| k.login = LoginAnswer::WrongPassword,
            is_wrong_password,
            1,
        ),
        (
            "a wrong password by Basic",
            ALL,
            TestIdentity::WrongPassword,
            |k| k.password_method = PasswordMethod::BasicOr405,
            is_wrong_password,
            1,
        ),
        (
            "an agreement",
            ALL,
            TestIdentity::Password,
            |k| k.login = LoginAnswer::Eula,
            |h, e| resolves_at(h, e, "users/ada/unaccepted_eulas"),
            1,
        ),
        (
            "the profile",
            ALL,
            TestIdentity::Password,
            |k| k.login = LoginAnswer::Profile,
            |h, e| resolves_at(h, e, "profile"),
            1,
        ),
        (
            "an agreement, bearer",
            &[Tea],
            TestIdentity::Token,
            |k| k.bearer = BearerAnswer::Eula,
            |h, e| resolves_at(h, e, "approve_app?"),
            0,
        ),
        (
            "an agreement, bearer",
            &[Cumulus],
            TestIdentity::Token,
            |k| k.bearer = BearerAnswer::Eula,
            is_token_refused,
            0,
        ),
        (
            "a refused token",
            ALL,
            TestIdentity::Token,
            |k| k.bearer = BearerAnswer::Refuse,
            is_token_refused,
            0,
        ),
        (
            "a redirected token",
            ALL,
            TestIdentity::Token,
            |k| k.bearer = BearerAnswer::Redirect,
            is_token_refused,
            0,
        ),
        (
            "STS failed",
            ALL,
            TestIdentity::Password,
            |k| k.endpoint = EndpointAnswer::FailedDependency,
            is_transient,
            1,
        ),
        (
            "STS failed, bearer",
            ALL,
            TestIdentity::Token,
            |k| k.endpoint = EndpointAnswer::FailedDependency,
            is_transient,
            0,
        ),
        (
            "500",
            ALL,
            TestIdentity::Password,
            |k| k.endpoint = EndpointAnswer::InternalError,
            is_transient,
            1,
        ),
        (
            "500, bearer",
            ALL,
            TestIdentity::Token,
            |k| k.endpoint = EndpointAnswer::InternalError,
            is_transient,
            0,
        ),
        (
            "switched off",
            ALL,
            TestIdentity::Password,
            |k| k.endpoint = EndpointAnswer::Unavailable,
            is_transient,
            0,
        ),
        (
            "no groups",
            ALL,
            TestIdentity::Password,
            |k| k.endpoint = EndpointAnswer::NoPermission,
            is_no_data,
            1,
        ),
        (
            "no groups, bearer",
            ALL,
            TestIdentity::Token,
            |k| k.endpoint = EndpointAnswer::NoPermission,
            is_no_data,
            0,
        ),
        (
            "400",
            ALL,
            TestIdentity::Password,
            |k| k.endpoint = EndpointAnswer::BadRequest,
            is_astray,
            0,
        ),
        (
            "a page instead of credentials",
            ALL,
            TestIdentity::Password,
            |k| k.endpoint = EndpointAnswer::Malformed,
            is_transient,
            1,
        ),
        (
            "a loop",
            ALL,
            TestIdentity::Password,
            |k| k.endpoint = EndpointAnswer::RedirectLoop,
            is_astray,
            1,
        ),
        (
            "a loop, bearer",
            ALL,
            TestIdentity::Token,
            |k| k.endpoint = EndpointAnswer::RedirectLoop,
            is_token_refused,
            0,
        ),
        (
            "Earthdata Login is down",
            ALL,
            TestIdentity::Password,
            |k| k.login_down = true,
            is_transient,
            0,
        ),
        ("the DAAC is down", ALL, TestIdentity::Password, |k| k.daac_down = true, is_transient, 0),
    ];
    for (what, families, identity, change, check, passwords) in rows {
        for family in families {
            let what = format!("{family:?}, {what}");
            let environment = TestEnvironment::with_family(*family, change);
            let outcome = in_time(environment.login(identity).temporary_credentials()).await;
            let stats = environment.fake_daac.stats();
            assert_eq!(
                (stats.authenticated + stats.rejected, stats.leaked_secrets),
                (passwords, 0),
                "{what}"
            );
            let error = environment.error_of(outcome);
            assert!(check(&environment, &error), "{what}: {error:?}");
        }
    }
}

/// A fault of any request of a login is a transient error, and the password is not sent by another
/// method because of it.
#[tokio::test]
async fn a_fault_of_any_request_of_a_login_is_transient() {
    for family in FAMILIES {
        for (kind, passwords) in
            [(RequestKind::Credentials, 0), (RequestKind::Login, 1), (RequestKind::Callback, 1)]
        {
            for failure in [Failure::SlowDown, Failure::InternalError, Failure::Reset] {
                let what = format!("{family:?} {kind:?} {failure:?}");
                let environment = TestEnvironment::with_family(family, |knobs| {
                    knobs.faults.push(Fault::new(failure).on(kind))
                });
                let login = environment.login(TestIdentity::Password);
                let error = environment.error_of(in_time(login.temporary_credentials()).await);
                assert!(is_transient(&environment, &error), "{what}: {error:?}");
                let log = environment.fake_daac.log();
                // After a reset the client repeats the request once, since the connection may have
                // been an idle one.
                let posts = log.iter().filter(|request| request.method == "POST").count();
                assert!(posts == passwords || failure == Failure::Reset, "{what}: {log:?}");
                assert!(
                    log.iter()
                        .all(|request| request.kind != RequestKind::Login
                            || request.method == "POST"),
                    "{what}: {log:?}"
                );
                environment.fake_daac.set(|knobs| knobs.faults.clear());
                in_time(login.temporary_credentials())
                    .await
                    .unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        }
    }
}

/// The password is sent only to Earthdata Login, and the token only to its endpoint.
#[tokio::test]
async fn a_redirect_to_a_foreign_host_gets_no_secret() {
    for family in FAMILIES {
        for (foreign_redirect, identity, visits) in [
            (ForeignRedirect::Endpoint, TestIdentity::Password, 0),
            (ForeignRedirect::Login, TestIdentity::Password, 1),
            (ForeignRedirect::Callback, TestIdentity::Password, 1),
            // The token is refused, so that the password is used.
            (ForeignRedirect::Endpoint, TestIdentity::BadTokenAndPassword, 0),
            (ForeignRedirect::Login, TestIdentity::BadTokenAndPassword, 1),
        ] {
            let environment = TestEnvironment::with_family(family, |knobs| {
                knobs.foreign_redirect = foreign_redirect
            });
            let error = environment
                .error_of(in_time(environment.login(identity).temporary_credentials()).await);
            let stats = environment.fake_daac.stats();
            assert_eq!(
                (stats.leaked_secrets, stats.foreign_requests),
                (0, visits),
                "{family:?} {foreign_redirect:?}"
            );
            let is_named = matches!(error, Error::Refused(Refusal::ForeignLogin { .. }));
            assert_eq!(is_named, foreign_redirect == ForeignRedirect::Endpoint, "{error:?}");
        }
    }
}

/// A password is sent only to the configured Earthdata Login; the error names the one that the
/// endpoint redirects to.
#[tokio::test]
async fn another_earthdata_login_than_the_configured_one_gets_no_request() {
    let environment = TestEnvironment::new();
    let login = Login::new(
        &environment.endpoint(),
        "urs.earthdata.nasa.gov",
        environment.identity(TestIdentity::Password),
    )
    .unwrap();
    let error = environment.error_of(in_time(login.temporary_credentials()).await);
    let Error::Refused(Refusal::ForeignLogin { host, configured, .. }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (&**host, &**configured),
        (&*environment.fake_daac.login_host(), "urs.earthdata.nasa.gov")
    );
    assert!(error.to_string().contains("--earthdata-host"));
    assert_eq!(environment.fake_daac.stats().logins, 0);
}

/// An endpoint must be https, or http on loopback.
#[test]
fn an_endpoint_that_is_not_private_is_refused_before_any_connection() {
    let environment = TestEnvironment::new();
    for (url, is_fit) in [
        ("http://192.0.2.1/s3credentials", false),
        ("http://archive.podaac.earthdata.nasa.gov/s3credentials", false),
        ("http://localhost.example.org/s3credentials", false),
        ("https://archive.podaac.earthdata.nasa.gov/s3credentials", true),
    ] {
        let login =
            Login::new(url, "urs.earthdata.nasa.gov", environment.identity(TestIdentity::Password));
        assert_eq!(login.is_ok(), is_fit, "{url}");
        if !is_fit {
            assert!(matches!(
                environment.error_of(login),
                Error::Refused(Refusal::Unencrypted { .. })
            ));
        }
    }
    let with_password = Login::new(
        "https://ada:hush@a.org/s3credentials",
        "urs",
        environment.identity(TestIdentity::Token),
    );
    let error = environment.error_of(with_password);
    assert!(
        matches!(&error, Error::Usage(words) if !words.to_string().contains("hush")),
        "{error:?}"
    );
}

/// The URL of S3 must be https, or http on loopback, since each request has the session token in a
/// header.
#[test]
fn an_s3_that_is_not_private_is_refused_before_any_connection() {
    let environment = TestEnvironment::new();
    for (url, is_fit) in [
        ("http://192.0.2.1:9000", false),
        ("http://s3.us-west-2.amazonaws.com", false),
        ("https://minio.example.org", true),
    ] {
        let location = BucketLocation {
            bucket: "b".into(),
            region: "r".into(),
            endpoint_url: Some(url.into()),
            path_style: true,
        };
        let bucket = Bucket::new(location, environment.credentials_cache());
        assert_eq!(bucket.is_ok(), is_fit, "{url}");
        assert!(
            is_fit
                || matches!(
                    environment.error_of(bucket),
                    Error::Refused(Refusal::Unencrypted { .. })
                )
        );
    }
}

/// The number of redirects of a login is bounded, and none may lead to an unencrypted host.
#[tokio::test]
async fn redirects_are_bounded_and_encrypted() {
    let rows: [(&str, Check, std::ops::RangeInclusive<usize>); 4] = [
        ("/s3credentials", is_astray, 2..=20),
        ("/elsewhere", is_astray, 2..=20),
        ("", is_astray, 1..=1),
        (
            "http://192.0.2.1/oauth/authorize",
            |_, error| {
                matches!(
                    error,
                    Error::Refused(Refusal::Unencrypted { .. } | Refusal::ForeignLogin { .. })
                )
            },
            1..=1,
        ),
    ];
    for (location, check, requests) in rows {
        let environment = TestEnvironment::new();
        let server = CannedServer::new(move |_| redirect(location));
        let login = Login::new(
            &server.endpoint,
            &environment.fake_daac.login_host(),
            environment.identity(TestIdentity::Password),
        )
        .unwrap();
        let error = environment.error_of(in_time(login.temporary_credentials()).await);
        assert!(check(&environment, &error), "{location}: {error:?}");
        assert!(requests.contains(&server.heads().len()), "{location}: {:?}", server.heads());
        assert_eq!(environment.fake_daac.stats().logins, 0);
    }
}
