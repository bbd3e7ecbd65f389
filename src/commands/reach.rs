//! From what the user named to buckets that can be asked: the same steps for every verb.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, setrlimit};

use super::logins::{Credentials, Logins};
use crate::catalog::{self, ResolvedBucket, ResolvedSource, resolve};
use crate::cli::{EarthdataArgs, StoreArgs};
use crate::error::Error;
use crate::object::Prefix;
use crate::s3;

/// Secrets live in this process, and in the environment of the one that waits for it: no core file,
/// no reading by others.
pub(super) fn hide_memory() {
    if let Err(error) = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::debug!(%error, "core files stay possible");
    }
}

/// Lets this process open as many files, which connections are, as it may: the default of 1,024 is
/// for programs that use select(2).
pub(super) fn raise_file_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "the limit of open files stays");
    }
}

/// What `source` means, with a note in the terminal where there is something to know of it.
pub(super) async fn resolved(
    source: &catalog::Source,
    earthdata: &EarthdataArgs,
) -> Result<ResolvedSource, Error> {
    let resolved = resolve_source(source, earthdata).await?;
    if let Some(note) = &resolved.note {
        eprintln!("granulefs: note: {note}");
    }
    Ok(resolved)
}

/// What `source` means. A collection costs requests to CMR.
pub(super) async fn resolve_source(
    source: &catalog::Source,
    earthdata: &EarthdataArgs,
) -> Result<ResolvedSource, Error> {
    let mut resolved = resolve(source, &earthdata.buckets.table()?, &earthdata.cmr_host).await?;
    resolved.keep_system_of(&earthdata.earthdata_host)?;
    let notes = resolved
        .note
        .take()
        .into_iter()
        .chain(hearsay(&resolved, earthdata))
        .chain(overruled(&resolved, earthdata))
        .collect::<Vec<_>>();
    resolved.note = (!notes.is_empty()).then(|| notes.join("; "));
    Ok(resolved)
}

/// Whose word it is that a known bucket's credentials come from another endpoint, if it is the
/// user's, or that it is not heeded: a variable may be left over from another data center.
fn overruled(resolved: &ResolvedSource, earthdata: &EarthdataArgs) -> Option<String> {
    let named = earthdata.named_endpoint()?;
    let [place] = &resolved.buckets[..] else {
        let is_unused = resolved.buckets.iter().all(|place| place.endpoint.is_some());
        return is_unused.then(|| {
            "--credentials-endpoint or S3_CREDENTIAL_ENDPOINT is not used: the table of buckets knows an endpoint for each of these".into()
        });
    };
    let known = place.endpoint.as_deref()?;
    let bucket = &place.location.bucket;
    (named != known).then(|| {
        format!(
            "--credentials-endpoint or S3_CREDENTIAL_ENDPOINT names another endpoint for {bucket} than the table of buckets, which has \
             {known}"
        )
    })
}

/// Whose word it is that a token goes where it goes, if that is CMR's.
fn hearsay(resolved: &ResolvedSource, earthdata: &EarthdataArgs) -> Option<String> {
    let is_named = earthdata.named_endpoint().is_some();
    let told = resolved.buckets.iter().filter_map(|place| {
        Some((&*place.location.bucket, place.catalog_endpoint.as_ref()?.trusted()?))
    });
    let told = told.filter(|_| !is_named).collect::<Vec<_>>();
    let (_, endpoint) = told.first()?;
    let buckets = told.iter().map(|(bucket, _)| *bucket).collect::<Vec<_>>().join(", ");
    Some(format!(
        "the table of buckets does not know {buckets}: the credentials come from {endpoint}, as CMR says"
    ))
}

/// The buckets of several places, without a login: one login serves all that have its endpoint.
/// What cannot be used is left out with a warning, as long as there is something else.
pub(super) async fn buckets(
    resolved: &ResolvedSource,
    earthdata: &EarthdataArgs,
    store: &StoreArgs,
) -> Result<Vec<(s3::Bucket, Prefix)>, Error> {
    let (mut logins, mut buckets, mut left_out) =
        (Logins::new(resolved, earthdata, store), Vec::new(), Vec::new());
    for place in &resolved.buckets {
        let usable = logins
            .credentials(place)
            .await
            .and_then(|credentials| bucket(place, store, credentials));
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

/// The bucket of `place`.
pub(super) fn bucket(
    place: &ResolvedBucket,
    store: &StoreArgs,
    credentials: Credentials,
) -> Result<s3::Bucket, Error> {
    let place = s3::BucketLocation {
        bucket: place.location.bucket.as_str().into(),
        region: store.region.of(place),
        endpoint_url: store.endpoint_url().map(Into::into),
        path_style: store.path_style,
    };
    s3::Bucket::with_fallback(place, credentials.first, credentials.fallback)
}
