//! The renewal of credentials, which are fresh, ageing or expired.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fake_daac::{Expiration, RequestKind};
use futures_util::future::join_all;
use granulefs::credentials::{CachedCredentials, CredentialsCache};
use granulefs::error::{Error, Refusal};
use granulefs::object::Prefix;
use granulefs::s3::Position;

use crate::environment::{TestEnvironment, in_time, within};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than any answer without waiting takes on a busy machine, and much shorter than a slow
/// renewal.
const AT_ONCE: Duration = Duration::from_millis(400);
const LOOK: Duration = Duration::from_millis(20);

async fn session(cache: &Arc<CredentialsCache>) -> Arc<CachedCredentials> {
    in_time(cache.current()).await.unwrap()
}

/// Fresh credentials are fetched once, for any number of concurrent requests.
#[tokio::test]
async fn concurrent_requests_share_one_fetch_of_credentials() {
    let environment = TestEnvironment::new();
    let cache = environment.credentials_cache();
    let keys = join_all((0..50).map(|_| session(&cache))).await;
    assert!(keys.iter().all(|one| one.keys().access_key_id() == keys[0].keys().access_key_id()));
    session(&cache).await;
    assert_eq!(
        (environment.fake_daac.stats().issued, environment.fake_daac.stats().authenticated),
        (1, 1)
    );
}

/// While credentials are ageing, one renewal runs in the background and no request waits for it;
/// requests after it use the new credentials.
#[tokio::test]
async fn ageing_credentials_are_renewed_once_and_no_request_waits() {
    let environment = TestEnvironment::with_knobs(|knobs| knobs.credential_life = 5 * SECOND);
    let cache = environment.credentials_cache();
    let first = session(&cache).await;
    let life = first.life().unwrap();
    environment.fake_daac.reset_stats();
    environment.fake_daac.set(|knobs| {
        knobs.credentials_latency = Duration::from_millis(600);
        knobs.credential_life = Duration::from_secs(3600);
    });
    let started = Instant::now();
    let mut last = first.clone();
    while last.keys().access_key_id() == first.keys().access_key_id() {
        assert!(started.elapsed() < 10 * SECOND, "never renewed");
        let everyone = join_all((0..32).map(|_| cache.current()));
        last = within(AT_ONCE, everyone).await.remove(0).unwrap();
        tokio::time::sleep(LOOK).await;
    }
    assert!(started.elapsed() < life, "renewed only after their death: {:?}", started.elapsed());
    assert!(
        started.elapsed() > 2 * SECOND,
        "renewed while they were fresh: {:?}",
        started.elapsed()
    );
    assert_eq!(
        (environment.fake_daac.stats().credentials, environment.fake_daac.stats().logins),
        (1, 0)
    );
}

/// When the renewal fails, the old credentials are used until they expire. After that, requests
/// wait until Earthdata is up again.
#[tokio::test]
async fn a_failing_renewal_delays_requests_only_after_the_expiry() {
    let environment = TestEnvironment::with_knobs(|knobs| knobs.credential_life = 4 * SECOND);
    let cache = environment.credentials_cache();
    let asked = Instant::now();
    let first = session(&cache).await;
    let life = first.life().unwrap();
    environment.fake_daac.set(|knobs| knobs.daac_down = true);
    while asked.elapsed() + SECOND / 10 < life {
        let now = within(AT_ONCE, cache.current()).await.unwrap();
        assert_eq!(now.keys().access_key_id(), first.keys().access_key_id());
        assert!(cache.timeout_cause().is_none(), "the credentials have not expired");
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep((life + SECOND / 10).saturating_sub(asked.elapsed())).await;
    assert!(
        tokio::time::timeout(SECOND / 2, cache.current()).await.is_err(),
        "dead credentials were handed out"
    );
    let timeout_cause = environment.error_of(Err::<(), _>(cache.timeout_cause().unwrap()));
    let Error::Refused(Refusal::NoCredentials { endpoint, .. }) = &timeout_cause else {
        panic!("{timeout_cause:?}")
    };
    assert_eq!(**endpoint, environment.endpoint());
    environment.fake_daac.set(|knobs| knobs.daac_down = false);
    assert_ne!(session(&cache).await.keys().access_key_id(), first.keys().access_key_id());
    assert!(cache.timeout_cause().is_none());
}

/// A request that S3 refuses because the credentials have expired renews them once and is repeated
/// within the same operation, whether S3 answers ExpiredToken or AccessDenied.
#[tokio::test]
async fn a_request_that_outlives_its_credentials_is_repeated() {
    let check = |kind: RequestKind, is_denied: bool| async move {
        let what = format!("{kind:?}, denied: {is_denied}");
        let environment = TestEnvironment::with_knobs(|knobs| {
            knobs.credential_life = 2 * SECOND;
            knobs.expired_is_denied = is_denied;
        });
        environment.put("d/f", "content");
        let (cache, asked) = (environment.credentials_cache(), Instant::now());
        let bucket = environment.bucket_with_cache(cache.clone());
        let object = in_time(bucket.head("d/f")).await.unwrap();
        // The request is signed before the credentials expire and checked after that.
        environment.fake_daac.set(|knobs| {
            knobs.list_latency = Duration::from_millis(2100);
            knobs.first_byte_latency = knobs.list_latency;
        });
        environment.fake_daac.reset_stats();
        let request = async {
            match kind {
                RequestKind::List => {
                    in_time(bucket.page(&Prefix::new("d"), &Position::Start))
                        .await
                        .unwrap()
                        .objects
                        .len()
                        == 1
                }
                RequestKind::Head => in_time(bucket.head("d/f")).await.unwrap() == object,
                _ => {
                    in_time(bucket.download(&object.id, object.size, 0..7).next())
                        .await
                        .unwrap()
                        .unwrap()
                        == "content"
                }
            }
        };
        let cure = async {
            environment.wait_for_stats(|stats| stats.s3_requests() > 0).await;
            tokio::time::sleep((2 * SECOND).saturating_sub(asked.elapsed())).await;
            environment.fake_daac.set(|knobs| {
                knobs.list_latency = Duration::ZERO;
                knobs.first_byte_latency = Duration::ZERO;
                knobs.credential_life = Duration::from_secs(3600);
            });
        };
        let (is_right, ()) = futures_util::future::join(request, cure).await;
        assert!(is_right, "{what}");
        let stats = environment.fake_daac.stats();
        assert_eq!(
            (stats.s3_requests(), stats.expired + stats.denied, stats.issued),
            (2, 1, 1),
            "{what}"
        );
    };
    let kinds = [RequestKind::List, RequestKind::Head, RequestKind::Get];
    join_all(kinds.into_iter().flat_map(|kind| [check(kind, false), check(kind, true)])).await;
}

/// Credentials without a valid expiration are renewed when S3 says that they have expired.
#[tokio::test]
async fn credentials_that_expire_unexpectedly_are_renewed() {
    let environment = TestEnvironment::with_knobs(|knobs| {
        knobs.credential_life = SECOND;
        knobs.expiration = Expiration::Malformed;
    });
    environment.put("d/f", "content");
    let bucket = environment.bucket();
    in_time(bucket.head("d/f")).await.unwrap();
    for round in 2..=3 {
        tokio::time::sleep(SECOND + AT_ONCE / 4).await;
        let prefix = Prefix::new("d");
        let everyone = join_all((0..16).map(|_| bucket.page(&prefix, &Position::Start)));
        assert!(in_time(everyone).await.iter().all(Result::is_ok));
        // The answer of a HEAD has no body with a reason.
        in_time(bucket.head("d/f")).await.unwrap();
        assert_eq!(environment.fake_daac.stats().issued, round);
    }
}

/// A 403 for credentials that are less than a minute old causes no renewal.
#[tokio::test]
async fn a_forbidden_prefix_causes_no_login() {
    let environment =
        TestEnvironment::with_knobs(|knobs| knobs.unreadable = vec!["secret/".into()]);
    environment.put("secret/f", "1");
    let bucket = environment.bucket();
    let refusals = in_time(join_all((0..100).map(|_| bucket.head("secret/f")))).await;
    assert!(
        refusals
            .iter()
            .all(|refused| matches!(refused, Err(Error::Refused(Refusal::Forbidden { .. }))))
    );
    let stats = environment.fake_daac.stats();
    assert_eq!((stats.credentials, stats.logins, stats.issued, stats.heads), (2, 1, 1, 100));
}

/// An endpoint that returns the same credentials until they expire is asked a few times only, with
/// pauses, and its new credentials are used when it has them.
#[tokio::test]
async fn an_endpoint_that_repeats_its_credentials_is_asked_with_pauses() {
    let environment = TestEnvironment::with_knobs(|knobs| {
        knobs.credential_life = 4 * SECOND;
        knobs.same_credentials = true;
    });
    let (cache, started) = (environment.credentials_cache(), Instant::now());
    let first = session(&cache).await;
    let mut last = first.clone();
    while last.keys().access_key_id() == first.keys().access_key_id() {
        assert!(started.elapsed() < 20 * SECOND);
        last = session(&cache).await;
        tokio::time::sleep(LOOK / 4).await;
    }
    assert!(started.elapsed() >= 3 * SECOND);
    // Two for the first login, one when the credentials start ageing, and one after each pause of
    // at least a second.
    assert!(environment.fake_daac.stats().credentials <= 6, "{:?}", environment.fake_daac.stats());
}

/// 16 readers see no error while their credentials expire, and there are as many logins as
/// expiries, not as many as requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_readers_cost_as_many_logins_as_expiries() {
    const RUN: Duration = Duration::from_secs(7);
    let environment = TestEnvironment::with_knobs(|knobs| knobs.credential_life = 2 * SECOND);
    environment.put("d/f", fake_daac::Content::synthetic(40_000));
    let expected = environment.bytes("d/f");
    let bucket = environment.bucket();
    let object = in_time(bucket.head("d/f")).await.unwrap();
    let started = Instant::now();
    let reader = |number: u64| {
        let (bucket, object, expected) = (bucket.clone(), &object, &expected);
        async move {
            while started.elapsed() < RUN {
                let start = fastrand::u64(0..object.size - 1);
                let mut download = bucket.download(&object.id, object.size, start..object.size);
                let mut at = start as usize;
                while let Some(frame) = in_time(download.next()).await.unwrap() {
                    assert_eq!(frame, expected[at..at + frame.len()]);
                    at += frame.len();
                }
                assert_eq!(at, expected.len());
                if number.is_multiple_of(4) {
                    assert_eq!(
                        in_time(bucket.page(&Prefix::new("d"), &Position::Start))
                            .await
                            .unwrap()
                            .objects
                            .len(),
                        1
                    );
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    };
    join_all((0..16).map(reader)).await;
    let stats = environment.fake_daac.stats();
    // Ageing begins at 70 % of the life, which may be known a second too short.
    assert!((4..=12).contains(&stats.issued), "{stats:?}");
    assert_eq!(stats.authenticated, 1);
    assert!(stats.gets > 100, "each reads more than once in each life: {stats:?}");
}

/// With a wrong local clock S3 answers RequestTimeTooSkewed, and the next attempt is signed with
/// the server's time.
#[tokio::test]
async fn a_clock_that_is_hours_off_does_not_prevent_requests() {
    for shift in [-7200, 7200] {
        let environment = TestEnvironment::with_knobs(|knobs| knobs.clock_shift = shift);
        environment.put("d/f", "content");
        let filesystem = environment.filesystem();
        assert_eq!(in_time(filesystem.bytes("d/f")).await.unwrap(), b"content");
        assert!(
            environment.fake_daac.stats().unauthorized > 0,
            "no request was refused for its clock"
        );
        let before = environment.fake_daac.stats().s3_requests();
        in_time(environment.bucket().head("d/f")).await.unwrap();
        assert!(environment.fake_daac.stats().s3_requests() <= before + 2);
        assert_eq!(environment.fake_daac.stats().issued, 2);
    }
}

/// A store that does not accept the endpoint's credentials costs two logins in all, not two for
/// each request; no directory is assumed because of its refusals.
#[tokio::test]
async fn credentials_that_the_store_never_accepts_cause_two_logins() {
    let (environment, elsewhere) = (TestEnvironment::new(), TestEnvironment::new());
    let bucket = elsewhere.bucket_with_cache(environment.credentials_cache());
    let started = Instant::now();
    for _ in 0..20 {
        let error =
            environment.error_of(in_time(bucket.page(&Prefix::new("d"), &Position::Start)).await);
        assert!(matches!(error, Error::Refused(Refusal::CredentialsRejected { .. })), "{error:?}");
    }
    let found = in_time(environment.filesystem_over(bucket, "", SECOND).find("d")).await;
    assert!(matches!(found, Err(Error::Refused(_))), "a directory is assumed: {found:?}");
    // The pause after the second login is two seconds, plus or minus a quarter.
    assert!(started.elapsed() < 2 * SECOND, "{:?}", started.elapsed());
    assert_eq!(
        (environment.fake_daac.stats().issued, elsewhere.fake_daac.stats().s3_requests()),
        (2, 2)
    );
}

/// A login that takes longer than the operation that waits for it is not restarted by the next
/// operation.
#[tokio::test]
async fn a_login_outlives_the_operation_that_started_it() {
    let environment = TestEnvironment::with_knobs(|knobs| knobs.credentials_latency = SECOND / 2);
    let cache = environment.credentials_cache();
    assert!(tokio::time::timeout(SECOND / 10, cache.current()).await.is_err());
    environment.wait_for_stats(|stats| stats.issued == 1).await;
    session(&cache).await;
    assert_eq!(
        (environment.fake_daac.stats().issued, environment.fake_daac.stats().authenticated),
        (1, 1)
    );
}
