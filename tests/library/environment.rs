//! The test environment: a fake DAAC with one bucket, and the library's types connected to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fake_daac::{Content, Daac, FakeDaac, Family, Knobs, Object, RequestKind, Setup, Stats};
use granulefs::credentials::{CredentialsCache, Provider};
use granulefs::error::Error;
use granulefs::filesystem::{CacheSettings, Filesystem, OwnerAndModes};
use granulefs::login::{Identity, Login, Password, Token};
use granulefs::object::Prefix;
use granulefs::s3::{Bucket, BucketLocation};

use crate::path_filesystem::PathFilesystem;

pub(crate) const BUCKET: &str = "granules";
const DAAC: &str = "PODAAC";
const METADATA_MEMORY: usize = 64 << 20;
pub(crate) const FAMILIES: [Family; 2] = [Family::Cumulus, Family::Tea];

/// The identity with which a test logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TestIdentity {
    Token,
    Password,
    Both,
    WrongPassword,
    /// The right password, and a token that is malformed.
    BadTokenAndPassword,
}

#[derive(Debug)]
pub(crate) struct TestEnvironment {
    pub(crate) fake_daac: FakeDaac,
}

impl TestEnvironment {
    pub(crate) fn new() -> Self {
        Self::with_family(Family::Cumulus, |_| {})
    }

    pub(crate) fn with_knobs(change: impl FnOnce(&mut Knobs)) -> Self {
        Self::with_family(Family::Cumulus, change)
    }

    pub(crate) fn with_family(family: Family, change: impl FnOnce(&mut Knobs)) -> Self {
        let mut setup = Setup {
            daacs: vec![Daac { name: DAAC.into(), family, buckets: vec![BUCKET.into()] }],
            threads: 1,
            ..Setup::default()
        };
        change(&mut setup.knobs);
        Self { fake_daac: FakeDaac::start(setup).unwrap() }
    }

    /// Returns an environment whose bucket has these keys; the content of each object is its key.
    pub(crate) fn with_objects(keys: &[&str]) -> Self {
        let environment = Self::new();
        for key in keys {
            environment.put(key, key.as_bytes().to_vec());
        }
        environment
    }

    pub(crate) fn put(&self, key: &str, content: impl Into<Content>) {
        self.fake_daac.put(BUCKET, key, content);
    }

    pub(crate) fn delete(&self, key: &str) {
        self.fake_daac.delete(BUCKET, key);
    }

    pub(crate) fn expected(&self, key: &str) -> Object {
        self.fake_daac.expected(BUCKET, key).unwrap()
    }

    /// Returns all bytes that a reader of `key` must get.
    pub(crate) fn bytes(&self, key: &str) -> Vec<u8> {
        let object = self.expected(key);
        object.read(0..object.size).unwrap().to_vec()
    }

    /// Waits until `condition` holds for the fake DAAC's counts, without blocking the thread.
    pub(crate) async fn wait_for_stats(&self, condition: impl Fn(&Stats) -> bool) {
        in_time(async {
            while !condition(&self.fake_daac.stats()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Returns how many GETs there were and how many bytes were sent for them. A hedged GET, which
    /// has the same range, counts once.
    ///
    /// # Panics
    /// When more were hedged than 3 % and 4 more.
    pub(crate) fn unhedged_gets(&self) -> (u64, u64) {
        let mut gets: HashMap<_, u64> = HashMap::new();
        let log = self.fake_daac.log().into_iter();
        let log: Vec<_> = log.filter(|request| request.kind == RequestKind::Get).collect();
        for get in &log {
            let sent = gets.entry((&get.key, &get.range)).or_default();
            *sent = get.sent.max(*sent);
        }
        let (all, different) = (log.len(), gets.len());
        assert!(all <= different * 103 / 100 + 4, "{all} GETs, {different} different ones");
        (different as u64, gets.values().sum())
    }

    pub(crate) fn endpoint(&self) -> String {
        self.fake_daac.credentials_url(DAAC)
    }

    pub(crate) fn identity(&self, identity: TestIdentity) -> Identity {
        let token = match identity {
            TestIdentity::Token | TestIdentity::Both => Some(self.fake_daac.token()),
            TestIdentity::BadTokenAndPassword => Some("no-token"),
            TestIdentity::Password | TestIdentity::WrongPassword => None,
        };
        let password = match identity {
            TestIdentity::Token => None,
            TestIdentity::WrongPassword => Some("guess"),
            _ => Some(self.fake_daac.password()),
        };
        let user = self.fake_daac.user();
        let token =
            token.map(|token| Token { secret: token.into(), origin: "EARTHDATA_TOKEN".into() });
        let password = password.map(|password| Password {
            user: user.into(),
            secret: password.into(),
            origin: "~/.netrc".into(),
        });
        Identity::new(token, password)
    }

    pub(crate) fn login(&self, identity: TestIdentity) -> Login {
        Login::new(&self.endpoint(), &self.fake_daac.login_host(), self.identity(identity)).unwrap()
    }

    pub(crate) fn credentials_cache(&self) -> Arc<CredentialsCache> {
        CredentialsCache::new(Provider::Earthdata(Box::new(self.login(TestIdentity::Password))))
    }

    pub(crate) fn bucket(&self) -> Bucket {
        self.bucket_with_cache(self.credentials_cache())
    }

    pub(crate) fn bucket_with_cache(&self, cache: Arc<CredentialsCache>) -> Bucket {
        let location = BucketLocation {
            bucket: BUCKET.into(),
            region: "us-west-2".into(),
            endpoint_url: Some(self.fake_daac.s3_url()),
            path_style: true,
        };
        Bucket::new(location, cache).unwrap()
    }

    /// Returns a filesystem over the whole bucket that caches names for an hour.
    pub(crate) fn filesystem(&self) -> PathFilesystem {
        self.filesystem_at("", Duration::from_secs(3600))
    }

    pub(crate) fn filesystem_at(&self, prefix: &str, metadata_ttl: Duration) -> PathFilesystem {
        self.filesystem_over(self.bucket(), prefix, metadata_ttl)
    }

    pub(crate) fn filesystem_over(
        &self,
        bucket: Bucket,
        prefix: &str,
        metadata_ttl: Duration,
    ) -> PathFilesystem {
        Self::filesystem_with_limits(
            bucket,
            prefix,
            CacheSettings { metadata_ttl, cache_size: 64 << 20, metadata_memory: METADATA_MEMORY },
        )
    }

    /// Returns a filesystem over the whole bucket with a cache of `cache_size` bytes.
    pub(crate) fn filesystem_with_cache(&self, cache_size: usize) -> PathFilesystem {
        Self::filesystem_with_limits(
            self.bucket(),
            "",
            CacheSettings {
                metadata_ttl: Duration::from_secs(3600),
                cache_size,
                metadata_memory: METADATA_MEMORY,
            },
        )
    }

    /// Returns a filesystem over the whole bucket whose names take `metadata_memory` bytes.
    pub(crate) fn filesystem_with_metadata(
        &self,
        metadata_memory: usize,
        metadata_ttl: Duration,
    ) -> PathFilesystem {
        let limits = CacheSettings { metadata_ttl, cache_size: 64 << 20, metadata_memory };
        Self::filesystem_with_limits(self.bucket(), "", limits)
    }

    fn filesystem_with_limits(
        bucket: Bucket,
        prefix: &str,
        limits: CacheSettings,
    ) -> PathFilesystem {
        let owner_and_modes = OwnerAndModes { uid: 7, gid: 8, file_mode: 0o444, dir_mode: 0o555 };
        PathFilesystem::new(Filesystem::new(bucket, Prefix::new(prefix), owner_and_modes, limits))
    }

    /// Fails when `text` contains any secret of the fake DAAC.
    pub(crate) fn assert_hides_secrets(&self, text: &str) {
        for secret in self.fake_daac.secrets() {
            assert!(!text.contains(&secret), "a secret ({} bytes) is in: {text}", secret.len());
        }
    }

    /// Returns the error of an operation that must fail, after checking that neither its message
    /// nor its `Debug` form contains a secret.
    pub(crate) fn error_of<T>(&self, outcome: Result<T, Error>) -> Error {
        let Err(error) = outcome else { panic!("it should have failed") };
        self.assert_hides_secrets(&format!("{error} {error:?}"));
        error
    }
}

/// Waits for a future, and fails when it takes longer than two minutes: on a machine that does
/// other work, only what hangs does.
pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    within(Duration::from_secs(120), work).await
}

pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| panic!("not done within {limit:?}"))
}
