//! The conversation that turns an identity into temporary S3 credentials.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::header::{HeaderMap, LOCATION, ORIGIN};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};

use super::identity::{Found, Password};
use super::{Identity, TemporaryCredentials};
use crate::error::{Error, Refusal};
use crate::http;
use crate::http::host::{host_of, require_private};

/// The documented way is four hops; the rest is room for a DAAC that redirects within itself.
const MAX_HOPS: usize = 10;
/// For all of a conversation. A login answers in well under a second; NASA's gateways give up after
/// 30.
const TIMEOUT: Duration = Duration::from_secs(45);
const PASSING: &str = "a fault at its end that may pass";

/// One endpoint and the identity to use there.
///
/// Keeps the cookies of the conversation, so that a renewal is one request until the endpoint
/// redirects again.
#[derive(Debug)]
pub struct Login {
    http: Client,
    endpoint: Url,
    /// `host` or `host:port`: the only place that the password goes to.
    earthdata_host: String,
    identity: Arc<Identity>,
    token_refused: AtomicBool,
    /// The host that was asked last.
    asked: Mutex<String>,
}

impl Login {
    /// A login at `endpoint` (an /s3credentials URL) with Earthdata Login at `earthdata_host`
    /// (`host` or `host:port`).
    ///
    /// # Errors
    /// [`Error::Usage`] when `endpoint` is not a URL, [`Refusal::Unencrypted`] when it is not
    /// private.
    pub fn new(
        endpoint: &str,
        earthdata_host: &str,
        identity: impl Into<Arc<Identity>>,
    ) -> Result<Self, Error> {
        let endpoint = Url::parse(endpoint).map_err(|e| {
            Error::usage(format!("the credentials endpoint {endpoint:?} is no URL: {e}"))
        })?;
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            return Err(Error::usage(
                "the credentials endpoint must not hold a user name or password; use a netrc file",
            ));
        }
        require_private(&endpoint)?;
        let http = http::build(http::builder(&endpoint).cookie_store(true))?;
        let (earthdata_host, identity) = (earthdata_host.to_owned(), identity.into());
        let asked = Mutex::new(host_of(&endpoint));
        Ok(Self {
            http,
            endpoint,
            earthdata_host,
            identity,
            token_refused: AtomicBool::new(false),
            asked,
        })
    }

    /// The /s3credentials URL.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.endpoint.as_str()
    }

    /// The host whose answer a conversation waits for, or had last.
    #[must_use]
    pub fn asked(&self) -> String {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has the conversation, or the one request that is left of it while the kept cookies serve.
    ///
    /// # Errors
    /// [`Error::Refused`] with the way out when Earthdata says no, [`Error::Transient`] for
    /// everything that may pass.
    pub async fn grant(&self) -> Result<TemporaryCredentials, Error> {
        let outcome = tokio::time::timeout(TIMEOUT, self.whole_conversation()).await;
        outcome.unwrap_or_else(|_| {
            Err(Error::transient(format!(
                "no answer from {} in {} s",
                self.asked(),
                TIMEOUT.as_secs()
            )))
        })
    }

    async fn whole_conversation(&self) -> Result<TemporaryCredentials, Error> {
        if let Some(token) =
            self.identity.token.as_ref().filter(|_| !self.token_refused.load(Ordering::Relaxed))
        {
            if let Some(response) = self.show_token(&token.value).await? {
                return self.read_grant(response).await;
            }
            tracing::debug!(endpoint = %self.endpoint, "the token was refused");
            if self.identity.password.is_none() {
                return Err(Refusal::TokenRefused {
                    endpoint: self.endpoint().into(),
                    host: self.earthdata_host.as_str().into(),
                    origin: token.origin.as_str().into(),
                }
                .into());
            }
            tracing::warn!(endpoint = %self.endpoint, origin = token.origin, "the Earthdata token was refused; using the password from now on");
            self.token_refused.store(true, Ordering::Relaxed);
        }
        self.converse().await
    }

    /// The endpoint's answer to the bearer `token`, or `None` when it is refused, as by sending it
    /// on to the login. The token follows redirects within the endpoint's own server only.
    async fn show_token(&self, token: &SecretString) -> Result<Option<Response>, Error> {
        let mut url = self.endpoint.clone();
        for _ in 0..MAX_HOPS {
            let response = self.send(self.ask(&url).bearer_auth(token.expose_secret())).await?;
            if !response.status().is_redirection() {
                return Ok(Some(response).filter(|response| !is_token_refusal(response.status())));
            }
            match self.location(&url, response.headers()) {
                Ok(next) if next.origin() == self.endpoint.origin() && !is_authorize(&next) => {
                    url = next
                }
                _ => break,
            }
        }
        Ok(None)
    }

    /// Follows the endpoint's redirects by hand, since each hop may see other secrets.
    async fn converse(&self) -> Result<TemporaryCredentials, Error> {
        let mut url = self.endpoint.clone();
        let mut submitted = false;
        for _ in 0..MAX_HOPS {
            require_private(&url)?;
            let response = if self.is_login_page(&url)? {
                if std::mem::replace(&mut submitted, true) {
                    return Err(self.astray("it asked for the password a second time"));
                }
                self.submit_password(&url).await?
            } else {
                self.send(self.ask(&url)).await?
            };
            if !response.status().is_redirection() {
                return self.read_grant(response).await;
            }
            url = self.location(&url, response.headers())?;
            if let Some(error) = denial_in(&url, &self.earthdata_host) {
                return Err(error);
            }
        }
        Err(self.astray("too many redirects"))
    }

    fn ask(&self, url: &Url) -> RequestBuilder {
        self.http.get(url.clone()).header("app-name", "granulefs")
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        let request = request.build().map_err(|e| {
            Error::store(format!("cannot ask {}: {}", self.endpoint, http::words(e)))
        })?;
        let host = host_of(request.url());
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&host);
        let answered = self.http.execute(request).await;
        let response = answered
            .map_err(|e| Error::transient(format!("no answer from {host}: {}", http::words(e))))?;
        tracing::debug!(host = response.url().host_str(), path = response.url().path(), status = %response.status(), "login");
        Ok(response)
    }

    fn is_login_page(&self, url: &Url) -> Result<bool, Refusal> {
        if !is_authorize(url) {
            return Ok(false);
        }
        let host = host_of(url);
        if host == self.earthdata_host {
            return Ok(true);
        }
        Err(Refusal::ForeignLogin {
            endpoint: self.endpoint().into(),
            host: host.into(),
            configured: self.earthdata_host.as_str().into(),
        })
    }

    /// The answer to the password is a redirect, or anything else that is no success.
    async fn submit_password(&self, page: &Url) -> Result<Response, Error> {
        let Some(found) = &self.identity.password else {
            let origin = self.identity.token.as_ref().map_or("the identity", |token| &token.origin);
            return Err(Refusal::TokenRefused {
                endpoint: self.endpoint().into(),
                host: self.earthdata_host.as_str().into(),
                origin: origin.into(),
            }
            .into());
        };
        self.identity.attempts.attempt(self.send_password(page, found)).await
    }

    /// Posts the form that NASA documents; a server that knows only the netrc way gets Basic.
    async fn send_password(&self, page: &Url, found: &Found<Password>) -> Result<Response, Error> {
        let (user, password) = (&found.value.user, found.value.password.expose_secret());
        let wrong = || Refusal::WrongPassword {
            host: self.earthdata_host.as_str().into(),
            origin: found.origin.as_str().into(),
        };
        let form = [("credentials", BASE64.encode(format!("{user}:{password}")))];
        let posted = self
            .send(self.http.post(page.clone()).header(ORIGIN, self.endpoint.as_str()).form(&form))
            .await?;
        if posted.status().is_redirection() || is_passing(posted.status()) {
            return Ok(posted);
        }
        let status = posted.status();
        // A second try with a password that is wrong would count towards the account's lock.
        if status == StatusCode::UNAUTHORIZED
            && self.text(posted).await?.contains("invalid_credentials")
        {
            return Err(wrong().into());
        }
        let basic = self.send(self.ask(page).basic_auth(user, Some(password))).await?;
        match basic.status() {
            StatusCode::UNAUTHORIZED => Err(wrong().into()),
            status if status.is_redirection() || is_passing(status) => Ok(basic),
            other => Err(self.astray(&format!(
                "the login page answered {status} to the form and {other} to Basic"
            ))),
        }
    }

    fn location(&self, from: &Url, headers: &HeaderMap) -> Result<Url, Error> {
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        location
            .and_then(|location| from.join(location).ok())
            .ok_or_else(|| self.astray(&format!("{} redirected to nowhere", host_of(from))))
    }

    /// Reads the credentials, or makes an error of every other answer of an endpoint.
    async fn read_grant(&self, response: Response) -> Result<TemporaryCredentials, Error> {
        let status = response.status();
        let at_endpoint = response.url().path() == self.endpoint.path()
            && host_of(response.url()) == host_of(&self.endpoint);
        let server_time = http::server_time(response.headers());
        let place = format!("{}{}", host_of(response.url()), response.url().path());
        let text = self.text(response).await?;
        match status {
            // A TEA behind an alias ends its conversation at its own name.
            StatusCode::OK => {
                TemporaryCredentials::parse(&text, server_time.unwrap_or_else(SystemTime::now))
                    .map_err(|e| match at_endpoint {
                        true => Error::transient(format!("{}: {e}", self.endpoint)),
                        false => self.astray(&format!("it ended at a page of {place}")),
                    })
            }
            StatusCode::FORBIDDEN => Err(self.forbidden(&text).into()),
            status if is_passing(status) => {
                Err(Error::transient(format!("{place} answered {status}, {PASSING}")))
            }
            status => Err(self.astray(&format!("{place} answered {status}"))),
        }
    }

    fn forbidden(&self, text: &str) -> Refusal {
        #[derive(serde::Deserialize)]
        struct Denial {
            #[serde(default)]
            error_description: String,
            resolution_url: String,
        }
        match serde_json::from_str::<Denial>(text) {
            Ok(denial) => resolution(
                &denial.error_description,
                Some(&denial.resolution_url),
                &self.earthdata_host,
            ),
            Err(_) => Refusal::NoData { endpoint: self.endpoint().into() },
        }
    }

    async fn text(&self, response: Response) -> Result<String, Error> {
        response
            .text()
            .await
            .map_err(|e| Error::transient(format!("the answer broke off: {}", http::words(e))))
    }

    fn astray(&self, detail: &str) -> Error {
        Refusal::Conversation { endpoint: self.endpoint().into(), detail: detail.into() }.into()
    }
}

/// Cumulus and TEA answer a refused bearer with a redirect to the login, TEA also with 401, a
/// malformed one with 400.
fn is_token_refusal(status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED || status == StatusCode::BAD_REQUEST
}

fn is_authorize(url: &Url) -> bool {
    url.path().ends_with("/oauth/authorize")
}

/// 424 is Cumulus' word for a failure of STS behind it.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::FAILED_DEPENDENCY
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::REQUEST_TIMEOUT
        )
}

/// Earthdata Login says in the redirect's query what is missing; the page behind it says less.
fn denial_in(url: &Url, earthdata_host: &str) -> Option<Error> {
    let query = |name: &str| {
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let error = query("error")?;
    if matches!(error.as_str(), "server_error" | "temporarily_unavailable") {
        return Some(Error::transient(format!(
            "Earthdata Login at {earthdata_host} says {error}, {PASSING}"
        )));
    }
    let refusal = resolution(
        &query("error_msg").unwrap_or(error),
        query("resolution_url").as_deref(),
        earthdata_host,
    );
    Some(refusal.into())
}

fn resolution(message: &str, resolution_url: Option<&str>, earthdata_host: &str) -> Refusal {
    let message = message.trim().trim_end_matches('.');
    Refusal::Resolution {
        message: if message.is_empty() {
            "an agreement or a profile entry is missing"
        } else {
            message
        }
        .into(),
        resolution_url: resolution_url
            .map_or_else(|| format!("https://{earthdata_host}/profile"), str::to_owned)
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_read_from_the_redirect() {
        let url = "https://d.org/login?error=access_denied&error_msg=Please%20approve%20it.&resolution_url=https%3A%2F%2Fu.org%2Fa";
        let denial = |url: &str| denial_in(&Url::parse(url).unwrap(), "u.org");
        let expected = Refusal::Resolution {
            message: "Please approve it".into(),
            resolution_url: "https://u.org/a".into(),
        };
        assert!(matches!(denial(url), Some(Error::Refused(refusal)) if refusal == expected));
        assert!(denial("https://d.org/login?code=1&state=2").is_none());
        // RFC 6749, 4.1.2.1
        for passing in ["server_error", "temporarily_unavailable"] {
            let error = denial(&format!("https://d.org/login?error={passing}"));
            assert!(matches!(error, Some(Error::Transient(_))), "{error:?}");
        }
    }
}
