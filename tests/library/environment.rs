//! What every test stands on: a local archive of one bucket, and the rooms of granulefs on top of
//! it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use fake_daac::{Content, Daac, FakeDaac, Family, Knobs, Object, Setup, Stats};
use granulefs::credentials::{CredentialsCache, Provider};
use granulefs::error::Error;
use granulefs::filesystem::{Filesystem, Limits, OwnerAndModes};
use granulefs::login::{Identity, Login, Password, Token};
use granulefs::object::Prefix;
use granulefs::s3::{Bucket, BucketLocation};

use crate::tree::Tree;

pub(crate) const BUCKET: &str = "granules";
const DAAC: &str = "PODAAC";
pub(crate) const FAMILIES: [Family; 2] = [Family::Cumulus, Family::Tea];

/// What the user shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    Token,
    Password,
    Both,
    WrongPassword,
    /// Nothing that reads like a token, beside the password.
    BadTokenAndPassword,
}

#[derive(Debug)]
pub(crate) struct TestEnvironment {
    pub(crate) archive: FakeDaac,
}

impl TestEnvironment {
    pub(crate) fn new() -> Self {
        Self::of(Family::Cumulus, |_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Knobs)) -> Self {
        Self::of(Family::Cumulus, change)
    }

    pub(crate) fn of(family: Family, change: impl FnOnce(&mut Knobs)) -> Self {
        let mut setup = Setup {
            daacs: vec![Daac { name: DAAC.into(), family, buckets: vec![BUCKET.into()] }],
            threads: 1,
            ..Setup::default()
        };
        change(&mut setup.knobs);
        let environment = Self { archive: FakeDaac::start(setup).unwrap() };
        // An empty bucket is a bucket.
        environment.put("one", "1");
        environment.delete("one");
        environment
    }

    /// A environment whose bucket holds `keys`; the content of each is its key.
    pub(crate) fn holding(keys: &[&str]) -> Self {
        let environment = Self::new();
        for key in keys {
            environment.put(key, key.as_bytes().to_vec());
        }
        environment
    }

    pub(crate) fn put(&self, key: &str, content: impl Into<Content>) {
        self.archive.put(BUCKET, key, content);
    }

    pub(crate) fn delete(&self, key: &str) {
        self.archive.delete(BUCKET, key);
    }

    pub(crate) fn expected(&self, key: &str) -> Object {
        self.archive.expected(BUCKET, key).unwrap()
    }

    /// All bytes that `key` must have.
    pub(crate) fn bytes(&self, key: &str) -> Vec<u8> {
        let object = self.expected(key);
        object.read(0..object.size).unwrap().to_vec()
    }

    /// Waits until the archive's counts fulfil a condition, without holding up the thread.
    pub(crate) async fn counts(&self, condition: impl Fn(&Stats) -> bool) {
        soon(async {
            while !condition(&self.archive.stats()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    pub(crate) fn endpoint(&self) -> String {
        self.archive.credentials_url(DAAC)
    }

    pub(crate) fn identity(&self, shows: Shows) -> Identity {
        let token = match shows {
            Shows::Token | Shows::Both => Some(self.archive.token()),
            Shows::BadTokenAndPassword => Some("no-token"),
            Shows::Password | Shows::WrongPassword => None,
        };
        let password = match shows {
            Shows::Token => None,
            Shows::WrongPassword => Some("guess"),
            _ => Some(self.archive.password()),
        };
        let user = self.archive.user();
        let token =
            token.map(|token| Token { secret: token.into(), origin: "EARTHDATA_TOKEN".into() });
        let password = password.map(|password| Password {
            user: user.into(),
            secret: password.into(),
            origin: "~/.netrc".into(),
        });
        Identity::new(token, password)
    }

    pub(crate) fn login(&self, shows: Shows) -> Login {
        Login::new(&self.endpoint(), &self.archive.edl_host(), self.identity(shows)).unwrap()
    }

    pub(crate) fn store(&self) -> Arc<CredentialsCache> {
        CredentialsCache::new(Provider::Earthdata(Box::new(self.login(Shows::Password))))
    }

    pub(crate) fn bucket(&self) -> Bucket {
        self.bucket_of(self.store())
    }

    pub(crate) fn bucket_of(&self, store: Arc<CredentialsCache>) -> Bucket {
        let place = BucketLocation {
            bucket: BUCKET.into(),
            region: "us-west-2".into(),
            endpoint_url: Some(self.archive.s3_url()),
            path_style: true,
        };
        Bucket::new(place, store).unwrap()
    }

    /// The whole bucket, names believed for an hour.
    pub(crate) fn tree(&self) -> Tree {
        self.tree_at("", Duration::from_secs(3600))
    }

    pub(crate) fn tree_at(&self, prefix: &str, metadata_ttl: Duration) -> Tree {
        self.tree_of(self.bucket(), prefix, metadata_ttl)
    }

    pub(crate) fn tree_of(&self, bucket: Bucket, prefix: &str, metadata_ttl: Duration) -> Tree {
        Self::tree_within(bucket, prefix, Limits { metadata_ttl, cache_size: 64 << 20 })
    }

    /// The whole bucket, with so many bytes of cache.
    pub(crate) fn tree_caching(&self, cache_size: usize) -> Tree {
        Self::tree_within(
            self.bucket(),
            "",
            Limits { metadata_ttl: Duration::from_secs(3600), cache_size },
        )
    }

    fn tree_within(bucket: Bucket, prefix: &str, limits: Limits) -> Tree {
        let appearance = OwnerAndModes { uid: 7, gid: 8, file_mode: 0o444, dir_mode: 0o555 };
        Tree::new(Filesystem::new(bucket, Prefix::new(prefix), appearance, limits))
    }

    /// Fails when `text` holds any secret that there is.
    pub(crate) fn assert_hides_secrets(&self, text: &str) {
        let mut secrets = self.archive.secrets();
        secrets.push(BASE64.encode(format!("{}:{}", self.archive.user(), self.archive.password())));
        for secret in secrets {
            assert!(!text.contains(&secret), "a secret ({} bytes) is in: {text}", secret.len());
        }
    }

    /// The error of an operation that must fail, after a look for secrets in its words and in its
    /// `Debug` form.
    pub(crate) fn error_of<T>(&self, outcome: Result<T, Error>) -> Error {
        let Err(error) = outcome else { panic!("it should have failed") };
        self.assert_hides_secrets(&format!("{error} {error:?}"));
        error
    }
}

/// Waits for what must come, but not for ever.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    within(Duration::from_secs(40), work).await
}

pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| panic!("not done within {limit:?}"))
}
