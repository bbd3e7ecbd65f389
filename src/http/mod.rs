//! The HTTP client for NASA's web services, and which hosts may see a secret.

mod client;
pub mod host;
mod surroundings;

use std::time::{Duration, SystemTime};

pub(crate) use client::{Client, Failure, Request, Response, is_transient};
pub(crate) use reqwest::{StatusCode, Url};
pub(crate) use surroundings::{added_authorities, may_be_proxied};

use crate::error::{Error, Problem};

/// Asks for the root page of `host` (`host` or `host:port`). Returns the time by its clock,
/// whatever else it answers.
///
/// # Errors
/// [`Error::Transient`] when there is no answer within 10 s.
pub async fn probe(host: &str) -> Result<Option<SystemTime>, Error> {
    const TIMEOUT: Duration = Duration::from_secs(10);
    let root = host::root_url(host)?;
    let sent = Client::with_timeout(&root, TIMEOUT)?.get(&root).send().await;
    let response = sent.map_err(|e| no_answer(host, e))?;
    Ok(response.server_time())
}

/// Returns the error of a request to `host` that has no answer.
pub(crate) fn no_answer(host: &str, failure: Failure) -> Error {
    Error::transient(Problem::new(format!("no answer from {host}")).caused_by(failure))
}
