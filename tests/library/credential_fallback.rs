//! A bucket with two kinds of credentials, a role's and Earthdata's: it falls back from one to the
//! other when S3 refuses the first, and remembers which one works.

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

use crate::environment::{BUCKET, TestEnvironment, TestIdentity, in_time};

/// Returns AWS credentials of the environment.
fn environment_keys(
    key: impl Into<String>,
    secret: impl Into<String>,
    token: Option<String>,
) -> Arc<CredentialsCache> {
    let provider =
        SharedCredentialsProvider::new(Credentials::new(key, secret, token, None, "test"));
    CredentialsCache::new(Provider::Environment(provider))
}

/// Returns the keys of a role that opens these buckets.
fn role(environment: &TestEnvironment, buckets: &[&str]) -> Arc<CredentialsCache> {
    let (key, secret) = environment.fake_daac.static_keys_of(buckets);
    environment_keys(key, secret, None)
}

/// Returns temporary credentials in the environment that live for `life`.
fn temporary_keys(environment: &TestEnvironment, life: Duration) -> Arc<CredentialsCache> {
    let (key, secret, token) = environment.fake_daac.temporary_keys(life);
    environment_keys(key, secret, Some(token))
}

/// A machine without a role.
#[derive(Debug)]
struct NoRole;

impl ProvideCredentials for NoRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("no role")))
    }
}

fn no_role() -> Arc<CredentialsCache> {
    CredentialsCache::new(Provider::Environment(SharedCredentialsProvider::new(NoRole)))
}

fn bucket(environment: &TestEnvironment, role: Arc<CredentialsCache>) -> Bucket {
    bucket_with(environment, role, Ok(environment.credentials_cache()))
}

fn bucket_with(
    environment: &TestEnvironment,
    role: Arc<CredentialsCache>,
    fallback: Result<Arc<CredentialsCache>, Error>,
) -> Bucket {
    let location = BucketLocation {
        bucket: BUCKET.into(),
        region: "us-west-2".into(),
        endpoint_url: Some(environment.fake_daac.s3_url()),
        path_style: true,
    };
    Bucket::with_fallback(location, role, Some(fallback)).unwrap()
}

/// Returns the number of refused requests, and of issued credentials.
fn cost(environment: &TestEnvironment) -> (usize, u64) {
    let refused = environment.fake_daac.log().iter().filter(|logged| logged.status == 403).count();
    (refused, environment.fake_daac.stats().issued)
}

/// After one refusal every request is signed with the credentials that open the bucket.
#[tokio::test]
async fn a_refused_role_is_replaced_by_earthdata_once() {
    let environment = TestEnvironment::with_objects(&["a", "b"]);
    let bucket = bucket(&environment, role(&environment, &["another-bucket"]));
    for key in ["a", "b", "a", "b"] {
        assert_eq!(in_time(bucket.head(key)).await.unwrap().size, 1);
    }
    assert_eq!(cost(&environment), (1, 1));
}

/// On a machine without a role Earthdata's credentials are used, and the role is not searched for
/// at each request.
#[tokio::test]
async fn a_missing_role_is_replaced_by_earthdata() {
    let environment = TestEnvironment::with_objects(&["a"]);
    let bucket = bucket(&environment, no_role());
    for _ in 0..3 {
        in_time(bucket.head("a")).await.unwrap();
    }
    assert_eq!(cost(&environment), (0, 1));
}

/// A role that works is used for every request. An object that it may not read is requested once
/// more with Earthdata's credentials.
#[tokio::test]
async fn a_working_role_is_kept_when_earthdata_is_refused_as_well() {
    let environment = TestEnvironment::with_objects(&["a", "closed/b"]);
    environment.fake_daac.set(|knobs| knobs.unreadable = vec!["closed/".into()]);
    let bucket = bucket(&environment, role(&environment, &[BUCKET]));
    in_time(bucket.head("a")).await.unwrap();
    assert_eq!(cost(&environment), (0, 0));
    for refused in [2, 4] {
        let error = environment.error_of(in_time(bucket.head("closed/b")).await);
        assert!(matches!(error, Error::Refused(Refusal::Forbidden { .. })), "{error}");
        assert_eq!(cost(&environment), (refused, 1));
    }
    in_time(bucket.head("a")).await.unwrap();
    assert_eq!(cost(&environment), (4, 1));
}

/// A refusal of both credentials says nothing about which of them opens other objects.
#[tokio::test]
async fn a_refusal_of_both_does_not_choose_one() {
    let environment = TestEnvironment::with_objects(&["a"]);
    environment.fake_daac.set(|knobs| knobs.listing = Listing::Denied);
    let bucket = bucket(&environment, role(&environment, &["another-bucket"]));
    environment.error_of(in_time(bucket.page(&Prefix::new(""), &Position::Start)).await);
    in_time(bucket.head("a")).await.unwrap();
    assert_eq!(cost(&environment), (3, 1));
    in_time(bucket.head("a")).await.unwrap();
    assert_eq!(cost(&environment), (3, 1));
}

/// After an object that neither may read, Earthdata's credentials are still used when the keys
/// expire.
#[tokio::test]
async fn an_unreadable_object_does_not_prevent_a_later_fallback() {
    let environment = TestEnvironment::with_objects(&["a", "secret/b"]);
    environment.fake_daac.set(|knobs| knobs.unreadable = vec!["secret/".into()]);
    let life = Duration::from_secs(2);
    let bucket = bucket(&environment, temporary_keys(&environment, life));
    in_time(bucket.head("a")).await.unwrap();
    environment.error_of(in_time(bucket.head("secret/b")).await);
    tokio::time::sleep(life).await;
    for _ in 0..2 {
        in_time(bucket.head("a")).await.unwrap();
    }
}

/// When a role opens one half of a bucket and Earthdata the other, both halves can be read, with
/// one more request whenever the half changes.
#[tokio::test]
async fn each_of_the_credentials_opens_its_part_of_a_bucket() {
    let environment = TestEnvironment::with_objects(&["mine/a", "theirs/b"]);
    let token = environment.fake_daac.add_user("eve");
    environment.fake_daac.set(|knobs| {
        knobs.unreadable = vec!["mine/".into()];
        knobs.user("eve", BUCKET).unreadable = Some(vec!["theirs/".into()]);
    });
    let eve = Identity::new(Some(Token { secret: token.into(), origin: "here".into() }), None);
    let login =
        Login::new(&environment.endpoint(), &environment.fake_daac.login_host(), eve).unwrap();
    let bucket = bucket(&environment, CredentialsCache::new(Provider::Earthdata(Box::new(login))));
    for (key, refused) in [
        ("mine/a", 0),
        ("theirs/b", 1),
        ("theirs/b", 1),
        ("mine/a", 2),
        ("mine/a", 2),
        ("theirs/b", 3),
    ] {
        in_time(bucket.head(key)).await.unwrap_or_else(|error| panic!("{key}: {error}"));
        assert_eq!(cost(&environment).0, refused, "{key}");
    }
}

/// Expired keys are replaced by Earthdata's credentials, even if the first request is a HEAD, which
/// S3 answers with 400 and no code.
#[tokio::test]
async fn expired_keys_are_replaced_by_earthdata_at_any_first_request() {
    for is_head in [true, false] {
        let environment = TestEnvironment::with_objects(&["a"]);
        let bucket = bucket(&environment, temporary_keys(&environment, Duration::ZERO));
        if is_head {
            in_time(bucket.head("a")).await.unwrap();
        } else {
            assert!(in_time(bucket.has_keys(&Prefix::new(""))).await.unwrap());
        }
        in_time(bucket.head("a")).await.unwrap();
        let refused =
            environment.fake_daac.log().iter().filter(|logged| logged.status == 400).count();
        assert_eq!((refused, environment.fake_daac.stats().issued), (1, 1));
    }
    let environment = TestEnvironment::with_objects(&["a"]);
    let alone = environment.bucket_with_cache(temporary_keys(&environment, Duration::ZERO));
    let error = environment.error_of(in_time(alone.head("a")).await);
    assert!(matches!(&error, Error::Refused(Refusal::CredentialsRejected { .. })), "{error}");
}

/// The server's time is learned for both kinds of credentials, even from a HEAD that is answered
/// with 403 and no code.
#[tokio::test]
async fn a_wrong_clock_does_not_prevent_a_fallback() {
    let environment = TestEnvironment::with_knobs(|knobs| knobs.clock_shift = 7200);
    environment.put("a", "1");
    let bucket = bucket(&environment, role(&environment, &["another-bucket"]));
    in_time(bucket.head("a")).await.unwrap();
}

type ChangeKnobs = fn(&mut Knobs);
type MakeKeys = fn(&TestEnvironment) -> Arc<CredentialsCache>;

/// The error names first the reason that the user can cure, and then the other one.
#[tokio::test]
async fn a_refusal_of_both_gives_both_reasons_the_curable_one_first() {
    let without_role: MakeKeys = |_| no_role();
    let expired: MakeKeys = |environment| temporary_keys(environment, Duration::ZERO);
    let stranger: MakeKeys = |environment| role(environment, &["another-bucket"]);
    let eula: ChangeKnobs = |knobs| knobs.bearer = BearerAnswer::Eula;
    let rows: [(MakeKeys, ChangeKnobs, &[&str]); 7] = [
        (
            without_role,
            eula,
            &[
                "Earthdata Login wants something",
                "/approve_app?",
                "of the environment: no AWS credentials in",
            ],
        ),
        (
            expired,
            eula,
            &[
                "Earthdata Login wants something",
                "/approve_app?",
                "of the environment: S3 does not accept",
                "Expired",
            ],
        ),
        (
            expired,
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
            without_role,
            |knobs| knobs.listing = Listing::Denied,
            &["S3 denies access to s3://granules/", "they may not cover it"],
        ),
        (
            expired,
            |knobs| knobs.out_of_region = true,
            &["S3 denies access to s3://granules/", "only from inside AWS us-west-2"],
        ),
    ];
    for (keys, change, words) in rows {
        let environment = TestEnvironment::with_family(Family::Tea, change);
        let earthdata = CredentialsCache::new(Provider::Earthdata(Box::new(
            environment.login(TestIdentity::Token),
        )));
        let bucket = bucket_with(&environment, keys(&environment), Ok(earthdata));
        for _ in 0..2 {
            let error = environment
                .error_of(in_time(bucket.page(&Prefix::new(""), &Position::Start)).await);
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

/// When there are no credentials to fall back on, the error says why.
#[tokio::test]
async fn a_refusal_without_a_fallback_says_why_there_is_none() {
    let environment = TestEnvironment::new();
    for (keys, start) in [
        (no_role(), "no AWS credentials"),
        (role(&environment, &["another-bucket"]), "S3 denies access"),
    ] {
        let bucket = bucket_with(&environment, keys, Err(Error::usage("which data center?")));
        let error = environment.error_of(in_time(bucket.head("a")).await).to_string();
        assert!(
            error.starts_with(start)
                && error.ends_with("with the credentials of Earthdata: which data center?"),
            "{error}"
        );
    }
}

/// While the fallback is down, the cause of a timeout names its endpoint (docs/semantics.md,
/// "Errors").
#[tokio::test]
async fn a_fallback_that_is_down_is_the_cause_of_a_timeout() {
    for keys in [no_role(), environment_keys("AKIAUNKNOWN", "guess", None)] {
        let environment = TestEnvironment::with_knobs(|knobs| knobs.daac_down = true);
        let bucket = bucket(&environment, keys);
        let waited = tokio::time::timeout(Duration::from_secs(2), bucket.head("a")).await;
        assert!(waited.is_err(), "{waited:?}");
        let timeout_cause = environment.error_of(Err::<(), _>(bucket.timeout_cause()));
        let Error::Refused(Refusal::NoCredentials { endpoint, .. }) = &timeout_cause else {
            panic!("{timeout_cause:?}")
        };
        assert_eq!(**endpoint, environment.endpoint());
    }
}

/// An object that a working role may not read is an error without waiting for an Earthdata that is
/// down.
#[tokio::test]
async fn a_working_role_does_not_wait_for_an_earthdata_that_is_down() {
    let environment = TestEnvironment::with_objects(&["a", "closed/b"]);
    environment
        .fake_daac
        .set(|knobs| (knobs.unreadable, knobs.daac_down) = (vec!["closed/".into()], true));
    let bucket = bucket(&environment, role(&environment, &[BUCKET]));
    in_time(bucket.head("a")).await.unwrap();
    for _ in 0..3 {
        let outcome = tokio::time::timeout(Duration::from_secs(10), bucket.head("closed/b")).await;
        let error = environment.error_of(outcome.expect("the request waits"));
        let Error::Refused(Refusal::Forbidden { also, .. }) = &error else { panic!("{error}") };
        assert!(also.to_string().contains(&environment.endpoint()), "{error}");
    }
}
