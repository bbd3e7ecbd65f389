//! Logins that succeed: every method of every server family, renewals, expirations and redirects.

use std::time::Duration;

use fake_daac::{
    BearerAnswer, Expiration, Failure, Family, Fault, Knobs, PasswordMethod, RequestKind,
};
use granulefs::error::{Error, Refusal};
use granulefs::login::{Login, TemporaryCredentials};

use crate::canned_server::{CREDENTIALS, CannedServer, redirect};
use crate::environment::{FAMILIES, TestEnvironment, TestIdentity, in_time};

const HOUR: Duration = Duration::from_secs(3600);

fn assert_lives(grant: &TemporaryCredentials, expected: Duration, what: &str) {
    // `Date` and `expiration` are whole seconds, so the difference may be a second off.
    let life = grant.life.unwrap();
    assert!(life <= expected && life + Duration::from_secs(2) >= expected, "{what}: {life:?}");
}

/// Returns and resets the requests to /s3credentials, to Earthdata Login and to the callback.
fn conversation(environment: &TestEnvironment) -> [u64; 3] {
    let stats = environment.fake_daac.stats();
    environment.fake_daac.reset_stats();
    assert_eq!((stats.leaked_secrets, stats.foreign_requests, stats.rejected), (0, 0, 0));
    [stats.credentials, stats.logins, stats.callbacks]
}

/// Every method of a login costs only its own requests, in both server families, and a renewal
/// costs one request.
#[tokio::test]
async fn each_login_method_costs_its_requests_and_each_renewal_one() {
    type ChangeKnobs = fn(&mut Knobs);
    let healthy: ChangeKnobs = |_| {};
    let rows: [(&str, TestIdentity, ChangeKnobs, [u64; 3]); 10] = [
        ("the documented form", TestIdentity::Password, healthy, [2, 1, 1]),
        (
            "a server that knows only the form",
            TestIdentity::Password,
            |k| k.password_method = PasswordMethod::Form,
            [2, 1, 1],
        ),
        (
            "a server that knows only Basic",
            TestIdentity::Password,
            |k| k.password_method = PasswordMethod::BasicOr405,
            [2, 2, 1],
        ),
        ("the older callback", TestIdentity::Password, |k| k.older_callback = true, [2, 1, 1]),
        ("a bearer token", TestIdentity::Token, healthy, [1, 0, 0]),
        ("a bearer token before a password", TestIdentity::Both, healthy, [1, 0, 0]),
        (
            "a refused token, then the password",
            TestIdentity::Both,
            |k| k.bearer = BearerAnswer::Refuse,
            [3, 1, 1],
        ),
        (
            "a redirected token, then the password",
            TestIdentity::Both,
            |k| k.bearer = BearerAnswer::Redirect,
            [3, 1, 1],
        ),
        (
            "what is no token, then the password",
            TestIdentity::BadTokenAndPassword,
            healthy,
            [3, 1, 1],
        ),
        (
            "an answer that calls itself HTML",
            TestIdentity::Password,
            |k| k.credentials_as_html = true,
            [2, 1, 1],
        ),
    ];
    for family in FAMILIES {
        for (way, identity, change, hops) in rows {
            let what = format!("{family:?}, {way}");
            let environment = TestEnvironment::with_family(family, change);
            let login = environment.login(identity);
            let first = in_time(login.temporary_credentials())
                .await
                .unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(conversation(&environment), hops, "{what}");
            assert_lives(&first, HOUR, &what);
            let second = in_time(login.temporary_credentials()).await.unwrap();
            assert_eq!(conversation(&environment), [1, 0, 0], "{what}, renewed");
            assert_ne!(first.access_key, second.access_key);
        }
    }
}

/// When the cookie has expired, the endpoint redirects to the login again.
#[tokio::test]
async fn an_expired_cookie_causes_a_new_login() {
    for family in FAMILIES {
        let environment = TestEnvironment::with_family(family, |_| {});
        let login = environment.login(TestIdentity::Password);
        in_time(login.temporary_credentials()).await.unwrap();
        conversation(&environment);
        // A day later.
        environment.fake_daac.set(|knobs| knobs.clock_shift = 25 * 3600);
        assert_lives(&in_time(login.temporary_credentials()).await.unwrap(), HOUR, "a day later");
        assert_eq!(conversation(&environment), [2, 1, 1]);
    }
}

/// The password is sent once, as a form to Earthdata Login, and no request shows a secret in its
/// URL or to another host.
#[tokio::test]
async fn the_password_is_sent_only_to_earthdata_login() {
    for family in FAMILIES {
        let environment = TestEnvironment::with_family(family, |_| {});
        in_time(environment.login(TestIdentity::Password).temporary_credentials()).await.unwrap();
        let log = environment.fake_daac.log();
        let posts: Vec<_> = log.iter().filter(|request| request.method == "POST").collect();
        let [post] = posts[..] else { panic!("{posts:?}") };
        assert_eq!(post.kind, RequestKind::Login);
        assert!(post.target.starts_with("/oauth/authorize?"), "{posts:?}");
        assert!(log.iter().all(|request| request.leaked_secret.is_none()), "{log:?}");
        for request in &log {
            // URLs of the login have codes, but not the user's own secrets.
            assert!(
                !request.target.contains(environment.fake_daac.token())
                    && !request.target.contains(environment.fake_daac.password())
            );
        }
    }
}

/// Every form of an expiration is parsed; without a valid one the life is 55 minutes.
#[tokio::test]
async fn every_form_of_an_expiration_is_parsed() {
    const LIFE: Duration = Duration::from_secs(1234);
    const ASSUMED: Duration = Duration::from_secs(55 * 60);
    let environment = TestEnvironment::with_knobs(|knobs| knobs.credential_life = LIFE);
    let login = environment.login(TestIdentity::Token);
    for (form, life) in [
        (Expiration::Python, LIFE),
        (Expiration::PythonMicros, LIFE + Duration::from_secs(1)),
        (Expiration::Zulu, LIFE),
        (Expiration::CompactOffset, LIFE),
        (Expiration::Zoneless, LIFE),
        (Expiration::Missing, ASSUMED),
        (Expiration::Null, ASSUMED),
        (Expiration::Malformed, ASSUMED),
    ] {
        environment.fake_daac.set(|knobs| knobs.expiration = form);
        assert_lives(
            &in_time(login.temporary_credentials()).await.unwrap(),
            life,
            &format!("{form:?}"),
        );
    }
}

/// The life of credentials is measured by the server's clock, so that a wrong local clock does no
/// harm.
#[tokio::test]
async fn lives_are_measured_by_the_servers_clock() {
    let environment = TestEnvironment::with_family(Family::Tea, |_| {});
    let login = environment.login(TestIdentity::Token);
    for shift in [-86_400 * 400, -7200, 7200, 86_400 * 400] {
        environment.fake_daac.set(|knobs| knobs.clock_shift = shift);
        assert_lives(
            &in_time(login.temporary_credentials()).await.unwrap(),
            HOUR,
            &format!("{shift} s"),
        );
    }
}

/// An endpoint behind an alias answers under its own name. Its credentials are accepted, although
/// the redirects end at another URL than they began.
#[tokio::test]
async fn credentials_are_accepted_wherever_the_redirects_end() {
    let environment = TestEnvironment::new();
    let own = CannedServer::new(|_| CREDENTIALS.into());
    let target = own.endpoint.clone();
    let alias = CannedServer::new(move |_| redirect(&target));
    let login = Login::new(
        &alias.endpoint,
        &environment.fake_daac.login_host(),
        environment.identity(TestIdentity::Password),
    )
    .unwrap();
    assert_eq!(in_time(login.temporary_credentials()).await.unwrap().access_key, "A");
}

/// A token is sent along redirects within its endpoint. A redirect to anywhere else counts as a
/// refusal of the token, which is not sent there.
#[tokio::test]
async fn a_token_is_sent_only_to_its_endpoint() {
    let environment = TestEnvironment::new();
    let elsewhere = CannedServer::new(|_| CREDENTIALS.into());
    for (location, is_accepted) in [
        ("/moved", true),
        ("/oauth/authorize?x=1", false),
        (elsewhere.endpoint.as_str(), false),
        ("", false),
    ] {
        let target = location.to_owned();
        let server = CannedServer::new(move |head| match head.starts_with("get /moved ") {
            true => CREDENTIALS.into(),
            false => redirect(&target),
        });
        let login = Login::new(
            &server.endpoint,
            &environment.fake_daac.login_host(),
            environment.identity(TestIdentity::Token),
        )
        .unwrap();
        let outcome = in_time(login.temporary_credentials()).await;
        if is_accepted {
            outcome.unwrap();
        } else {
            let error = environment.error_of(outcome);
            assert!(
                matches!(error, Error::Refused(Refusal::TokenRefused { .. })),
                "{location}: {error:?}"
            );
        }
        assert!(
            server.heads().iter().all(|head| head.contains("authorization: bearer ")),
            "{location}"
        );
    }
    assert_eq!(elsewhere.heads(), [""; 0]);
}

/// A login of which any request hangs ends in bounded time, and the error names the host that did
/// not answer.
#[tokio::test]
async fn a_login_that_hangs_ends_with_an_error_that_names_the_host() {
    let check = |kind: RequestKind| async move {
        let environment = TestEnvironment::with_knobs(|knobs| {
            knobs.faults.push(Fault::new(Failure::Stall).on(kind))
        });
        let host = if kind == RequestKind::Login {
            environment.fake_daac.login_host()
        } else {
            host_of(&environment.endpoint())
        };
        let cache = environment.credentials_cache();
        let asked = tokio::spawn(async move { cache.first().await });
        environment
            .wait_for_stats(|stats| match kind {
                RequestKind::Credentials => stats.credentials == 1,
                RequestKind::Login => stats.logins == 1,
                _ => stats.callbacks == 1,
            })
            .await;
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        let error = environment.error_of(asked.await.unwrap());
        assert!(began.elapsed() <= Duration::from_secs(46), "{kind:?}: {:?}", began.elapsed());
        let (words, end) = (error.to_string(), "try again later");
        assert!(
            words.starts_with(&format!("no answer from {host} ")) && words.ends_with(end),
            "{kind:?}: {words}"
        );
        tokio::time::resume();
    };
    for kind in [RequestKind::Credentials, RequestKind::Login, RequestKind::Callback] {
        check(kind).await;
    }
}

fn host_of(url: &str) -> String {
    url.split('/').nth(2).unwrap().to_owned()
}
