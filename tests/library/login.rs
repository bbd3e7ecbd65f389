//! The ways in: issue 2, "What must work", item 1, and sections 1 and 2 of the facts about
//! Earthdata Login.

use std::time::Duration;

use fake_daac::{BearerAnswer, Expiration, Failure, Family, Fault, Kind, Knobs, PasswordWays};
use granulefs::error::{Error, Refusal};
use granulefs::login::{Login, TemporaryCredentials};

use crate::environment::{FAMILIES, Shows, TestEnvironment, soon};
use crate::server::{CREDENTIALS, Server, redirect};

const HOUR: Duration = Duration::from_secs(3600);

fn assert_lives(grant: &TemporaryCredentials, expected: Duration, what: &str) {
    // `Date` and `expiration` are whole seconds, one of them may have ticked in between.
    let life = grant.life.unwrap();
    assert!(life <= expected && life + Duration::from_secs(2) >= expected, "{what}: {life:?}");
}

/// Requests since the last look: to /s3credentials, to Earthdata Login, and to the callback.
fn conversation(environment: &TestEnvironment) -> [u64; 3] {
    let stats = environment.archive.stats();
    environment.archive.reset_stats();
    assert_eq!((stats.leaks, stats.traps, stats.rejected), (0, 0, 0));
    [stats.credentials, stats.logins, stats.callbacks]
}

/// Every way that a server wants the identity shown, in both families; each costs the requests that
/// it must and no more, and a renewal with what was kept costs one.
#[tokio::test]
async fn every_way_in_costs_its_hops_and_each_renewal_one_request() {
    type Turn = fn(&mut Knobs);
    let healthy: Turn = |_| {};
    let rows: [(&str, Shows, Turn, [u64; 3]); 10] = [
        ("the documented form", Shows::Password, healthy, [2, 1, 1]),
        (
            "a server that knows only the form",
            Shows::Password,
            |k| k.password_ways = PasswordWays::Form,
            [2, 1, 1],
        ),
        (
            "a server that knows only Basic",
            Shows::Password,
            |k| k.password_ways = PasswordWays::BasicOr405,
            [2, 2, 1],
        ),
        ("the older callback", Shows::Password, |k| k.older_callback = true, [2, 1, 1]),
        ("a bearer token", Shows::Token, healthy, [1, 0, 0]),
        ("a bearer token before a password", Shows::Both, healthy, [1, 0, 0]),
        (
            "a refused token, then the password",
            Shows::Both,
            |k| k.bearer = BearerAnswer::Refuse,
            [3, 1, 1],
        ),
        (
            "a redirected token, then the password",
            Shows::Both,
            |k| k.bearer = BearerAnswer::Redirect,
            [3, 1, 1],
        ),
        ("what is no token, then the password", Shows::BadTokenAndPassword, healthy, [3, 1, 1]),
        (
            "an answer that calls itself HTML",
            Shows::Password,
            |k| k.credentials_as_html = true,
            [2, 1, 1],
        ),
    ];
    for family in FAMILIES {
        for (way, shows, turn, hops) in rows {
            let what = format!("{family:?}, {way}");
            let environment = TestEnvironment::of(family, turn);
            let login = environment.login(shows);
            let first =
                soon(login.temporary_credentials()).await.unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(conversation(&environment), hops, "{what}");
            assert_lives(&first, HOUR, &what);
            let second = soon(login.temporary_credentials()).await.unwrap();
            assert_eq!(conversation(&environment), [1, 0, 0], "{what}, renewed");
            assert_ne!(first.access_key, second.access_key);
        }
    }
}

/// Item 1: kept cookies, until the endpoint redirects again.
#[tokio::test]
async fn a_cookie_that_is_no_longer_good_is_earned_again() {
    for family in FAMILIES {
        let environment = TestEnvironment::of(family, |_| {});
        let login = environment.login(Shows::Password);
        soon(login.temporary_credentials()).await.unwrap();
        conversation(&environment);
        // A day later.
        environment.archive.set(|knobs| knobs.clock_shift = 25 * 3600);
        assert_lives(&soon(login.temporary_credentials()).await.unwrap(), HOUR, "a day later");
        assert_eq!(conversation(&environment), [2, 1, 1]);
    }
}

/// Item 1: the form goes with `Origin` to Earthdata Login only, and no secret stands in a URL or
/// goes elsewhere.
#[tokio::test]
async fn the_password_goes_to_earthdata_login_and_nowhere_else() {
    for family in FAMILIES {
        let environment = TestEnvironment::of(family, |_| {});
        soon(environment.login(Shows::Password).temporary_credentials()).await.unwrap();
        let log = environment.archive.log();
        let posts: Vec<_> = log.iter().filter(|request| request.method == "POST").collect();
        assert!(
            matches!(&posts[..], [post] if post.kind == Kind::Login && post.target.starts_with("/oauth/authorize?")),
            "{posts:?}"
        );
        assert!(log.iter().all(|request| request.leak.is_none()), "{log:?}");
        for request in &log {
            // The codes and cookies of the conversation do travel in URLs; what the user owns does
            // not.
            assert!(
                !request.target.contains(environment.archive.token())
                    && !request.target.contains(environment.archive.password())
            );
        }
    }
}

/// Item 1: every expiration format; what cannot be read is 55 minutes.
#[tokio::test]
async fn every_way_to_write_an_expiration_is_read() {
    const LIFE: Duration = Duration::from_secs(1234);
    const ASSUMED: Duration = Duration::from_secs(55 * 60);
    let environment = TestEnvironment::with(|knobs| knobs.credential_life = LIFE);
    let login = environment.login(Shows::Token);
    for (form, life) in [
        (Expiration::Python, LIFE),
        (Expiration::PythonMicros, LIFE + Duration::from_secs(1)),
        (Expiration::Zulu, LIFE),
        (Expiration::CompactOffset, LIFE),
        (Expiration::Zoneless, LIFE),
        (Expiration::Missing, ASSUMED),
        (Expiration::Null, ASSUMED),
        (Expiration::Garbage, ASSUMED),
    ] {
        environment.archive.set(|knobs| knobs.expiration = form);
        assert_lives(
            &soon(login.temporary_credentials()).await.unwrap(),
            life,
            &format!("{form:?}"),
        );
    }
}

/// Item 2: a wrong local clock does not break it.
#[tokio::test]
async fn lives_are_judged_by_the_servers_clock() {
    let environment = TestEnvironment::of(Family::Tea, |_| {});
    let login = environment.login(Shows::Token);
    for shift in [-86_400 * 400, -7200, 7200, 86_400 * 400] {
        environment.archive.set(|knobs| knobs.clock_shift = shift);
        assert_lives(
            &soon(login.temporary_credentials()).await.unwrap(),
            HOUR,
            &format!("{shift} s"),
        );
    }
}

/// Item 1: an endpoint behind an alias ends the conversation at its own name; what counts is that
/// credentials are there.
#[tokio::test]
async fn credentials_count_wherever_the_redirects_end() {
    let environment = TestEnvironment::new();
    let own = Server::new(|_| CREDENTIALS.into());
    let target = own.endpoint.clone();
    let alias = Server::new(move |_| redirect(&target));
    let login = Login::new(
        &alias.endpoint,
        &environment.archive.edl_host(),
        environment.identity(Shows::Password),
    )
    .unwrap();
    assert_eq!(soon(login.temporary_credentials()).await.unwrap().access_key, "A");
}

/// Item 1: a token follows redirects within its endpoint, and is refused by one that leads anywhere
/// else, where it does not go.
#[tokio::test]
async fn a_token_stays_with_its_endpoint() {
    let environment = TestEnvironment::new();
    let elsewhere = Server::new(|_| CREDENTIALS.into());
    for (location, is_accepted) in [
        ("/moved", true),
        ("/oauth/authorize?x=1", false),
        (elsewhere.endpoint.as_str(), false),
        ("", false),
    ] {
        let target = location.to_owned();
        let server = Server::new(move |head| match head.starts_with("get /moved ") {
            true => CREDENTIALS.into(),
            false => redirect(&target),
        });
        let login = Login::new(
            &server.endpoint,
            &environment.archive.edl_host(),
            environment.identity(Shows::Token),
        )
        .unwrap();
        let outcome = soon(login.temporary_credentials()).await;
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

/// "A bounded whole conversation" (review of issue 5): whichever leg hangs, it is given up, with
/// the host that did not answer.
#[tokio::test]
async fn a_conversation_that_hangs_is_given_up_and_names_the_host() {
    let check = |kind: Kind| async move {
        let environment =
            TestEnvironment::with(|knobs| knobs.faults.push(Fault::new(Failure::Stall).on(kind)));
        let host = if kind == Kind::Login {
            environment.archive.edl_host()
        } else {
            host_of(&environment.endpoint())
        };
        let store = environment.store();
        let asked = tokio::spawn(async move { store.first().await });
        environment
            .counts(|stats| match kind {
                Kind::Credentials => stats.credentials == 1,
                Kind::Login => stats.logins == 1,
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
    for kind in [Kind::Credentials, Kind::Login, Kind::Callback] {
        check(kind).await;
    }
}

fn host_of(url: &str) -> String {
    url.split('/').nth(2).unwrap().to_owned()
}
