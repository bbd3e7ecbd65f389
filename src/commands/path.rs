//! `granulefs path`

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{output, process};
use crate::catalog::{Source, resolve};
use crate::cli::PathArgs;
use crate::error::{Error, Problem};
use crate::object::{Name, Prefix};

/// Prints the path in a mount of what a URL names.
///
/// # Errors
/// [`Error::Usage`] when the mount does not show it, [`Error::NotFound`] when the bucket has no
/// such key.
pub fn run(args: &PathArgs) -> Result<(), Error> {
    let (bucket, key) = match &args.url {
        Source::Prefix(_) | Source::File { .. } | Source::Link { .. } | Source::Granule(_) => {
            let table = args.table.read()?;
            let resolving = resolve(&args.url, &table, &args.cmr.cmr_host);
            let resolved = process::runtime()?.block_on(resolving)?;
            let [bucket] = &resolved.buckets[..] else {
                return Err(Error::usage("that is several buckets; name one file or directory"));
            };
            let key = resolved.file.unwrap_or_else(|| bucket.location.prefix.as_str().to_owned());
            (bucket.location.bucket.clone(), key)
        }
        _ => {
            return Err(Error::usage(
                "a path is that of an s3:// URL or of a granule's https link",
            ));
        }
    };
    let url = format!("s3://{bucket}/{key}");
    let path = path_in(&args.mountpoint, &bucket, &key)?;
    match std::fs::symlink_metadata(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Err(Error::NotFound(url.into())),
        Ok(metadata) if metadata.is_dir() && !key.ends_with('/') => {
            output::print(&line(&beside_directory(&path).unwrap_or(path)))
        }
        // A file that this user may not look at has a path all the same.
        _ => output::print(&line(&path)),
    }
}

fn line(path: &Path) -> String {
    format!("{}\n", path.display())
}

/// The object that has the same name as the directory at `path`, if there is one: the mount shows
/// it beside the directory, under another name.
fn beside_directory(path: &Path) -> Option<PathBuf> {
    let [_, escaped] = Name::of_object(path.file_name()?.to_str()?);
    let object = path.with_file_name(escaped);
    object.is_file().then_some(object)
}

/// The path of `key`. The mount says by its attributes whether its root is a prefix of a bucket or
/// has buckets as directories.
fn path_in(mountpoint: &Path, bucket: &str, key: &str) -> Result<PathBuf, Error> {
    let below = |directory: &Path, url: &str| {
        let rest = rest_below(url, bucket, key)?;
        // `join` of an empty path would add a slash.
        let join = |path: String| {
            if path.is_empty() { directory.to_owned() } else { directory.join(path) }
        };
        Some(Name::path_of(rest).map(join).ok_or(Error::NameTooLong))
    };
    if let Some(url) = url_of(mountpoint)? {
        let elsewhere = || {
            Error::usage(format!(
                "{} shows {url}, which does not hold s3://{bucket}/{key}",
                mountpoint.display()
            ))
        };
        return below(mountpoint, &url).ok_or_else(elsewhere)?;
    }
    let directory = mountpoint.join(bucket);
    let found = url_of(&directory)?.and_then(|url| below(&directory, &url));
    found.unwrap_or_else(|| {
        Err(Error::usage(format!(
            "{} is in no granulefs mount that has {bucket}",
            mountpoint.display()
        )))
    })
}

/// What follows the prefix that `url` names in `key`. `None`: the key is not below that prefix.
fn rest_below<'k>(url: &str, bucket: &str, key: &'k str) -> Option<&'k str> {
    let (shown, prefix) = url.strip_prefix("s3://")?.split_once('/')?;
    let prefix = Prefix::new(prefix);
    (shown == bucket).then(|| key.strip_prefix(prefix.as_str())).flatten()
}

/// The `user.s3.url` of a file or directory in a mount; `None` where there is none.
fn url_of(path: &Path) -> Result<Option<String>, Error> {
    // Enough for the URL of the longest key, 1,024 bytes.
    let mut value = [0_u8; 2048];
    match rustix::fs::getxattr(path, "user.s3.url", &mut value) {
        Ok(length) => Ok(Some(String::from_utf8_lossy(&value[..length]).into_owned())),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOENT) if is_in_a_directory(path) => Ok(None),
        Err(e) => Err(Error::usage(
            Problem::new("cannot look at this path").about(path.display()).caused_by(e),
        )),
    }
}

fn is_in_a_directory(path: &Path) -> bool {
    // The parent of a relative path of one component is empty, and means the current directory.
    path.parent().is_none_or(|parent| parent.as_os_str().is_empty() || parent.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_below_the_prefix_that_a_directory_shows() {
        for (url, rest) in [
            ("s3://b-1/", Some("a/b/x.nc")),
            ("s3://b-1/a/", Some("b/x.nc")),
            ("s3://b-1/a/b/", Some("x.nc")),
            ("s3://b-1/a/b/x.nc", None),
            ("s3://b-1/a/bb/", None),
            ("s3://b-2/", None),
            ("b-1", None),
        ] {
            assert_eq!(rest_below(url, "b-1", "a/b/x.nc"), rest, "{url}");
        }
        assert_eq!(rest_below("s3://b-1/a/", "b-1", "a/"), Some(""));
    }
}
