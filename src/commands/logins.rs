//! The credentials for the buckets of one source.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::{ResolvedBucket, ResolvedSource, daac};
use crate::cli::{EarthdataArgs, StoreArgs};
use crate::credentials::{CachedCredentials, CredentialsCache, Provider};
use crate::error::{Error, Refusal};
use crate::login::{Identity, Login};

/// The logins of a source: one for each endpoint, and one identity for all of them, which is looked
/// for when it is needed first.
pub(super) struct Logins<'a> {
    resolved: &'a ResolvedSource,
    earthdata: &'a EarthdataArgs,
    store: &'a StoreArgs,
    identity: Option<Result<Arc<Identity>, Error>>,
    ambient: Option<Arc<CredentialsCache>>,
    by_endpoint: BTreeMap<String, Result<Arc<CredentialsCache>, Error>>,
}

impl<'a> Logins<'a> {
    pub(super) fn new(
        resolved: &'a ResolvedSource,
        earthdata: &'a EarthdataArgs,
        store: &'a StoreArgs,
    ) -> Self {
        Self {
            resolved,
            earthdata,
            store,
            identity: None,
            ambient: None,
            by_endpoint: BTreeMap::new(),
        }
    }

    /// The credentials for `place`, one of the source's: Earthdata's, or the environment's with
    /// Earthdata's to fall back on.
    ///
    /// # Errors
    /// [`Error::Usage`] and [`crate::error::Refusal::NoIdentity`] where Earthdata's are the only
    /// ones, and cannot be asked for.
    pub(super) async fn credentials(
        &mut self,
        place: &ResolvedBucket,
    ) -> Result<Credentials, Error> {
        let login = self.at_endpoint_of(place);
        if !self.store.aws_credentials {
            return Ok(Credentials { first: login?, fallback: None });
        }
        let first = match &self.ambient {
            Some(ambient) => ambient.clone(),
            None => {
                self.ambient.insert(CredentialsCache::new(Provider::environment().await)).clone()
            }
        };
        Ok(Credentials { first, fallback: Some(login) })
    }

    fn at_endpoint_of(&mut self, place: &ResolvedBucket) -> Result<Arc<CredentialsCache>, Error> {
        let endpoint = endpoint(place, self.resolved, self.earthdata)?;
        if let Some(known) = self.by_endpoint.get(endpoint) {
            return known.clone();
        }
        let host = &self.earthdata.earthdata_host;
        let identity =
            self.identity.get_or_insert_with(|| Identity::find(host).map(Arc::new)).clone();
        let login = identity.and_then(|identity| Login::new(endpoint, host, identity));
        let store = login.map(|login| CredentialsCache::new(Provider::Earthdata(Box::new(login))));
        self.by_endpoint.entry(endpoint.to_owned()).or_insert(store).clone()
    }
}

/// The endpoint of `place`, one of `all`.
fn endpoint<'a>(
    place: &'a ResolvedBucket,
    all: &ResolvedSource,
    earthdata: &'a EarthdataArgs,
) -> Result<&'a str, Error> {
    earthdata.endpoint(place, all).ok_or_else(|| {
        let bucket = &place.location.bucket;
        Error::usage(match &place.catalog_endpoint {
            None if daac::name_of(bucket).is_some() => {
                format!("{bucket}/ is a bucket that no table knows; without the slash, {bucket} is every bucket there")
            }
            None => format!(
                "which data center has the bucket {bucket}? Name its URL with --credentials-endpoint; `granulefs buckets` lists those \
                 that are known"
            ),
            Some(told) => format!(
                "CMR names {:?} as the endpoint for the bucket {bucket}, which is neither in the table of buckets nor an https URL of \
                 nasa.gov: nothing was sent there. If it is right, name it with --credentials-endpoint",
                told.url()
            ),
        })
    })
}

/// The login at the endpoint of `place`, one of `all`.
pub(super) fn login(
    place: &ResolvedBucket,
    all: &ResolvedSource,
    earthdata: &EarthdataArgs,
) -> Result<Login, Error> {
    let host = &earthdata.earthdata_host;
    Login::new(endpoint(place, all, earthdata)?, host, Identity::find(host)?)
}

/// One or two kinds of credentials for the same bucket.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) first: Arc<CredentialsCache>,
    /// Or the reason for which there are none.
    pub(super) fallback: Option<Result<Arc<CredentialsCache>, Error>>,
}

impl Credentials {
    /// The first session that can be had, and whether it is one to fall back on.
    pub(super) async fn first_session(&self) -> Result<(Arc<CachedCredentials>, bool), Error> {
        let refusal = match first_session(&self.first).await {
            Err(Error::Refused(refusal)) => refusal,
            outcome => return outcome.map(|session| (session, false)),
        };
        let (outcome, name) = match &self.fallback {
            Some(Ok(fallback)) => (first_session(fallback).await, fallback.name()),
            Some(Err(reason)) => (Err(reason.clone()), "Earthdata"),
            None => return Err(refusal.into()),
        };
        outcome
            .map(|session| (session, true))
            .map_err(|too| refusal.and(self.first.name(), &too, name).into())
    }
}

/// The first session of `store`, with a line in the terminal when that takes long.
pub(super) async fn first_session(
    store: &Arc<CredentialsCache>,
) -> Result<Arc<CachedCredentials>, Error> {
    /// Longer than all tries of a login take that is refused a connection.
    const LONG: Duration = Duration::from_secs(6);
    let notice = async {
        tokio::time::sleep(LONG).await;
        if let Some(Error::Refused(Refusal::NoCredentials { endpoint, cause })) =
            store.timeout_cause()
        {
            eprintln!("granulefs: waiting for credentials from {endpoint}: {cause}");
        }
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        session = store.first() => session,
        never = notice => match never {},
    }
}
