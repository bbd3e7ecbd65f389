//! `granulefs doctor`: what a mount needs, looked at in the order in which it needs it.

mod bucket;
mod earthdata;
mod machine;
mod report;

use std::process::ExitCode;

use tokio::runtime::Runtime;

use self::bucket::Stores;
use self::report::Report;
use super::reach;
use crate::catalog::{ResolvedSource, Source};
use crate::cli::DoctorArgs;
use crate::error::Error;

/// Looks at everything, and fails unless all that is needed works.
///
/// # Errors
/// When it cannot do its work.
pub fn run(args: &DoctorArgs) -> Result<ExitCode, Error> {
    reach::hide_memory();
    let runtime = Runtime::new().map_err(|e| Error::store(format!("cannot start threads: {e}")))?;
    let mut report = Report::new(args.json);
    machine::look(&mut report)?;
    runtime.block_on(look(args, &mut report))?;
    runtime.shutdown_background();
    report.end()
}

async fn look(args: &DoctorArgs, report: &mut Report) -> Result<(), Error> {
    let mut may_log_in = true;
    let host = &args.earthdata.earthdata_host;
    if args.store.aws_credentials {
        earthdata::look_at_fallback(host, report)?;
    } else {
        may_log_in = match earthdata::look_at_identity(host, report)? {
            Some(identity) => {
                earthdata::look_at_host(host, identity.token.is_none(), report).await?
            }
            None => earthdata::look_at_host(host, true, report).await.map(|_| false)?,
        };
    }
    let Some(source) = &args.source else {
        return report.skipped(
            "source",
            "name what you want to mount to have the login and the bucket looked at",
        );
    };
    let Some(resolved) = look_at_source(source, args, report).await? else { return Ok(()) };
    let mut stores = Stores::new(args, &resolved, may_log_in);
    for place in &resolved.buckets {
        stores.look_at(place, report).await?;
    }
    Ok(())
}

async fn look_at_source(
    source: &Source,
    args: &DoctorArgs,
    report: &mut Report,
) -> Result<Option<ResolvedSource>, Error> {
    match reach::resolve_source(source, &args.earthdata).await {
        Ok(resolved) => {
            let places =
                resolved.buckets.iter().map(|place| place.location.to_string()).collect::<Vec<_>>();
            report.ok("source", &places.join(", "))?;
            if let Some(note) = &resolved.note {
                report.note("source", note)?;
            }
            Ok(Some(resolved))
        }
        Err(error) => report.failed("source", &error.to_string()).map(|()| None),
    }
}
