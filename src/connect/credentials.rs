//! The credentials for the buckets of one source.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::notes::SlowLogin;
use super::settings::{EarthdataSettings, Settings};
use crate::credentials::{CachedCredentials, CredentialsCache, Provider};
use crate::error::{Error, Refusal};
use crate::login::{IdentitySource, Login, SharedIdentity};
use crate::s3;

/// A login takes longer than usual after this time: all tries of one that is refused a connection
/// take less.
const USUAL: Duration = Duration::from_secs(6);

/// One login for each endpoint, one identity for all of them, and one set of the environment's
/// credentials.
pub(super) struct Logins<'a> {
    earthdata: &'a EarthdataSettings,
    /// `None`: no login needed one yet.
    identity: Option<Result<Arc<SharedIdentity>, Error>>,
    environment: Option<Arc<CredentialsCache>>,
    by_endpoint: BTreeMap<String, Result<Arc<CredentialsCache>, Error>>,
}

impl<'a> Logins<'a> {
    pub(super) async fn new(settings: &'a Settings) -> Self {
        let environment = match settings.s3.prefer_environment {
            true => Some(CredentialsCache::new(Provider::environment().await)),
            false => None,
        };
        let fixed = settings.earthdata.identity.clone();
        let identity = fixed.map(|identity| Ok(Arc::new(identity.into())));
        let earthdata = &settings.earthdata;
        Self { earthdata, identity, environment, by_endpoint: BTreeMap::new() }
    }

    /// The credentials for a bucket of `endpoint`: Earthdata's, or the environment's with
    /// Earthdata's to fall back on.
    ///
    /// # Errors
    /// Where Earthdata's are the only ones, and cannot be asked for: why there is no endpoint,
    /// [`Refusal::NoIdentity`], or those of [`Login::new`].
    pub(super) fn credentials(
        &mut self,
        endpoint: Result<&str, Error>,
    ) -> Result<BucketCredentials, Error> {
        let login = endpoint.and_then(|endpoint| self.at(endpoint));
        match &self.environment {
            Some(environment) => {
                Ok(BucketCredentials { first: environment.clone(), fallback: Some(login) })
            }
            None => Ok(BucketCredentials { first: login?, fallback: None }),
        }
    }

    fn at(&mut self, endpoint: &str) -> Result<Arc<CredentialsCache>, Error> {
        if let Some(known) = self.by_endpoint.get(endpoint) {
            return known.clone();
        }
        let host = &self.earthdata.login_host;
        let read = || {
            let source = IdentitySource::new(host, self.earthdata.token_file.as_deref());
            SharedIdentity::read(source).map(Arc::new)
        };
        let identity = self.identity.get_or_insert_with(read).clone();
        let login = identity.and_then(|identity| Login::new(endpoint, host, identity));
        let cache = login.map(|login| CredentialsCache::new(Provider::Earthdata(Box::new(login))));
        self.by_endpoint.entry(endpoint.to_owned()).or_insert(cache).clone()
    }
}

/// One or two kinds of credentials for the same bucket.
#[derive(Clone, Debug)]
pub(super) struct BucketCredentials {
    first: Arc<CredentialsCache>,
    /// Or the reason for which there are none. `None`: there should be none.
    fallback: Option<Result<Arc<CredentialsCache>, Error>>,
}

/// The first credentials that were handed out for a bucket.
#[derive(Clone, Debug)]
pub struct FirstCredentials {
    /// The credentials, as the cache has them.
    pub credentials: Arc<CachedCredentials>,
    /// Whether they are Earthdata's where the environment's were preferred.
    pub is_fallback: bool,
}

impl BucketCredentials {
    /// The first credentials that can be had.
    pub(super) async fn first(
        &self,
        when_slow: impl Fn(SlowLogin),
    ) -> Result<FirstCredentials, Error> {
        let (outcome, is_fallback) = match first_of(&self.first, &when_slow).await {
            Err(Error::Refused(refusal)) => (self.instead(refusal, &when_slow).await, true),
            outcome => (outcome, false),
        };
        outcome.map(|credentials| FirstCredentials { credentials, is_fallback })
    }

    /// The fallback's credentials, where the first gave `refusal` and none.
    async fn instead(
        &self,
        refusal: Refusal,
        when_slow: impl Fn(SlowLogin),
    ) -> Result<Arc<CachedCredentials>, Error> {
        let (outcome, name) = match &self.fallback {
            Some(Ok(fallback)) => (first_of(fallback, when_slow).await, fallback.name()),
            Some(Err(reason)) => (Err(reason.clone()), "Earthdata"),
            None => return Err(refusal.into()),
        };
        outcome.map_err(|too| refusal.and(self.first.name(), &too, name).into())
    }

    /// The URL of the endpoint that Earthdata's are asked from, or why they cannot be.
    pub(super) fn login_endpoint(&self) -> Result<&str, Error> {
        let login = match &self.fallback {
            Some(fallback) => fallback.as_ref().map_err(Error::clone)?,
            None => &self.first,
        };
        Ok(login.name())
    }

    /// The bucket that they open.
    pub(super) fn bucket(self, location: s3::BucketLocation) -> Result<s3::Bucket, Error> {
        s3::Bucket::with_fallback(location, self.first, self.fallback)
    }
}

/// The first credentials of `cache`. Calls `when_slow` when that takes long, and goes on waiting.
async fn first_of(
    cache: &Arc<CredentialsCache>,
    when_slow: impl Fn(SlowLogin),
) -> Result<Arc<CachedCredentials>, Error> {
    let notice = async {
        tokio::time::sleep(USUAL).await;
        if let Some(Error::Refused(Refusal::NoCredentials { endpoint, cause })) =
            cache.timeout_cause()
        {
            when_slow(SlowLogin { endpoint, cause });
        }
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        first = cache.first() => first,
        never = notice => match never {},
    }
}
