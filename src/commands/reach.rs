//! From what the user named to buckets that can be asked: the same steps for every verb.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustix::process::DumpableBehavior;

use crate::cli::{EarthdataArgs, StoreArgs};
use crate::credentials::{CredentialStore, Session, Source};
use crate::earthdata;
use crate::earthdata::{Holding, Holdings, Identity, Login, resolve};
use crate::error::Error;
use crate::object::Prefix;
use crate::s3;

/// Secrets live in this process, and in the environment of the one that waits for it: no core file, no reading by others.
pub(super) fn hide_memory() {
    if let Err(error) = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::debug!(%error, "core files stay possible");
    }
}

/// What `source` means. A collection costs requests to CMR.
pub(super) async fn holdings(source: &earthdata::Source, earthdata: &EarthdataArgs) -> Result<Holdings, Error> {
    let mut holdings = resolve(source, &earthdata.buckets.table()?, &earthdata.cmr_host).await?;
    holdings.keep_known_to(&earthdata.earthdata_host)?;
    if let Some(note) = &holdings.note {
        eprintln!("granulefs: note: {note}");
    }
    Ok(holdings)
}

/// The buckets of several places, without a login: one login serves all that have its endpoint. What cannot be used is left out
/// with a warning, as long as there is something else.
pub(super) async fn buckets(
    holdings: &Holdings,
    earthdata: &EarthdataArgs,
    store: &StoreArgs,
) -> Result<Vec<(s3::Bucket, Prefix)>, Error> {
    let (mut logins, mut buckets, mut left_out) = (BTreeMap::new(), Vec::new(), Vec::new());
    let ambient = if store.aws_credentials { Some(CredentialStore::new(Source::ambient().await)) } else { None };
    for place in &holdings.places {
        let endpoint = earthdata.endpoint(place, holdings).unwrap_or_default();
        let login = logins.entry(endpoint.to_owned()).or_insert_with(|| store_of(place, holdings, earthdata)).clone();
        let usable = paired(ambient.clone(), login).and_then(|credentials| bucket(place, store, credentials));
        match usable {
            Ok(bucket) => buckets.push((bucket, place.location.prefix.clone())),
            Err(error) => left_out.push((&place.location, error)),
        }
    }
    if let (true, Some((_, error))) = (buckets.is_empty(), left_out.first()) {
        return Err(error.clone());
    }
    for (location, error) in left_out {
        eprintln!("granulefs: warning: {location} is left out: {error}");
    }
    Ok(buckets)
}

/// The credentials for `place`, one of `all`: Earthdata's, or the environment's with Earthdata's to fall back on.
pub(super) async fn credentials(
    place: &Holding,
    all: &Holdings,
    earthdata: &EarthdataArgs,
    store: &StoreArgs,
) -> Result<Credentials, Error> {
    let ambient = if store.aws_credentials { Some(CredentialStore::new(Source::ambient().await)) } else { None };
    paired(ambient, store_of(place, all, earthdata))
}

fn store_of(place: &Holding, all: &Holdings, earthdata: &EarthdataArgs) -> Result<Arc<CredentialStore>, Error> {
    login(place, all, earthdata).map(|login| CredentialStore::new(Source::Earthdata(Box::new(login))))
}

/// The environment's credentials, where they are wanted, with Earthdata's to fall back on.
fn paired(ambient: Option<Arc<CredentialStore>>, login: Result<Arc<CredentialStore>, Error>) -> Result<Credentials, Error> {
    let Some(first) = ambient else { return Ok(Credentials { first: login?, fallback: None }) };
    let fallback = login.inspect_err(|error| tracing::debug!(%error, "nothing to fall back on")).ok();
    Ok(Credentials { first, fallback })
}

/// One or two kinds of credentials for the same bucket.
#[derive(Clone)]
pub(super) struct Credentials {
    first: Arc<CredentialStore>,
    fallback: Option<Arc<CredentialStore>>,
}

impl Credentials {
    /// The first session that can be had, and whether it is one to fall back on.
    pub(super) async fn first_session(&self) -> Result<(Arc<Session>, bool), Error> {
        match (self.first.first_session().await, &self.fallback) {
            (Err(Error::Refused(refusal)), Some(fallback)) => {
                fallback.first_session().await.map(|session| (session, true)).map_err(|_| refusal.into())
            }
            (outcome, _) => outcome.map(|session| (session, false)),
        }
    }
}

/// The login at the endpoint of `place`, one of `all`.
pub(super) fn login(place: &Holding, all: &Holdings, earthdata: &EarthdataArgs) -> Result<Login, Error> {
    let endpoint = earthdata.endpoint(place, all).ok_or_else(|| {
        let bucket = &place.location.bucket;
        Error::usage(format!("which data center has the bucket {bucket}? Name its URL with --credentials-endpoint"))
    })?;
    Login::new(endpoint, &earthdata.earthdata_host, Identity::find(&earthdata.earthdata_host)?)
}

/// The bucket of `place`.
pub(super) fn bucket(place: &Holding, store: &StoreArgs, credentials: Credentials) -> Result<s3::Bucket, Error> {
    let place = s3::Place {
        bucket: place.location.bucket.as_str().into(),
        region: store.region.of(place),
        endpoint_url: store.endpoint_url.clone(),
        path_style: store.path_style,
    };
    s3::Bucket::with_fallback(place, credentials.first, credentials.fallback)
}
