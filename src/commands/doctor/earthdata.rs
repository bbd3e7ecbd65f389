//! Who the user is, and whether Earthdata Login can be reached.

use std::time::{Duration, SystemTime};

use super::report::Report;
use crate::error::Error;
use crate::http::probe;
use crate::login::Identity;

const DAY: u64 = 24 * 3600;
/// A job that starts now may still be running when such a token ends.
const SOON: u64 = 7;
/// Seconds. S3 refuses what was signed 15 minutes off.
const NOTABLE: u64 = 5 * 60;

/// Whether there is anything to log in with where other credentials are refused.
pub(super) fn look_at_fallback(host: &str, report: &mut Report) -> Result<(), Error> {
    match Identity::find(host) {
        Ok(identity) => report.ok("identity", &format!("to fall back on, {}", origins(&identity))),
        Err(error) => report.note("identity", &format!("nothing to fall back on: {error}")),
    }
}

fn origins(identity: &Identity) -> String {
    let token = identity.token.as_ref().map(|token| format!("a token from {}", token.origin));
    let password = identity
        .password
        .as_ref()
        .map(|found| format!("{}'s password from {}", found.user, found.origin));
    token.into_iter().chain(password).collect::<Vec<_>>().join("; when that is refused, ")
}

/// Answers with what there is to log in with.
pub(super) fn look_at_identity(host: &str, report: &mut Report) -> Result<Option<Identity>, Error> {
    let identity = match Identity::find(host) {
        Ok(identity) => identity,
        Err(error) => return report.failed("identity", &error.to_string()).map(|()| None),
    };
    report.ok("identity", &origins(&identity))?;
    if identity.token.is_none() {
        return Ok(Some(identity));
    }
    match identity.token_expiration().map(|end| end.duration_since(SystemTime::now())) {
        None => report.note("token", "it does not say when it ends; Earthdata's live 60 days")?,
        Some(Ok(left)) if left.as_secs() / DAY < SOON => {
            report.note(
                "token",
                &format!("it ends in {}; make a new one at https://{host}/", days(left)),
            )?;
        }
        Some(Ok(left)) => report.ok("token", &format!("it ends in {}", days(left)))?,
        Some(Err(_)) if identity.password.is_some() => {
            report.note(
                "token",
                &format!(
                    "it has expired, so the password is used; make a new one at https://{host}/"
                ),
            )?;
        }
        Some(Err(_)) => {
            report.failed("token", &format!("it has expired; make a new one at https://{host}/"))?
        }
    }
    Ok(Some(identity))
}

fn days(left: Duration) -> String {
    match left.as_secs() / DAY {
        0 => format!("{} hours", left.as_secs() / 3600),
        1 => "1 day".into(),
        days => format!("{days} days"),
    }
}

/// Answers whether the login is worth trying: without the login host it is not, where that
/// `is_needed`. A token is shown to the data center only.
pub(super) async fn look_at_host(
    host: &str,
    is_needed: bool,
    report: &mut Report,
) -> Result<bool, Error> {
    let server = match probe(host).await {
        Ok(server) => server,
        Err(error) => {
            let text = format!(
                "{error}; does this machine reach the internet, and is --earthdata-host right?"
            );
            return match is_needed {
                true => report.failed("earthdata", &text).map(|()| false),
                false => report.note("earthdata", &text).map(|()| true),
            };
        }
    };
    report.ok("earthdata", &format!("{host} answers"))?;
    if let Some(server) = server {
        look_at_clock(server, SystemTime::now(), report)?;
    }
    Ok(true)
}

fn look_at_clock(server: SystemTime, own: SystemTime, report: &mut Report) -> Result<(), Error> {
    let (skew, word) = match server.duration_since(own) {
        Ok(behind) => (behind.as_secs(), "behind"),
        Err(ahead) => (ahead.duration().as_secs(), "ahead"),
    };
    if skew < NOTABLE {
        return report.ok("clock", "it agrees with Earthdata's");
    }
    let minutes = skew / 60;
    let text = format!(
        "it is {minutes} minutes {word}: granulefs allows for that, other S3 programs will fail; set it"
    );
    report.note("clock", &text)
}
