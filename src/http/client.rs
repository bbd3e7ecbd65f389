//! The client, what it asks, and what comes back.

use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};

use super::surroundings::{added_authorities, may_be_proxied};
use crate::error::{Error, Problem, StoreAnswer};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The headers that hold a request's id: of the AWS gateway before an endpoint, of CMR, and of
/// Earthdata Login.
const REQUEST_IDS: [&str; 3] = ["x-amzn-requestid", "cmr-request-id", "x-request-id"];

/// A client for one server and those that it redirects to. It follows no redirect by itself, since
/// each hop may see other secrets.
#[derive(Clone)]
pub(crate) struct Client(reqwest::Client);

impl Client {
    /// Returns a client for the server of `url` that gives up a request, with the body of its
    /// answer, after `timeout`.
    pub(crate) fn with_timeout(url: &Url, timeout: Duration) -> Result<Self, Error> {
        Self::build(Self::builder(url)?.timeout(timeout))
    }

    /// Returns a client for the server of `url` that keeps cookies. The caller sets the time limit.
    pub(crate) fn with_cookies(url: &Url) -> Result<Self, Error> {
        Self::build(Self::builder(url)?.cookie_store(true))
    }

    fn builder(url: &Url) -> Result<ClientBuilder, Error> {
        let builder = reqwest::Client::builder()
            .tls_certs_merge(added_authorities()?.certificates.clone())
            .user_agent(concat!("granulefs/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT);
        Ok(if may_be_proxied(url) { builder } else { builder.no_proxy() })
    }

    fn build(builder: ClientBuilder) -> Result<Self, Error> {
        let client = builder.build().map_err(|e| {
            let words = "cannot set up the HTTP client; are there CA certificates on this machine?";
            Error::store(Problem::new(words).caused_by(Failure::from(e)))
        })?;
        Ok(Self(client))
    }

    /// Returns a GET of `url`.
    pub(crate) fn get(&self, url: &Url) -> Request {
        Request(self.0.get(url.clone()))
    }

    /// Returns a POST of a form to `url`.
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
    /// Adds a header.
    pub(crate) fn header(self, name: &'static str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// Adds `Authorization: Bearer`.
    pub(crate) fn bearer(self, token: &SecretString) -> Self {
        Self(self.0.bearer_auth(token.expose_secret()))
    }

    /// Adds `Authorization: Basic`.
    pub(crate) fn basic(self, user: &str, password: &SecretString) -> Self {
        Self(self.0.basic_auth(user, Some(password.expose_secret())))
    }

    /// Sends it and returns the head of the answer, whatever its status.
    pub(crate) async fn send(self) -> Result<Response, Failure> {
        Ok(Response(self.0.send().await?))
    }
}

/// An answer whose body has not been read. It has no `Debug`, since its headers hold cookies.
pub(crate) struct Response(reqwest::Response);

impl Response {
    /// Returns the status.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// Returns the URL that was asked.
    pub(crate) fn url(&self) -> &Url {
        self.0.url()
    }

    /// Returns where a redirect leads to.
    pub(crate) fn location(&self) -> Option<Url> {
        let location = self.0.headers().get(LOCATION)?.to_str().ok()?;
        self.url().join(location).ok()
    }

    /// Returns the time by the server's clock.
    pub(crate) fn server_time(&self) -> Option<SystemTime> {
        let date = self.0.headers().get(DATE)?.to_str().ok()?;
        httpdate::parse_http_date(date).ok()
    }

    /// Returns the status, and the id by which the server's people find the request in their logs.
    pub(crate) fn store_answer(&self) -> StoreAnswer {
        let header = |name: &&str| self.0.headers().get(*name)?.to_str().ok();
        StoreAnswer {
            status: self.status().as_u16(),
            code: None,
            request_id: REQUEST_IDS.iter().find_map(header).map(Into::into),
        }
    }

    /// Returns the whole body.
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

/// Returns whether a server that answers `status` may answer otherwise soon. Cumulus answers 424
/// when AWS's token service (STS) behind it fails.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::FAILED_DEPENDENCY
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::REQUEST_TIMEOUT
        )
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn answer(head: &str) -> (Url, Result<Response, Failure>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/s3credentials?code=hush", listener.local_addr().unwrap());
        let url = Url::parse(&url).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(head.as_bytes()).await.unwrap();
        };
        let client = Client::with_cookies(&url).unwrap();
        let (sent, ()) = tokio::join!(client.get(&url).send(), serve);
        (url, sent)
    }

    #[tokio::test]
    async fn an_answer_says_where_when_and_under_which_id() {
        let head = "HTTP/1.1 302 Found\r\nLocation: /login\r\nX-Amzn-RequestId: 5d1c-9\r\n\
                    Date: Thu, 01 Jan 1970 00:01:00 GMT\r\nContent-Length: 0\r\n\r\n";
        let (url, response) = answer(head).await;
        let response = response.unwrap();
        assert_eq!(response.location(), url.join("/login").ok());
        assert_eq!(response.server_time(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(60)));
        assert_eq!(response.store_answer().to_string(), "status 302, request id 5d1c-9");
    }

    #[tokio::test]
    async fn a_failure_keeps_its_cause_and_hides_the_url() {
        let (_, response) = answer("nonsense\r\n\r\n").await;
        let failure = response.err().unwrap();
        assert!(std::error::Error::source(&failure).is_some());
        assert!(!format!("{failure} {failure:?}").contains("hush"));
    }
}
