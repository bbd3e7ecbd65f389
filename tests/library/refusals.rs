//! What goes wrong with a login: issue 2, item 1, every answer of section 2 of the facts as its own
//! clear message.

use fake_daac::{
    BearerAnswer, EndpointAnswer, Failure, Family, Fault, Kind, Knobs, LoginAnswer, PasswordWays,
    Trap,
};
use granulefs::error::{Error, Refusal};
use granulefs::login::Login;
use granulefs::s3::{Bucket, BucketLocation};

use crate::environment::{FAMILIES, Shows, TestEnvironment, soon};
use crate::server::{Server, redirect};

type Turn = fn(&mut Knobs);
type Check = fn(&TestEnvironment, &Error) -> bool;

/// What goes wrong, where, for whom, by which knob; the error to come of it, and how many passwords
/// were sent.
type Row = (&'static str, &'static [Family], Shows, Turn, Check, u64);

fn is_transient(_: &TestEnvironment, error: &Error) -> bool {
    matches!(error, Error::Transient(_))
}

fn is_token_refused(environment: &TestEnvironment, error: &Error) -> bool {
    matches!(error, Error::Refused(Refusal::TokenRefused { endpoint, .. }) if **endpoint == environment.endpoint())
}

fn is_wrong_password(_: &TestEnvironment, error: &Error) -> bool {
    matches!(error, Error::Refused(Refusal::WrongPassword { origin, .. }) if &**origin == "~/.netrc")
}

fn is_no_data(_: &TestEnvironment, error: &Error) -> bool {
    matches!(error, Error::Refused(Refusal::NoData { .. }))
}

fn is_astray(_: &TestEnvironment, error: &Error) -> bool {
    matches!(error, Error::Refused(Refusal::Conversation { .. }))
}

/// A resolution whose words name the page that cures it.
fn resolves_at(environment: &TestEnvironment, error: &Error, page: &str) -> bool {
    let url = format!("http://{}/{page}", environment.archive.edl_host());
    matches!(error, Error::Refused(Refusal::Resolution { resolution_url, .. }) if resolution_url.starts_with(&url))
        && error.to_string().contains(&url)
}

/// Section 2, row by row: whom it happens to, what the error is, and how many passwords were sent
/// for it.
#[tokio::test]
async fn each_answer_has_its_own_error_and_sends_no_password_twice() {
    use Family::{Cumulus, Tea};
    const ALL: &[Family] = &FAMILIES;
    let rows: [Row; 22] = [
        ("a wrong password", ALL, Shows::WrongPassword, |_| {}, is_wrong_password, 1),
        (
            "a locked account",
            ALL,
            Shows::Password,
            |k| k.login = LoginAnswer::WrongPassword,
            is_wrong_password,
            1,
        ),
        (
            "a wrong password by Basic",
            ALL,
            Shows::WrongPassword,
            |k| k.password_ways = PasswordWays::BasicOr405,
            is_wrong_password,
            1,
        ),
        (
            "an agreement",
            ALL,
            Shows::Password,
            |k| k.login = LoginAnswer::Eula,
            |h, e| resolves_at(h, e, "users/ada/unaccepted_eulas"),
            1,
        ),
        (
            "the profile",
            ALL,
            Shows::Password,
            |k| k.login = LoginAnswer::Profile,
            |h, e| resolves_at(h, e, "profile"),
            1,
        ),
        (
            "an agreement, bearer",
            &[Tea],
            Shows::Token,
            |k| k.bearer = BearerAnswer::Eula,
            |h, e| resolves_at(h, e, "approve_app?"),
            0,
        ),
        (
            "an agreement, bearer",
            &[Cumulus],
            Shows::Token,
            |k| k.bearer = BearerAnswer::Eula,
            is_token_refused,
            0,
        ),
        (
            "a refused token",
            ALL,
            Shows::Token,
            |k| k.bearer = BearerAnswer::Refuse,
            is_token_refused,
            0,
        ),
        (
            "a redirected token",
            ALL,
            Shows::Token,
            |k| k.bearer = BearerAnswer::Redirect,
            is_token_refused,
            0,
        ),
        (
            "STS failed",
            ALL,
            Shows::Password,
            |k| k.endpoint = EndpointAnswer::FailedDependency,
            is_transient,
            1,
        ),
        (
            "STS failed, bearer",
            ALL,
            Shows::Token,
            |k| k.endpoint = EndpointAnswer::FailedDependency,
            is_transient,
            0,
        ),
        (
            "500",
            ALL,
            Shows::Password,
            |k| k.endpoint = EndpointAnswer::InternalError,
            is_transient,
            1,
        ),
        (
            "500, bearer",
            ALL,
            Shows::Token,
            |k| k.endpoint = EndpointAnswer::InternalError,
            is_transient,
            0,
        ),
        (
            "switched off",
            ALL,
            Shows::Password,
            |k| k.endpoint = EndpointAnswer::Unavailable,
            is_transient,
            0,
        ),
        (
            "no groups",
            ALL,
            Shows::Password,
            |k| k.endpoint = EndpointAnswer::NoPermission,
            is_no_data,
            1,
        ),
        (
            "no groups, bearer",
            ALL,
            Shows::Token,
            |k| k.endpoint = EndpointAnswer::NoPermission,
            is_no_data,
            0,
        ),
        ("400", ALL, Shows::Password, |k| k.endpoint = EndpointAnswer::BadRequest, is_astray, 0),
        (
            "a page instead of credentials",
            ALL,
            Shows::Password,
            |k| k.endpoint = EndpointAnswer::Nonsense,
            is_transient,
            1,
        ),
        (
            "a loop",
            ALL,
            Shows::Password,
            |k| k.endpoint = EndpointAnswer::RedirectLoop,
            is_astray,
            1,
        ),
        (
            "a loop, bearer",
            ALL,
            Shows::Token,
            |k| k.endpoint = EndpointAnswer::RedirectLoop,
            is_token_refused,
            0,
        ),
        ("Earthdata Login is down", ALL, Shows::Password, |k| k.edl_down = true, is_transient, 0),
        ("the DAAC is down", ALL, Shows::Password, |k| k.daac_down = true, is_transient, 0),
    ];
    for (what, families, shows, turn, check, passwords) in rows {
        for family in families {
            let what = format!("{family:?}, {what}");
            let environment = TestEnvironment::of(*family, turn);
            let outcome = soon(environment.login(shows).temporary_credentials()).await;
            let stats = environment.archive.stats();
            assert_eq!(
                (stats.authenticated + stats.rejected, stats.leaks),
                (passwords, 0),
                "{what}"
            );
            let error = environment.error_of(outcome);
            assert!(check(&environment, &error), "{what}: {error:?}");
        }
    }
}

/// Section 2, "transient failures happen": on every leg of the conversation they are worth another
/// try later, and none is answered by sending the password in another way.
#[tokio::test]
async fn a_fault_on_any_leg_of_the_login_is_transient() {
    for family in FAMILIES {
        for (kind, passwords) in [(Kind::Credentials, 0), (Kind::Login, 1), (Kind::Callback, 1)] {
            for failure in [Failure::SlowDown, Failure::InternalError, Failure::Reset] {
                let what = format!("{family:?} {kind:?} {failure:?}");
                let environment = TestEnvironment::of(family, |knobs| {
                    knobs.faults.push(Fault::new(failure).on(kind))
                });
                let login = environment.login(Shows::Password);
                let error = environment.error_of(soon(login.temporary_credentials()).await);
                assert!(is_transient(&environment, &error), "{what}: {error:?}");
                let log = environment.archive.log();
                // A connection that is reset may have been an idle one: the client tries again, in
                // the same way.
                let posts = log.iter().filter(|request| request.method == "POST").count();
                assert!(posts == passwords || failure == Failure::Reset, "{what}: {log:?}");
                assert!(
                    log.iter()
                        .all(|request| request.kind != Kind::Login || request.method == "POST"),
                    "{what}: {log:?}"
                );
                environment.archive.set(|knobs| knobs.faults.clear());
                soon(login.temporary_credentials())
                    .await
                    .unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        }
    }
}

/// Item 1: the password and the token go to no host but their own.
#[tokio::test]
async fn a_redirect_to_a_foreign_host_gets_no_secret() {
    for family in FAMILIES {
        for (trap, shows, visits) in [
            (Trap::Endpoint, Shows::Password, 0),
            (Trap::Login, Shows::Password, 1),
            (Trap::Callback, Shows::Password, 1),
            // The token is refused, so that the password's way is gone.
            (Trap::Endpoint, Shows::BadTokenAndPassword, 0),
            (Trap::Login, Shows::BadTokenAndPassword, 1),
        ] {
            let environment = TestEnvironment::of(family, |knobs| knobs.trap = trap);
            let error =
                environment.error_of(soon(environment.login(shows).temporary_credentials()).await);
            let stats = environment.archive.stats();
            assert_eq!((stats.leaks, stats.traps), (0, visits), "{family:?} {trap:?}");
            let is_named = matches!(error, Error::Refused(Refusal::ForeignLogin { .. }));
            assert_eq!(is_named, trap == Trap::Endpoint, "{error:?}");
        }
    }
}

/// Item 1: a password is sent to the configured Earthdata Login only, and the message names the one
/// that the endpoint wants.
#[tokio::test]
async fn another_earthdata_login_than_the_configured_one_gets_nothing() {
    let environment = TestEnvironment::new();
    let login = Login::new(
        &environment.endpoint(),
        "urs.earthdata.nasa.gov",
        environment.identity(Shows::Password),
    )
    .unwrap();
    let error = environment.error_of(soon(login.temporary_credentials()).await);
    let Error::Refused(Refusal::ForeignLogin { host, configured, .. }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (&**host, &**configured),
        (&*environment.archive.edl_host(), "urs.earthdata.nasa.gov")
    );
    assert!(error.to_string().contains("--earthdata-host"));
    assert_eq!(environment.archive.stats().logins, 0);
}

/// Item 7: https, or http to loopback only.
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
            Login::new(url, "urs.earthdata.nasa.gov", environment.identity(Shows::Password));
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
        environment.identity(Shows::Token),
    );
    let error = environment.error_of(with_password);
    assert!(
        matches!(&error, Error::Usage(words) if !words.to_string().contains("hush")),
        "{error:?}"
    );
}

/// Item 7, for the session token: it travels in a header of each request.
#[test]
fn an_s3_that_is_not_private_is_refused_before_any_connection() {
    let environment = TestEnvironment::new();
    for (url, is_fit) in [
        ("http://192.0.2.1:9000", false),
        ("http://s3.us-west-2.amazonaws.com", false),
        ("https://minio.example.org", true),
    ] {
        let place = BucketLocation {
            bucket: "b".into(),
            region: "r".into(),
            endpoint_url: Some(url.into()),
            path_style: true,
        };
        let bucket = Bucket::new(place, environment.store());
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

/// Item 1: redirects bounded; none leads out of privacy.
#[tokio::test]
async fn redirects_are_bounded_and_stay_private() {
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
        let server = Server::new(move |_| redirect(location));
        let login = Login::new(
            &server.endpoint,
            &environment.archive.edl_host(),
            environment.identity(Shows::Password),
        )
        .unwrap();
        let error = environment.error_of(soon(login.temporary_credentials()).await);
        assert!(check(&environment, &error), "{location}: {error:?}");
        assert!(requests.contains(&server.heads().len()), "{location}: {:?}", server.heads());
        assert_eq!(environment.archive.stats().logins, 0);
    }
}
