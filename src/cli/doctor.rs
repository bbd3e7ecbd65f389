//! The flags of `granulefs doctor`.

use std::time::Duration;

use clap::Args;

use super::values::time_limit;
use super::{EarthdataArgs, SOURCES, StoreArgs};
use crate::catalog::Source;
use crate::connect::Settings;
use crate::error::Error;

/// `granulefs doctor`
#[derive(Debug, Args)]
#[command(after_long_help = SOURCES)]
pub struct DoctorArgs {
    /// What is to be mounted (see below); without it only this machine and the Earthdata Login host
    /// are checked
    pub source: Option<Source>,

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
each what works and what to do about the rest. Mounts nothing. Exits with status 0 only when \
everything that is needed works.";
