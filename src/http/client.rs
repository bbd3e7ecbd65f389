//! The client, what it asks, and what comes back.

use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, Problem, StoreAnswer};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The headers that hold a request's id: of the AWS gateway before an endpoint, of CMR, and of
/// Earthdata Login.
const REQUEST_IDS: [&str; 3] = ["x-amzn-requestid", "cmr-request-id", "x-request-id"];

/// A client for one server and those that it redirects to. It follows no redirect by itself, since
/// each hop may see other secrets.
pub(crate) struct Client(reqwest::Client);

impl Client {
    /// A client for the server of `url` that gives up a request, with the body of its answer, after
    /// `timeout`.
    pub(crate) fn with_timeout(url: &Url, timeout: Duration) -> Result<Self, Error> {
        Self::build(Self::builder(url).timeout(timeout))
    }

    /// A client for the server of `url` that keeps cookies. The caller sets the time limit.
    pub(crate) fn with_cookies(url: &Url) -> Result<Self, Error> {
        Self::build(Self::builder(url).cookie_store(true))
    }

    fn builder(url: &Url) -> ClientBuilder {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("granulefs/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT);
        // Plain http is spoken to this machine only: a proxy would carry the secrets off it in the
        // clear.
        if url.scheme() == "http" { builder.no_proxy() } else { builder }
    }

    fn build(builder: ClientBuilder) -> Result<Self, Error> {
        let client = builder.build().map_err(|e| {
            Error::store(Problem::new("cannot set up the HTTP client").caused_by(Failure::from(e)))
        })?;
        Ok(Self(client))
    }

    /// A GET of `url`.
    pub(crate) fn get(&self, url: &Url) -> Request {
        Request(self.0.get(url.clone()))
    }

    /// A POST of a form to `url`.
    pub(crate) fn post_form(&self, url: &Url, fields: &[(&str, &str)]) -> Request {
        Request(self.0.post(url.clone()).form(fields))
    }
}

/// Without the cookies, which are secrets.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A request that has not been sent.
#[must_use]
pub(crate) struct Request(RequestBuilder);

impl Request {
    /// With one more header.
    pub(crate) fn header(self, name: &'static str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// With `Authorization: Bearer`.
    pub(crate) fn bearer(self, token: &SecretString) -> Self {
        Self(self.0.bearer_auth(token.expose_secret()))
    }

    /// With `Authorization: Basic`.
    pub(crate) fn basic(self, user: &str, password: &SecretString) -> Self {
        Self(self.0.basic_auth(user, Some(password.expose_secret())))
    }

    /// The head of the answer, whatever its status.
    pub(crate) async fn send(self) -> Result<Response, Failure> {
        Ok(Response(self.0.send().await?))
    }
}

/// An answer whose body has not been read. It has no `Debug`, since its headers hold cookies.
pub(crate) struct Response(reqwest::Response);

impl Response {
    /// The status.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The URL that was asked.
    pub(crate) fn url(&self) -> &Url {
        self.0.url()
    }

    /// Where a redirect leads to.
    pub(crate) fn location(&self) -> Option<Url> {
        let location = self.0.headers().get(LOCATION)?.to_str().ok()?;
        self.url().join(location).ok()
    }

    /// The time by the server's clock.
    pub(crate) fn server_time(&self) -> Option<SystemTime> {
        let date = self.0.headers().get(DATE)?.to_str().ok()?;
        httpdate::parse_http_date(date).ok()
    }

    /// The status, and the id by which the server's people find the request in their logs.
    pub(crate) fn store_answer(&self) -> StoreAnswer {
        let header = |name: &&str| self.0.headers().get(*name)?.to_str().ok();
        StoreAnswer {
            status: self.status().as_u16(),
            code: None,
            request_id: REQUEST_IDS.iter().find_map(header).map(Into::into),
        }
    }

    /// The whole body.
    pub(crate) async fn text(self) -> Result<String, Failure> {
        Ok(self.0.text().await?)
    }
}

/// Why there is no answer, or why it broke off. It has no URL, whose query may hold a login code.
#[derive(Debug)]
pub(crate) struct Failure(reqwest::Error);

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Self(error.without_url())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// Whether a server that answers `status` may answer otherwise soon. Cumulus answers 424 when AWS's
/// token service (STS) behind it fails.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::FAILED_DEPENDENCY
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::REQUEST_TIMEOUT
        )
}
