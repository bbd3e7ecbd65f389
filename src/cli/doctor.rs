//! The flags of `granulefs doctor`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::values::time_limit;
use super::{EarthdataArgs, SOURCES, StoreArgs};
use crate::catalog::Source;
use crate::connect::Settings;
use crate::error::{Error, Problem};
use crate::fuse::MountAround;

/// `granulefs doctor`
#[derive(Debug, Args)]
#[command(after_long_help = SOURCES)]
pub struct DoctorArgs {
    /// What is to be mounted (see below), or the directory of a mount, which is asked how it does.
    /// Without it only this machine and the Earthdata Login host are checked
    #[arg(
        value_name = "SOURCE|MOUNTPOINT",
        value_parser = OsStringValueParser::new().try_map(target)
    )]
    pub target: Option<DoctorTarget>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// How long one request to S3 may take, with all its retries
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = time_limit)]
    pub timeout: Duration,

    /// How Earthdata is asked.
    #[command(flatten)]
    pub earthdata: EarthdataArgs,

    /// How S3 is asked.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// What `granulefs doctor` looks at.
#[derive(Clone, Debug)]
pub enum DoctorTarget {
    /// A mount that is there, by its mount point.
    Mount(PathBuf),
    /// What is to be mounted.
    Source(Source),
}

/// A path from the root or with a dot first is never a source, and names the mount that it is in.
/// Another word is a mount only where a mount point has that name: in a mount, every source would
/// be a path.
fn target(text: OsString) -> Result<DoctorTarget, Error> {
    let path = Path::new(&text);
    let is_path = path.is_absolute() || path.starts_with(".") || path.starts_with("..");
    let mount = MountAround::find(path).filter(|mount| is_path || mount.is_mountpoint);
    match (mount, text.to_str()) {
        (Some(mount), _) => Ok(DoctorTarget::Mount(mount.mountpoint)),
        (None, Some(text)) if !is_path => text.parse().map(DoctorTarget::Source),
        _ => Err(Error::usage(Problem::new("no granulefs mount is here").about(path.display()))),
    }
}

impl DoctorArgs {
    /// Returns how the source is found, logged in to and asked.
    ///
    /// # Errors
    /// [`Error::Usage`] when the table of buckets cannot be read.
    pub fn settings(&self) -> Result<Settings, Error> {
        Ok(Settings { earthdata: self.earthdata.settings()?, s3: self.store.settings() })
    }
}

pub(super) const ABOUT: &str = "\
Checks everything that a mount needs, in the order in which a mount needs it, and says in a line \
each what works and what to do about the rest. Mounts nothing. With the directory of a mount, asks \
that mount instead, with no other option: how old its credentials are, what it waits for and what \
was refused. It answers the user who mounted, and root. Exits with status 0 only when everything \
that is needed works.";
