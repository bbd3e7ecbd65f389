//! "`--aws-credentials` with the instance's or pod's role, per bucket falls back to Earthdata when
//! the role is refused (...), once, remembered." (issue 5, item 8)

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{
    ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future,
};
use fake_daac::{BearerAnswer, EndpointAnswer, Family, Knobs, Listing};
use granulefs::credentials::{CredentialsCache, Provider};
use granulefs::error::{Error, Refusal};
use granulefs::login::{Identity, Login, Token};
use granulefs::object::Prefix;
use granulefs::s3::{Bucket, BucketLocation, Position};

use crate::environment::{BUCKET, Shows, TestEnvironment, soon};

/// Credentials of the environment.
fn ambient(
    key: impl Into<String>,
    secret: impl Into<String>,
    token: Option<String>,
) -> Arc<CredentialsCache> {
    let provider =
        SharedCredentialsProvider::new(Credentials::new(key, secret, token, None, "test"));
    CredentialsCache::new(Provider::Environment(provider))
}

/// The keys of a role that opens these buckets.
fn role(environment: &TestEnvironment, buckets: &[&str]) -> Arc<CredentialsCache> {
    let (key, secret) = environment.archive.static_keys_of(buckets);
    ambient(key, secret, None)
}

/// Session keys left in the environment, that live so long.
fn leftover(environment: &TestEnvironment, life: Duration) -> Arc<CredentialsCache> {
    let (key, secret, token) = environment.archive.mint(life);
    ambient(key, secret, Some(token))
}

/// A machine without a role.
#[derive(Debug)]
struct Nobody;

impl ProvideCredentials for Nobody {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("no role")))
    }
}

fn nobody() -> Arc<CredentialsCache> {
    CredentialsCache::new(Provider::Environment(SharedCredentialsProvider::new(Nobody)))
}

fn bucket(environment: &TestEnvironment, role: Arc<CredentialsCache>) -> Bucket {
    bucket_with(environment, role, Ok(environment.store()))
}

fn bucket_with(
    environment: &TestEnvironment,
    role: Arc<CredentialsCache>,
    fallback: Result<Arc<CredentialsCache>, Error>,
) -> Bucket {
    let place = BucketLocation {
        bucket: BUCKET.into(),
        region: "us-west-2".into(),
        endpoint_url: Some(environment.archive.s3_url()),
        path_style: true,
    };
    Bucket::with_fallback(place, role, Some(fallback)).unwrap()
}

/// How many requests were refused, and how many sessions handed out.
fn cost(environment: &TestEnvironment) -> (usize, u64) {
    let refused = environment.archive.log().iter().filter(|logged| logged.status == 403).count();
    (refused, environment.archive.stats().issued)
}

/// One refusal, and then every request goes out with what opens the bucket.
#[tokio::test]
async fn a_role_that_is_refused_gives_way_to_earthdata_once() {
    let environment = TestEnvironment::holding(&["a", "b"]);
    let bucket = bucket(&environment, role(&environment, &["another-bucket"]));
    for key in ["a", "b", "a", "b"] {
        assert_eq!(soon(bucket.head(key)).await.unwrap().size, 1);
    }
    assert_eq!(cost(&environment), (1, 1));
}

/// A machine that has no role at all is no obstacle either, and is not asked for each request.
#[tokio::test]
async fn a_role_that_is_not_there_gives_way_to_earthdata() {
    let environment = TestEnvironment::holding(&["a"]);
    let bucket = bucket(&environment, nobody());
    for _ in 0..3 {
        soon(bucket.head("a")).await.unwrap();
    }
    assert_eq!(cost(&environment), (0, 1));
}

/// A role that works is all that is used; what it may not read, Earthdata is asked for, which is no
/// more than a second request.
#[tokio::test]
async fn a_role_that_works_is_kept_when_earthdata_knows_no_better() {
    let environment = TestEnvironment::holding(&["a", "closed/b"]);
    environment.archive.set(|knobs| knobs.unreadable = vec!["closed/".into()]);
    let bucket = bucket(&environment, role(&environment, &[BUCKET]));
    soon(bucket.head("a")).await.unwrap();
    assert_eq!(cost(&environment), (0, 0));
    for refused in [2, 4] {
        let error = environment.error_of(soon(bucket.head("closed/b")).await);
        assert!(matches!(error, Error::Refused(Refusal::Forbidden { .. })), "{error}");
        assert_eq!(cost(&environment), (refused, 1));
    }
    soon(bucket.head("a")).await.unwrap();
    assert_eq!(cost(&environment), (4, 1));
}

/// What both may not do says nothing about what one of them may.
#[tokio::test]
async fn a_refusal_of_both_settles_nothing() {
    let environment = TestEnvironment::holding(&["a"]);
    environment.archive.set(|knobs| knobs.listing = Listing::Denied);
    let bucket = bucket(&environment, role(&environment, &["another-bucket"]));
    environment.error_of(soon(bucket.page(&Prefix::new(""), &Position::Start)).await);
    soon(bucket.head("a")).await.unwrap();
    assert_eq!(cost(&environment), (3, 1));
    soon(bucket.head("a")).await.unwrap();
    assert_eq!(cost(&environment), (3, 1));
}

/// Nor does it when one of them has worked before: keys that end later find the other ones ready.
#[tokio::test]
async fn one_object_that_nobody_may_read_does_not_keep_earthdata_out() {
    let environment = TestEnvironment::holding(&["a", "secret/b"]);
    environment.archive.set(|knobs| knobs.unreadable = vec!["secret/".into()]);
    let life = Duration::from_secs(2);
    let bucket = bucket(&environment, leftover(&environment, life));
    soon(bucket.head("a")).await.unwrap();
    environment.error_of(soon(bucket.head("secret/b")).await);
    tokio::time::sleep(life).await;
    for _ in 0..2 {
        soon(bucket.head("a")).await.unwrap();
    }
}

/// A role for one half of a bucket and Earthdata for the other: both halves open, at one more
/// request where the half changes.
#[tokio::test]
async fn each_opens_its_own_part_of_a_bucket() {
    let environment = TestEnvironment::holding(&["mine/a", "theirs/b"]);
    let token = environment.archive.admit("eve");
    environment.archive.set(|knobs| {
        knobs.unreadable = vec!["mine/".into()];
        knobs.user("eve", BUCKET).unreadable = Some(vec!["theirs/".into()]);
    });
    let eve = Identity::new(Some(Token { secret: token.into(), origin: "here".into() }), None);
    let login = Login::new(&environment.endpoint(), &environment.archive.edl_host(), eve).unwrap();
    let bucket = bucket(&environment, CredentialsCache::new(Provider::Earthdata(Box::new(login))));
    for (key, refused) in [
        ("mine/a", 0),
        ("theirs/b", 1),
        ("theirs/b", 1),
        ("mine/a", 2),
        ("mine/a", 2),
        ("theirs/b", 3),
    ] {
        soon(bucket.head(key)).await.unwrap_or_else(|error| panic!("{key}: {error}"));
        assert_eq!(cost(&environment).0, refused, "{key}");
    }
}

/// A bare 400 is how S3 answers a HEAD of an expired token: the first request of all may be one.
#[tokio::test]
async fn keys_that_have_ended_give_way_to_earthdata_whatever_is_asked_first() {
    for is_head in [true, false] {
        let environment = TestEnvironment::holding(&["a"]);
        let bucket = bucket(&environment, leftover(&environment, Duration::ZERO));
        if is_head {
            soon(bucket.head("a")).await.unwrap();
        } else {
            assert!(soon(bucket.has_keys(&Prefix::new(""))).await.unwrap());
        }
        soon(bucket.head("a")).await.unwrap();
        let refused =
            environment.archive.log().iter().filter(|logged| logged.status == 400).count();
        assert_eq!((refused, environment.archive.stats().issued), (1, 1));
    }
    let environment = TestEnvironment::holding(&["a"]);
    let alone = environment.bucket_of(leftover(&environment, Duration::ZERO));
    let error = environment.error_of(soon(alone.head("a")).await);
    assert!(matches!(&error, Error::Refused(Refusal::CredentialsRejected { .. })), "{error}");
}

/// Each kind's client learns the server's time for itself, from a HEAD that says no more than 403
/// as well.
#[tokio::test]
async fn a_wrong_clock_does_not_keep_earthdata_out() {
    let environment = TestEnvironment::with(|knobs| knobs.clock_shift = 7200);
    environment.put("a", "1");
    let bucket = bucket(&environment, role(&environment, &["another-bucket"]));
    soon(bucket.head("a")).await.unwrap();
}

type Turn = fn(&mut Knobs);
type Environment = fn(&TestEnvironment) -> Arc<CredentialsCache>;

/// "The same words everywhere" (item 6): the reason is that of the credentials which have something
/// to say, with the other's behind it.
#[tokio::test]
async fn a_refusal_of_both_gives_both_reasons_the_curable_one_first() {
    let no_role: Environment = |_| nobody();
    let ended: Environment = |environment| leftover(environment, Duration::ZERO);
    let stranger: Environment = |environment| role(environment, &["another-bucket"]);
    let eula: Turn = |knobs| knobs.bearer = BearerAnswer::Eula;
    let rows: [(Environment, Turn, &[&str]); 7] = [
        (
            no_role,
            eula,
            &[
                "Earthdata Login wants something",
                "/approve_app?",
                "of the environment: no AWS credentials in",
            ],
        ),
        (
            ended,
            eula,
            &[
                "Earthdata Login wants something",
                "/approve_app?",
                "of the environment: S3 does not accept",
                "Expired",
            ],
        ),
        (
            ended,
            |knobs| knobs.bearer = BearerAnswer::Refuse,
            &["refused the token from", "of the environment: S3 does not accept"],
        ),
        (
            stranger,
            eula,
            &[
                "S3 denies access to s3://granules/",
                "not cover it; with the",
                "/s3credentials: Earthdata Login wants",
            ],
        ),
        (
            stranger,
            |knobs| knobs.endpoint = EndpointAnswer::NoPermission,
            &["S3 denies", "; with the", "may not access any of"],
        ),
        (
            no_role,
            |knobs| knobs.listing = Listing::Denied,
            &["S3 denies access to s3://granules/", "they may not cover it"],
        ),
        (
            ended,
            |knobs| knobs.out_of_region = true,
            &["S3 denies access to s3://granules/", "only from inside AWS us-west-2"],
        ),
    ];
    for (ambient, turn, words) in rows {
        let environment = TestEnvironment::of(Family::Tea, turn);
        let earthdata =
            CredentialsCache::new(Provider::Earthdata(Box::new(environment.login(Shows::Token))));
        let bucket = bucket_with(&environment, ambient(&environment), Ok(earthdata));
        for _ in 0..2 {
            let error =
                environment.error_of(soon(bucket.page(&Prefix::new(""), &Position::Start)).await);
            assert_eq!(error.errno(), 13, "{error}");
            let mut rest = error.to_string();
            for word in words {
                let at = rest
                    .find(word)
                    .unwrap_or_else(|| panic!("no {word:?} behind the others in {error}"));
                rest.drain(..at + word.len());
            }
        }
    }
}

/// Why Earthdata was not even asked is said as well.
#[tokio::test]
async fn a_refusal_says_why_there_is_nothing_to_fall_back_on() {
    let environment = TestEnvironment::new();
    for (ambient, start) in [
        (nobody(), "no AWS credentials"),
        (role(&environment, &["another-bucket"]), "S3 denies access"),
    ] {
        let bucket = bucket_with(&environment, ambient, Err(Error::usage("which data center?")));
        let error = environment.error_of(soon(bucket.head("a")).await).to_string();
        assert!(
            error.starts_with(start)
                && error.ends_with("with the credentials of Earthdata: which data center?"),
            "{error}"
        );
    }
}

/// "Credentials dead and none to be had in time: EACCES" (semantics.md, "Errors"), with what is
/// waited for.
#[tokio::test]
async fn a_fallback_that_is_down_is_what_is_waited_for() {
    for ambient in [nobody(), ambient("AKIAUNKNOWN", "guess", None)] {
        let environment = TestEnvironment::with(|knobs| knobs.daac_down = true);
        let bucket = bucket(&environment, ambient);
        let waited = tokio::time::timeout(Duration::from_secs(2), bucket.head("a")).await;
        assert!(waited.is_err(), "{waited:?}");
        let timeout_cause = environment.error_of(Err::<(), _>(bucket.timeout_cause()));
        let Error::Refused(Refusal::NoCredentials { endpoint, .. }) = &timeout_cause else {
            panic!("{timeout_cause:?}")
        };
        assert_eq!(**endpoint, environment.endpoint());
    }
}

/// A role that works is believed when Earthdata is down: what it may not read is told at once.
#[tokio::test]
async fn a_role_that_works_does_not_wait_for_an_earthdata_that_is_down() {
    let environment = TestEnvironment::holding(&["a", "closed/b"]);
    environment
        .archive
        .set(|knobs| (knobs.unreadable, knobs.daac_down) = (vec!["closed/".into()], true));
    let bucket = bucket(&environment, role(&environment, &[BUCKET]));
    soon(bucket.head("a")).await.unwrap();
    for _ in 0..3 {
        let outcome = tokio::time::timeout(Duration::from_secs(10), bucket.head("closed/b")).await;
        let error = environment.error_of(outcome.expect("it waits"));
        assert!(
            matches!(&error, Error::Refused(Refusal::Forbidden { also, .. }) if also.to_string().contains(&environment.endpoint())),
            "{error}"
        );
    }
}
