//! `granulefs doctor`: the steps of a mount one by one, in a mount's own words.

mod bucket;
mod identity;
mod login;
mod login_host;
mod machine;
mod mounted;
mod region;
mod report;

use std::process::ExitCode;
use std::sync::Arc;

use self::login::LoginChecks;
use self::report::Report;
use super::process;
use crate::catalog::Source;
use crate::cli::{DoctorArgs, DoctorTarget};
use crate::connect::{Connections, connect};
use crate::error::Error;
use crate::login::{Identity, IdentitySource};

/// Checks everything, and fails unless all that a mount needs works.
///
/// # Errors
/// When a check cannot be made or printed.
pub fn run(args: &DoctorArgs) -> Result<ExitCode, Error> {
    process::hide_memory();
    if let Some(DoctorTarget::Mount(mountpoint)) = &args.target {
        let mut report = Report::new(args.json);
        mounted::check(mountpoint, &mut report)?;
        return report.end();
    }
    let runtime = process::runtime()?;
    let mut report = Report::new(args.json);
    machine::check(&mut report)?;
    runtime.block_on(check(args, &mut report))?;
    runtime.shutdown_background();
    report.end()
}

async fn check(args: &DoctorArgs, report: &mut Report) -> Result<(), Error> {
    let host = &args.earthdata.earthdata_host;
    let identity_source = IdentitySource::new(host, args.earthdata.token_file());
    let (identity, may_log_in) = if args.store.aws_credentials {
        (identity::check_fallback(&identity_source, report)?, true)
    } else {
        let identity = identity::check(&identity_source, host, report)?;
        // A token is shown to the data center only: a login needs no login host then.
        let is_needed = identity.as_ref().is_none_or(|identity| identity.token.is_none());
        let answers = login_host::check(host, is_needed, report).await?;
        let may_log_in = identity.is_some() && (answers || !is_needed);
        (identity, may_log_in)
    };
    let Some(DoctorTarget::Source(source)) = &args.target else {
        return report.skipped(
            "source",
            "name what you want to mount to have the login and the bucket looked at",
        );
    };
    let Some(connections) = check_source(source, args, identity, report).await? else {
        return Ok(());
    };
    let mut logins = LoginChecks::new(args.store.aws_credentials, may_log_in);
    let mut is_region_checked = false;
    for connection in &connections.buckets {
        if !logins.check(connection, report).await? {
            let location = &connection.location;
            let text = format!("{location}: there are no credentials to look with");
            report.skipped("bucket", &text)?;
            continue;
        }
        if !is_region_checked {
            region::check(&connection.region, report).await?;
            is_region_checked = true;
        }
        bucket::check(connection, connections.file.as_deref(), args.timeout, report).await?;
    }
    Ok(())
}

async fn check_source(
    source: &Source,
    args: &DoctorArgs,
    identity: Option<Identity>,
    report: &mut Report,
) -> Result<Option<Connections>, Error> {
    let connections = async {
        let mut settings = args.settings()?;
        settings.earthdata.identity = identity.map(Arc::new);
        connect(source, &settings).await
    };
    let connections = match connections.await {
        Ok(connections) => connections,
        Err(error) => return report.failed("source", &error.to_string()).map(|()| None),
    };
    let locations = connections.buckets.iter().map(|bucket| bucket.location.to_string());
    report.ok("source", &locations.collect::<Vec<_>>().join(", "))?;
    for note in &connections.notes {
        report.note("source", &note.to_string())?;
    }
    Ok(Some(connections))
}
