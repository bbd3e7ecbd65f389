//! From what the user named to buckets that can be asked: the same steps for every verb.

use std::sync::Arc;

use rustix::process::DumpableBehavior;

use crate::cli::{EarthdataArgs, StoreArgs};
use crate::credentials::{CredentialStore, Session, Source};
use crate::earthdata;
use crate::earthdata::{Holding, Holdings, Identity, Login, resolve};
use crate::error::Error;
use crate::s3;

/// Secrets live in this process, and in the environment of the one that waits for it: no core file, no reading by others.
pub(super) fn hide_memory() {
    if let Err(error) = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::debug!(%error, "core files stay possible");
    }
}

/// What `source` means. A collection costs requests to CMR.
pub(super) async fn holdings(source: &earthdata::Source, earthdata: &EarthdataArgs) -> Result<Holdings, Error> {
    let holdings = resolve(source, &earthdata.buckets.table()?, &earthdata.cmr_host).await?;
    if let Some(note) = &holdings.note {
        eprintln!("granulefs: note: {note}");
    }
    Ok(holdings)
}

/// The one place there is.
// Until a volume can have several buckets.
pub(super) fn only_place(holdings: &Holdings) -> Result<&Holding, Error> {
    match &holdings.places[..] {
        [place] => Ok(place),
        places => {
            let names = places.iter().map(|place| place.location.bucket.as_str()).collect::<Vec<_>>().join(", ");
            Err(Error::usage(format!("that is {} buckets; name one of them: {names}", places.len())))
        }
    }
}

/// The credentials for `place`, one of `all`: Earthdata's, or the environment's with Earthdata's to fall back on.
pub(super) async fn credentials(
    place: &Holding,
    all: &Holdings,
    earthdata: &EarthdataArgs,
    store: &StoreArgs,
) -> Result<Credentials, Error> {
    let login = login(place, all, earthdata).map(|login| CredentialStore::new(Source::Earthdata(Box::new(login))));
    if !store.aws_credentials {
        return Ok(Credentials { first: login?, fallback: None });
    }
    let fallback = login.inspect_err(|error| tracing::debug!(%error, "nothing to fall back on")).ok();
    Ok(Credentials { first: CredentialStore::new(Source::ambient().await), fallback })
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
