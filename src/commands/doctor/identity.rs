//! Whether there is anything to log in with.

use std::time::{Duration, SystemTime};

use super::report::Report;
use crate::error::Error;
use crate::login::{Identity, IdentitySource};

const DAY: u64 = 24 * 3600;
/// Days. A job that starts now may still be running when a token of a shorter life ends.
const SOON: u64 = 7;

/// Returns what there is to log in with.
pub(super) fn check(
    source: &IdentitySource,
    host: &str,
    report: &mut Report,
) -> Result<Option<Identity>, Error> {
    let identity = match source.read() {
        Ok(identity) => identity,
        Err(error) => return report.failed("identity", &error.to_string()).map(|()| None),
    };
    report.ok("identity", &origins(&identity))?;
    add_notes(&identity, report)?;
    if identity.token.is_some() {
        check_token(&identity, host, report)?;
    }
    Ok(Some(identity))
}

/// Returns what there is to log in with where other credentials are refused.
pub(super) fn check_fallback(
    source: &IdentitySource,
    report: &mut Report,
) -> Result<Option<Identity>, Error> {
    match source.read() {
        Ok(identity) => {
            report.ok("identity", &format!("to fall back on, {}", origins(&identity)))?;
            add_notes(&identity, report)?;
            Ok(Some(identity))
        }
        Err(error) => {
            report.note("identity", &format!("nothing to fall back on: {error}")).map(|()| None)
        }
    }
}

fn add_notes(identity: &Identity, report: &mut Report) -> Result<(), Error> {
    identity.notes.iter().try_for_each(|note| report.note("identity", note))
}

fn origins(identity: &Identity) -> String {
    let token = identity.token.as_ref().map(|token| format!("a token from {}", token.origin));
    let password = identity
        .password
        .as_ref()
        .map(|found| format!("{}'s password from {}", found.user, found.origin));
    token.into_iter().chain(password).collect::<Vec<_>>().join("; when that is refused, ")
}

fn check_token(identity: &Identity, host: &str, report: &mut Report) -> Result<(), Error> {
    let renewal = format!("make a new one at https://{host}/");
    match identity.token_expiration().map(|end| end.duration_since(SystemTime::now())) {
        None => report.note("token", "it does not say when it ends; Earthdata's live 60 days"),
        Some(Ok(left)) if left.as_secs() / DAY < SOON => {
            report.note("token", &format!("it ends in {}; {renewal}", days(left)))
        }
        Some(Ok(left)) => report.ok("token", &format!("it ends in {}", days(left))),
        Some(Err(_)) if identity.password.is_some() => {
            report.note("token", &format!("it has expired, so the password is used; {renewal}"))
        }
        Some(Err(_)) => report.failed("token", &format!("it has expired; {renewal}")),
    }
}

fn days(left: Duration) -> String {
    match left.as_secs() / DAY {
        0 => format!("{} hours", left.as_secs() / 3600),
        1 => "1 day".into(),
        days => format!("{days} days"),
    }
}
