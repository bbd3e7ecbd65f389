//! How a mount does that is there, in its own words.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rustix::io::Errno;

use super::report::Report;
use crate::cli::time_span;
use crate::credentials::CredentialsStatus;
use crate::error::{Error, Problem};
use crate::fuse::{MAX_STATUS, MountStatus, STATUS, WaitingStatus};
use crate::s3::BucketStatus;

/// A mount answers from memory. One that does not in this time is stopped, or overwhelmed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the mount at `mountpoint`.
pub(super) fn check(mountpoint: &Path, report: &mut Report) -> Result<(), Error> {
    let path = mountpoint.display();
    let value = match ask(mountpoint)? {
        None => {
            let seconds = PATIENCE.as_secs();
            let text =
                format!("{path}: its process gives no answer within {seconds} s; is it stopped?");
            return report.failed("mount", &text);
        }
        Some(Err(Errno::NOTCONN | Errno::CONNABORTED)) => {
            let text = format!(
                "{path}: the process that served it has ended, and programs get \"Transport \
                 endpoint is not connected\"; mount it again, which replaces what is left, or end \
                 it with: granulefs unmount {path}"
            );
            return report.failed("mount", &text);
        }
        Some(Err(Errno::PERM | Errno::ACCESS)) => {
            let text = format!("{path}: it answers only the user who mounted it, and root");
            return report.failed("mount", &text);
        }
        Some(Err(Errno::NODATA)) => {
            let text = format!(
                "{path}: an older granulefs serves it, which does not know this question; \
                 mount it again"
            );
            return report.failed("mount", &text);
        }
        Some(Err(e)) => return report.failed("mount", &format!("{path}: {e}")),
        Some(Ok(value)) => value,
    };
    let status: MountStatus = serde_json::from_slice(&value).map_err(|e| {
        let words = "another version of granulefs serves it, whose answer is strange";
        Error::mount(Problem::new(words).about(&path).caused_by(e))
    })?;
    let MountStatus { version, pid, .. } = &status;
    report.ok("mount", &format!("{path}: granulefs {version} serves it, process {pid}"))?;
    waiting(status.waiting.as_ref(), report)?;
    for credentials in &status.filesystem.credentials {
        self::credentials(credentials, report)?;
    }
    for bucket in &status.filesystem.buckets {
        self::bucket(bucket, report)?;
    }
    match status.left_out {
        0 => Ok(()),
        more => report.note("s3", &format!("{more} more buckets were asked for something")),
    }
}

/// Returns what the mount answers; `None`: nothing in time. The question is asked by another
/// thread, which may wait for ever.
fn ask(mountpoint: &Path) -> Result<Option<Result<Vec<u8>, Errno>>, Error> {
    let (send, receive) = mpsc::channel();
    let path = mountpoint.to_owned();
    let ask = move || {
        let mut value = vec![0; MAX_STATUS];
        let answer = rustix::fs::getxattr(&path, STATUS, &mut value[..]).map(|length| {
            value.truncate(length);
            value
        });
        drop(send.send(answer));
    };
    let thread = std::thread::Builder::new().spawn(ask);
    thread.map_err(|e| Error::store(Problem::new("cannot start a thread").caused_by(e)))?;
    Ok(receive.recv_timeout(PATIENCE).ok())
}

fn waiting(waiting: Option<&WaitingStatus>, report: &mut Report) -> Result<(), Error> {
    const CHECK: &str = "operations";
    let Some(WaitingStatus { operations, longest, url, cause }) = waiting else {
        return report.ok(CHECK, "none waits for long");
    };
    let longest = time_span(*longest);
    let about = url.as_ref().map(|url| format!(", at {url}")).unwrap_or_default();
    report.failed(CHECK, &format!("{operations} wait, the oldest for {longest}{about}: {cause}"))
}

fn credentials(status: &CredentialsStatus, report: &mut Report) -> Result<(), Error> {
    const CHECK: &str = "credentials";
    let provider = &status.provider;
    let CredentialsStatus { is_usable, age, expires_in, renewal_in, .. } = status;
    let life = match (age, expires_in, renewal_in) {
        (None, ..) => "there are none yet".to_owned(),
        (Some(age), Some(end), Some(renewal)) if *is_usable => {
            let renewal = match *renewal {
                0 => "the next request renews them".to_owned(),
                renewal => format!("the next renewal is due in {}", time_span(renewal)),
            };
            let (age, end) = (time_span(*age), time_span(*end));
            format!("{age} old; {renewal}, they end in {end}")
        }
        (Some(age), None, _) if *is_usable => format!("{} old; they do not end", time_span(*age)),
        (Some(age), Some(0), _) => format!("those from {} ago have expired", time_span(*age)),
        (Some(age), ..) => format!("S3 does not accept those from {} ago", time_span(*age)),
    };
    let failed = status.last_failure.as_ref().map(|failure| {
        let times = match status.failed_renewals {
            0 | 1 => String::new(),
            times => format!(", {times} times in a row"),
        };
        let pause = status.pause.map(time_span);
        let pause = pause.map(|pause| format!("; not asked again for {pause}")).unwrap_or_default();
        format!("; no new ones{times}: {failure}{pause}")
    });
    let asked = if status.is_renewing { "; it is being asked now" } else { "" };
    let text = format!("{provider}: {life}{}{asked}", failed.as_deref().unwrap_or_default());
    match (is_usable, &failed, age) {
        (true, None, _) => report.ok(CHECK, &text),
        (false, Some(_), _) => report.failed(CHECK, &text),
        (false, None, None) if !status.is_renewing => {
            report.skipped(CHECK, &format!("{provider}: nothing has needed any yet"))
        }
        _ => report.note(CHECK, &text),
    }
}

fn bucket(status: &BucketStatus, report: &mut Report) -> Result<(), Error> {
    const CHECK: &str = "s3";
    let BucketStatus { bucket, requests, .. } = status;
    let ago = |seconds: Option<u64>| time_span(seconds.unwrap_or_default());
    if let Some(fault) = &status.fault {
        let since = ago(status.fault_since);
        return report.failed(CHECK, &format!("s3://{bucket}/: no answer for {since}: {fault}"));
    }
    match &status.refusal {
        Some(refusal) if status.is_refused => {
            let text =
                format!("s3://{bucket}/: refused {} ago: {refusal}", ago(status.refused_ago));
            report.failed(CHECK, &text)
        }
        Some(refusal) => {
            let ago = ago(status.refused_ago);
            report.note(
                CHECK,
                &format!("s3://{bucket}/: answers; the last refusal was {ago} ago: {refusal}"),
            )
        }
        None => {
            let text = format!("s3://{bucket}/: no fault, no refusal; requests so far: {requests}");
            report.ok(CHECK, &text)
        }
    }
}
