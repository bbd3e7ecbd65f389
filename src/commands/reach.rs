//! From what the user named to buckets that can be asked: the same steps for every verb.

use std::sync::Arc;

use rustix::process::DumpableBehavior;

use crate::cli::{EarthdataArgs, StoreArgs};
use crate::credentials::{self, CredentialStore};
use crate::earthdata::{Holding, Holdings, Identity, Login, Source, resolve};
use crate::error::Error;
use crate::s3;

/// Secrets live in this process, and in the environment of the one that waits for it: no core file, no reading by others.
pub(super) fn hide_memory() {
    if let Err(error) = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::debug!(%error, "core files stay possible");
    }
}

/// What `source` means. A collection costs requests to CMR.
pub(super) async fn holdings(source: &Source, earthdata: &EarthdataArgs) -> Result<Holdings, Error> {
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

/// Where the credentials for `place`, one of `all`, come from: an endpoint, or the environment.
pub(super) async fn credential_source(
    place: &Holding,
    all: &Holdings,
    earthdata: &EarthdataArgs,
    store: &StoreArgs,
) -> Result<credentials::Source, Error> {
    if store.aws_credentials {
        return Ok(credentials::Source::ambient().await);
    }
    Ok(credentials::Source::Earthdata(Box::new(login(place, all, earthdata)?)))
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
pub(super) fn bucket(place: &Holding, store: &StoreArgs, credentials: Arc<CredentialStore>) -> Result<s3::Bucket, Error> {
    let place = s3::Place {
        bucket: place.location.bucket.as_str().into(),
        region: store.region.of(place),
        endpoint_url: store.endpoint_url.clone(),
        path_style: store.path_style,
    };
    s3::Bucket::new(place, credentials)
}
