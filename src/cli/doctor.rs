//! The flags of `granulefs doctor`.

use std::time::Duration;

use clap::Args;

use super::values::patience;
use super::{EarthdataArgs, SOURCES, StoreArgs};
use crate::catalog::Source;

/// `granulefs doctor`
#[derive(Debug, Args)]
#[command(after_long_help = SOURCES)]
pub struct DoctorArgs {
    /// What is to be mounted (see below); without it only this machine and the login host are
    /// looked at
    pub source: Option<Source>,

    /// As JSON
    #[arg(long)]
    pub json: bool,

    /// How long one question to S3 may take
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = patience)]
    pub timeout: Duration,

    /// How Earthdata is spoken to.
    #[command(flatten)]
    pub earthdata: EarthdataArgs,

    /// How S3 is spoken to.
    #[command(flatten)]
    pub store: StoreArgs,
}

pub(super) const ABOUT: &str = "\
Looks at everything that a mount needs, in the order in which a mount needs it, and says in a line each what works and what to do \
about the rest. Mounts nothing. Exits with status 0 only when everything that is needed works.";
