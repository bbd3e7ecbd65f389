//! The swap: issue 2, item 2. Credentials are fresh, ageing or expired.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fake_daac::{Expiration, Kind};
use futures_util::future::join_all;
use granulefs::credentials::{CachedCredentials, CredentialsCache};
use granulefs::error::{Error, Refusal};
use granulefs::object::Prefix;
use granulefs::s3::Position;

use crate::environment::{TestEnvironment, soon, within};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than any answer that waits for nothing takes on a busy machine, and much shorter than a
/// slow renewal.
const AT_ONCE: Duration = Duration::from_millis(400);
const LOOK: Duration = Duration::from_millis(20);

async fn session(store: &Arc<CredentialsCache>) -> Arc<CachedCredentials> {
    soon(store.current()).await.unwrap()
}

/// Fresh credentials are used as they are.
#[tokio::test]
async fn fresh_credentials_are_asked_for_once_by_everyone_together() {
    let environment = TestEnvironment::new();
    let store = environment.store();
    let keys = join_all((0..50).map(|_| session(&store))).await;
    assert!(keys.iter().all(|one| one.keys().access_key_id() == keys[0].keys().access_key_id()));
    session(&store).await;
    assert_eq!(
        (environment.archive.stats().issued, environment.archive.stats().authenticated),
        (1, 1)
    );
}

/// While they age, one background renewal runs and nobody waits; the next request uses what it
/// brought.
#[tokio::test]
async fn while_credentials_age_one_renewal_runs_and_nobody_waits() {
    let environment = TestEnvironment::with(|knobs| knobs.credential_life = 5 * SECOND);
    let store = environment.store();
    let first = session(&store).await;
    let life = first.life().unwrap();
    environment.archive.reset_stats();
    environment.archive.set(|knobs| {
        knobs.credentials_latency = Duration::from_millis(600);
        knobs.credential_life = Duration::from_secs(3600);
    });
    let started = Instant::now();
    let mut last = first.clone();
    while last.keys().access_key_id() == first.keys().access_key_id() {
        assert!(started.elapsed() < 10 * SECOND, "never renewed");
        let everyone = join_all((0..32).map(|_| store.current()));
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
        (environment.archive.stats().credentials, environment.archive.stats().logins),
        (1, 0)
    );
}

/// When the renewal fails the old ones are used as long as they live; dead, and Earthdata down: who
/// asks waits, and the mount recovers by itself.
#[tokio::test]
async fn a_failing_renewal_costs_nothing_until_death_and_waits_for_earthdata_after_it() {
    let environment = TestEnvironment::with(|knobs| knobs.credential_life = 4 * SECOND);
    let store = environment.store();
    let asked = Instant::now();
    let first = session(&store).await;
    let life = first.life().unwrap();
    environment.archive.set(|knobs| knobs.daac_down = true);
    while asked.elapsed() + SECOND / 10 < life {
        let now = within(AT_ONCE, store.current()).await.unwrap();
        assert_eq!(now.keys().access_key_id(), first.keys().access_key_id());
        assert!(store.timeout_cause().is_none(), "they still work");
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep((life + SECOND / 10).saturating_sub(asked.elapsed())).await;
    assert!(
        tokio::time::timeout(SECOND / 2, store.current()).await.is_err(),
        "dead credentials were handed out"
    );
    let timeout_cause = environment.error_of(Err::<(), _>(store.timeout_cause().unwrap()));
    let Error::Refused(Refusal::NoCredentials { endpoint, .. }) = &timeout_cause else {
        panic!("{timeout_cause:?}")
    };
    assert_eq!(**endpoint, environment.endpoint());
    environment.archive.set(|knobs| knobs.daac_down = false);
    assert_ne!(session(&store).await.keys().access_key_id(), first.keys().access_key_id());
    assert!(store.timeout_cause().is_none());
}

/// A request that S3 refuses as expired renews once and is replayed inside the same operation,
/// whatever the store's words for it.
#[tokio::test]
async fn a_request_that_outlives_its_credentials_is_replayed() {
    let check = |kind: Kind, is_denied: bool| async move {
        let what = format!("{kind:?}, denied: {is_denied}");
        let environment = TestEnvironment::with(|knobs| {
            knobs.credential_life = 2 * SECOND;
            knobs.expired_is_denied = is_denied;
        });
        environment.put("d/f", "content");
        let (store, asked) = (environment.store(), Instant::now());
        let bucket = environment.bucket_of(store.clone());
        let object = soon(bucket.head("d/f")).await.unwrap();
        // Too slow for its credentials: it is signed while they live and looked at when they are
        // dead.
        environment.archive.set(|knobs| {
            knobs.list_latency = Duration::from_millis(2100);
            knobs.first_byte_latency = knobs.list_latency;
        });
        environment.archive.reset_stats();
        let request = async {
            match kind {
                Kind::List => {
                    soon(bucket.page(&Prefix::new("d"), &Position::Start))
                        .await
                        .unwrap()
                        .objects
                        .len()
                        == 1
                }
                Kind::Head => soon(bucket.head("d/f")).await.unwrap() == object,
                _ => {
                    soon(bucket.download(&object.id, 0..7).next()).await.unwrap().unwrap()
                        == "content"
                }
            }
        };
        let cure = async {
            environment.counts(|stats| stats.s3_requests() > 0).await;
            tokio::time::sleep((2 * SECOND).saturating_sub(asked.elapsed())).await;
            environment.archive.set(|knobs| {
                knobs.list_latency = Duration::ZERO;
                knobs.first_byte_latency = Duration::ZERO;
                knobs.credential_life = Duration::from_secs(3600);
            });
        };
        let (is_right, ()) = futures_util::future::join(request, cure).await;
        assert!(is_right, "{what}");
        let stats = environment.archive.stats();
        assert_eq!(
            (stats.s3_requests(), stats.expired + stats.denied, stats.issued),
            (2, 1, 1),
            "{what}"
        );
    };
    let kinds = [Kind::List, Kind::Head, Kind::Get];
    join_all(kinds.into_iter().flat_map(|kind| [check(kind, false), check(kind, true)])).await;
}

/// The endpoint's word on their life is not needed: S3 says that they are dead, and they are
/// renewed at once.
#[tokio::test]
async fn credentials_that_die_before_their_time_are_renewed() {
    let environment = TestEnvironment::with(|knobs| {
        knobs.credential_life = SECOND;
        knobs.expiration = Expiration::Garbage;
    });
    environment.put("d/f", "content");
    let bucket = environment.bucket();
    soon(bucket.head("d/f")).await.unwrap();
    for round in 2..=3 {
        tokio::time::sleep(SECOND + AT_ONCE / 4).await;
        let prefix = Prefix::new("d");
        let everyone = join_all((0..16).map(|_| bucket.page(&prefix, &Position::Start)));
        assert!(soon(everyone).await.iter().all(Result::is_ok));
        // HEAD has no body to say why it is refused.
        soon(bucket.head("d/f")).await.unwrap();
        assert_eq!(environment.archive.stats().issued, round);
    }
}

/// A 403 to credentials less than a minute old is believed: no storm of logins.
#[tokio::test]
async fn a_forbidden_prefix_causes_no_login() {
    let environment = TestEnvironment::with(|knobs| knobs.unreadable = vec!["secret/".into()]);
    environment.put("secret/f", "1");
    let bucket = environment.bucket();
    let refusals = soon(join_all((0..100).map(|_| bucket.head("secret/f")))).await;
    assert!(
        refusals
            .iter()
            .all(|refused| matches!(refused, Err(Error::Refused(Refusal::Forbidden { .. }))))
    );
    let stats = environment.archive.stats();
    assert_eq!((stats.credentials, stats.logins, stats.issued, stats.heads), (2, 1, 1, 100));
}

/// An endpoint that caches its answer is asked a few times, not all the time, and serves again when
/// it has a new one.
#[tokio::test]
async fn an_endpoint_that_repeats_itself_is_not_hammered() {
    let environment = TestEnvironment::with(|knobs| {
        knobs.credential_life = 4 * SECOND;
        knobs.same_credentials = true;
    });
    let (store, started) = (environment.store(), Instant::now());
    let first = session(&store).await;
    let mut last = first.clone();
    while last.keys().access_key_id() == first.keys().access_key_id() {
        assert!(started.elapsed() < 20 * SECOND);
        last = session(&store).await;
        tokio::time::sleep(LOOK / 4).await;
    }
    assert!(started.elapsed() >= 3 * SECOND);
    // The conversation of the first, then one at ageing and one for each pause of a second and
    // more.
    assert!(environment.archive.stats().credentials <= 6, "{:?}", environment.archive.stats());
}

/// "Done when": a reader that runs through expiries with 16 threads sees no error; logins are as
/// many as expiries, not as many as requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_readers_through_expiries_cost_as_many_logins_as_expiries() {
    const RUN: Duration = Duration::from_secs(7);
    let environment = TestEnvironment::with(|knobs| knobs.credential_life = 2 * SECOND);
    environment.put("d/f", fake_daac::Content::synthetic(40_000));
    let right = environment.bytes("d/f");
    let bucket = environment.bucket();
    let object = soon(bucket.head("d/f")).await.unwrap();
    let started = Instant::now();
    let reader = |number: u64| {
        let (bucket, object, right) = (bucket.clone(), &object, &right);
        async move {
            while started.elapsed() < RUN {
                let start = fastrand::u64(0..object.size - 1);
                let mut download = bucket.download(&object.id, start..object.size);
                let mut at = start as usize;
                while let Some(frame) = soon(download.next()).await.unwrap() {
                    assert_eq!(frame, right[at..at + frame.len()]);
                    at += frame.len();
                }
                assert_eq!(at, right.len());
                if number.is_multiple_of(4) {
                    assert_eq!(
                        soon(bucket.page(&Prefix::new("d"), &Position::Start))
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
    let stats = environment.archive.stats();
    // Ageing begins at 70 % of a life that may be told a second short.
    assert!((4..=12).contains(&stats.issued), "{stats:?}");
    assert_eq!(stats.authenticated, 1);
    assert!(stats.gets > 200);
}

/// A wrong local clock does not break it: S3 says RequestTimeTooSkewed, and the next try is signed
/// by its clock.
#[tokio::test]
async fn a_clock_that_is_hours_off_is_overcome() {
    for shift in [-7200, 7200] {
        let environment = TestEnvironment::with(|knobs| knobs.clock_shift = shift);
        environment.put("d/f", "content");
        let tree = environment.tree();
        assert_eq!(soon(tree.bytes("d/f")).await.unwrap(), b"content");
        assert!(environment.archive.stats().unauthorized > 0, "the clock was right");
        let before = environment.archive.stats().s3_requests();
        soon(environment.bucket().head("d/f")).await.unwrap();
        assert!(environment.archive.stats().s3_requests() <= before + 2);
        assert_eq!(environment.archive.stats().issued, 2);
    }
}

/// A store that does not know what the endpoint hands out costs two logins and not two for each
/// request; and it forbids no name.
#[tokio::test]
async fn credentials_that_the_store_never_accepts_cause_no_storm_of_logins() {
    let (environment, elsewhere) = (TestEnvironment::new(), TestEnvironment::new());
    let bucket = elsewhere.bucket_of(environment.store());
    let started = Instant::now();
    for _ in 0..20 {
        let error =
            environment.error_of(soon(bucket.page(&Prefix::new("d"), &Position::Start)).await);
        assert!(matches!(error, Error::Refused(Refusal::CredentialsRejected { .. })), "{error:?}");
    }
    let found = soon(environment.tree_of(bucket, "", SECOND).find("d")).await;
    assert!(matches!(found, Err(Error::Refused(_))), "a directory is assumed: {found:?}");
    // The pause after the second is two seconds, give or take a quarter.
    assert!(started.elapsed() < 2 * SECOND, "{:?}", started.elapsed());
    assert_eq!(
        (environment.archive.stats().issued, elsewhere.archive.stats().s3_requests()),
        (2, 2)
    );
}

/// A login that takes longer than the operation that waits for it is not started over by the next
/// one.
#[tokio::test]
async fn a_login_outlives_the_operation_that_needed_it() {
    let environment = TestEnvironment::with(|knobs| knobs.credentials_latency = SECOND / 2);
    let store = environment.store();
    assert!(tokio::time::timeout(SECOND / 10, store.current()).await.is_err());
    environment.counts(|stats| stats.issued == 1).await;
    session(&store).await;
    assert_eq!(
        (environment.archive.stats().issued, environment.archive.stats().authenticated),
        (1, 1)
    );
}
