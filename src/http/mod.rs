//! The HTTP client for NASA's web services, and which hosts may see a secret.

pub mod host;

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};

use crate::error::{self, Error};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for the server of `url`, which follows no redirect by itself.
pub(crate) fn builder(url: &Url) -> ClientBuilder {
    let http = Client::builder()
        .user_agent(concat!("granulefs/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT);
    // Loopback: a proxy would carry the secrets off this machine in the clear.
    if url.scheme() == "http" { http.no_proxy() } else { http }
}

pub(crate) fn build(builder: ClientBuilder) -> Result<Client, Error> {
    builder
        .build()
        .map_err(|e| Error::store(format!("cannot set up the HTTP client: {}", words(e))))
}

/// An HTTP error with its causes and without its URL, whose query may hold a code.
pub(crate) fn words(error: reqwest::Error) -> String {
    error::chain(&error.without_url())
}

/// What the server's clock said when it answered.
pub(crate) fn server_time(headers: &HeaderMap) -> Option<SystemTime> {
    headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok())
}

/// Whether anything answers at `host` (`host` or `host:port`), and what its clock says.
///
/// # Errors
/// [`Error::Transient`] when nothing does.
pub async fn reach(host: &str) -> Result<Option<SystemTime>, Error> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let root = host::root_of(host)?;
    let http = build(builder(&root).timeout(PATIENCE))?;
    let answer = http
        .get(root)
        .send()
        .await
        .map_err(|e| Error::transient(format!("no answer from {host}: {}", words(e))))?;
    Ok(server_time(answer.headers()))
}
