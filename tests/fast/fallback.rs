//! "`--aws-credentials` with the instance's or pod's role, per bucket falls back to Earthdata when the role is refused (...), once,
//! remembered." (issue 5, item 8)

use std::sync::Arc;

use archive::Listing;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future};
use granulefs::credentials::{CredentialStore, Source};
use granulefs::error::{Error, Refusal};
use granulefs::object::Prefix;
use granulefs::s3::{Bucket, Place, Position};

use crate::house::{BUCKET, House, soon};

/// The keys of a role that opens these buckets.
fn role(house: &House, buckets: &[&str]) -> Arc<CredentialStore> {
    let (key, secret) = house.archive.static_keys_of(buckets);
    let provider = SharedCredentialsProvider::new(Credentials::new(key, secret, None, None, "test"));
    CredentialStore::new(Source::Ambient(provider))
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

fn bucket(house: &House, role: Arc<CredentialStore>) -> Bucket {
    let place =
        Place { bucket: BUCKET.into(), region: "us-west-2".into(), endpoint_url: Some(house.archive.s3_url()), path_style: true };
    Bucket::with_fallback(place, role, Some(house.store())).unwrap()
}

/// How many requests were refused, and how many sessions handed out.
fn cost(house: &House) -> (usize, u64) {
    let refused = house.archive.log().iter().filter(|logged| logged.status == 403).count();
    (refused, house.archive.stats().issued)
}

/// One refusal, and then every request goes out with what opens the bucket.
#[tokio::test]
async fn a_role_that_is_refused_gives_way_to_earthdata_once() {
    let house = House::holding(&["a", "b"]);
    let bucket = bucket(&house, role(&house, &["another-bucket"]));
    for key in ["a", "b", "a", "b"] {
        assert_eq!(soon(bucket.head(key)).await.unwrap().size, 1);
    }
    assert_eq!(cost(&house), (1, 1));
}

/// A machine that has no role at all is no obstacle either, and is not asked for each request.
#[tokio::test]
async fn a_role_that_is_not_there_gives_way_to_earthdata() {
    let house = House::holding(&["a"]);
    let nobody = CredentialStore::new(Source::Ambient(SharedCredentialsProvider::new(Nobody)));
    let bucket = bucket(&house, nobody);
    for _ in 0..3 {
        soon(bucket.head("a")).await.unwrap();
    }
    assert_eq!(cost(&house), (0, 1));
}

/// A role that works is all that is used; where it is refused, Earthdata is asked once and, when that is refused as well, never again.
#[tokio::test]
async fn a_role_that_works_is_kept_when_earthdata_knows_no_better() {
    let house = House::holding(&["a", "closed/b"]);
    house.archive.set(|knobs| knobs.unreadable = vec!["closed/".into()]);
    let bucket = bucket(&house, role(&house, &[BUCKET]));
    soon(bucket.head("a")).await.unwrap();
    assert_eq!(cost(&house), (0, 0));
    for refused in [2, 3, 4] {
        let error = house.error_of(soon(bucket.head("closed/b")).await);
        assert!(matches!(error, Error::Refused(Refusal::Forbidden { .. })), "{error}");
        assert_eq!(cost(&house), (refused, 1));
    }
    soon(bucket.head("a")).await.unwrap();
    assert_eq!(cost(&house), (4, 1));
}

/// What both may not do says nothing about what one of them may.
#[tokio::test]
async fn a_refusal_of_both_settles_nothing() {
    let house = House::holding(&["a"]);
    house.archive.set(|knobs| knobs.listing = Listing::Denied);
    let bucket = bucket(&house, role(&house, &["another-bucket"]));
    house.error_of(soon(bucket.page(&Prefix::new(""), &Position::Start)).await);
    soon(bucket.head("a")).await.unwrap();
    assert_eq!(cost(&house), (3, 1));
    soon(bucket.head("a")).await.unwrap();
    assert_eq!(cost(&house), (3, 1));
}
