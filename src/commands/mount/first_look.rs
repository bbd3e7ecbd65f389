//! The first requests of a mount, made before it exists: what is wrong is told to the user, and
//! not to the first program that reads.

use std::convert::Infallible;
use std::time::Duration;

use crate::catalog::Location;
use crate::commands::output;
use crate::error::{Error, Refusal};
use crate::filesystem::Filesystem;
use crate::inodes::ROOT;
use crate::object::Name;

/// The first answers take longer than usual after this time.
const USUAL: Duration = Duration::from_secs(6);

/// Looks for the object `key`, or without one for any name below `location`, for `timeout` at most.
/// Returns the object's path below the mount point.
/// Tells the user what is waited for when that takes longer than usual.
pub(super) async fn at(
    filesystem: &Filesystem,
    location: &Location,
    key: Option<&str>,
    timeout: Duration,
) -> Result<Option<String>, Error> {
    let look = async {
        match key {
            Some(key) => at_file(filesystem, location, key).await.map(Some),
            None => at_names(filesystem, location).await.map(|()| None),
        }
    };
    let notice = async {
        tokio::time::sleep(USUAL).await;
        output::waiting(location, filesystem.timeout_cause(ROOT));
        std::future::pending::<Infallible>().await
    };
    let outcome = async {
        tokio::select! {
            found = look => found,
            never = notice => match never {},
        }
    };
    tokio::time::timeout(timeout, outcome)
        .await
        .unwrap_or_else(|_| Err(filesystem.timeout_cause(ROOT)))
}

async fn at_names(filesystem: &Filesystem, location: &Location) -> Result<(), Error> {
    match filesystem.root_has_entries().await {
        Ok(true) => Ok(()),
        Ok(false) if location.prefix.as_str().is_empty() => {
            tracing::warn!("the bucket is empty");
            Ok(())
        }
        Ok(false) => Err(Error::usage(format!(
            "there is nothing below {location}; check the prefix (a file is written \
             s3://BUCKET/KEY)"
        ))),
        Err(Error::Refused(refusal @ Refusal::Forbidden { .. })) => {
            output::warning(&format_args!("{refusal}; names given in full may still open"));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

async fn at_file(filesystem: &Filesystem, location: &Location, key: &str) -> Result<String, Error> {
    let missing = || Error::NotFound(format!("s3://{}/{key}", location.bucket).into());
    let name = Name::path_of(key.strip_prefix(location.prefix.as_str()).unwrap_or(key))
        .ok_or(Error::NameTooLong)?;
    let (number, attributes) =
        filesystem.lookup(ROOT, name.as_ref()).await?.node.ok_or_else(missing)?;
    // A key that may be neither asked for nor listed is shown as a directory.
    if attributes.is_directory {
        let listed = match filesystem.open_directory(number).await {
            Ok((handle, _)) => {
                let listed = filesystem.read_directory(handle, 0).await;
                filesystem.release_directory(handle);
                listed.map(drop)
            }
            Err(error) => Err(error),
        };
        if let Err(Error::Refused(refusal @ Refusal::Forbidden { .. })) = listed {
            output::warning(&format_args!("{refusal}; nobody knows whether it is there"));
        }
    }
    filesystem.forget(number, 1);
    Ok(name)
}
