//! Whether Earthdata Login can be reached, and whether this machine's clock agrees with its own.

use std::time::SystemTime;

use super::report::Report;
use crate::error::Error;
use crate::http::probe;

/// Seconds. S3 refuses requests whose signature is 15 minutes off.
const NOTABLE_SKEW: u64 = 5 * 60;

/// Returns whether `host` answers. That it does not is a failure only where it `is_needed`.
pub(super) async fn check(host: &str, is_needed: bool, report: &mut Report) -> Result<bool, Error> {
    let server_time = match probe(host).await {
        Ok(server_time) => server_time,
        Err(error) => {
            let text = format!(
                "{error}; does this machine reach the internet, and is --earthdata-host right?"
            );
            match is_needed {
                true => report.failed("earthdata", &text)?,
                false => report.note("earthdata", &text)?,
            }
            return Ok(false);
        }
    };
    report.ok("earthdata", &format!("{host} answers"))?;
    if let Some(server_time) = server_time {
        check_clock(server_time, SystemTime::now(), report)?;
    }
    Ok(true)
}

fn check_clock(server: SystemTime, own: SystemTime, report: &mut Report) -> Result<(), Error> {
    let (skew, word) = match server.duration_since(own) {
        Ok(behind) => (behind.as_secs(), "behind"),
        Err(ahead) => (ahead.duration().as_secs(), "ahead"),
    };
    if skew < NOTABLE_SKEW {
        return report.ok("clock", "it agrees with Earthdata's");
    }
    let minutes = skew / 60;
    let text = format!(
        "it is {minutes} minutes {word}: granulefs allows for that, other S3 programs will fail; \
         set it"
    );
    report.note("clock", &text)
}
