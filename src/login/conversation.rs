//! The login conversation: from an identity to temporary S3 credentials.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use parking_lot::Mutex;
use secrecy::ExposeSecret;

use super::classify::{self, Answer};
use super::identity::{Identity, Password, Token};
use super::temporary_credentials::TemporaryCredentials;
use crate::error::{Error, Problem, Refusal};
use crate::http::host::{host_of, parse_url, require_encrypted};
use crate::http::{self, Client, Request, Response, StatusCode, Url};

/// The documented conversation has four hops; the rest is room for a DAAC that redirects within its
/// own server.
const MAX_HOPS: usize = 10;
/// The time limit of a whole conversation. A login takes well under a second; NASA's gateways give
/// up after 30.
const TIMEOUT: Duration = Duration::from_secs(45);

/// A login at one endpoint with one identity.
///
/// It keeps the cookies of the conversation, so that a renewal is one request until the endpoint
/// redirects again.
#[derive(Debug)]
pub struct Login {
    client: Client,
    endpoint: Url,
    /// `host` or `host:port`: the only host that the password is sent to.
    earthdata_host: String,
    identity: Arc<Identity>,
    is_token_refused: AtomicBool,
    current_host: Mutex<String>,
}

impl Login {
    /// Prepares a login at `endpoint` (an /s3credentials URL) with Earthdata Login at
    /// `earthdata_host` (`host` or `host:port`). Connects nowhere yet.
    ///
    /// # Errors
    /// [`Error::Usage`] when `endpoint` is not a URL or holds a password, [`Refusal::Unencrypted`]
    /// when it is neither https nor on this machine.
    pub fn new(
        endpoint: &str,
        earthdata_host: &str,
        identity: impl Into<Arc<Identity>>,
    ) -> Result<Self, Error> {
        let endpoint = parse_url(endpoint)
            .map_err(|words| Error::usage(Problem::new(words).about(endpoint)))?;
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            return Err(Error::usage(
                "the credentials endpoint must not hold a user name or password; use a netrc file",
            ));
        }
        require_encrypted(&endpoint)?;
        Ok(Self {
            client: Client::with_cookies(&endpoint)?,
            current_host: Mutex::new(host_of(&endpoint)),
            endpoint,
            earthdata_host: earthdata_host.to_owned(),
            identity: identity.into(),
            is_token_refused: AtomicBool::new(false),
        })
    }

    /// Returns the /s3credentials URL.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.endpoint.as_str()
    }

    /// Returns the host that is being asked, or was asked last: `host` or `host:port`.
    #[must_use]
    pub fn current_host(&self) -> String {
        self.current_host.lock().clone()
    }

    /// Has the conversation, or the one request that is left of it while the kept cookies serve.
    ///
    /// # Errors
    /// [`Error::Refused`] with what the user can do when Earthdata says no, [`Error::Transient`]
    /// for everything that may pass.
    pub async fn temporary_credentials(&self) -> Result<TemporaryCredentials, Error> {
        let outcome = tokio::time::timeout(TIMEOUT, self.converse()).await;
        outcome.unwrap_or_else(|_| {
            Err(Error::transient(format!(
                "no answer from {} in {} s",
                self.current_host(),
                TIMEOUT.as_secs()
            )))
        })
    }

    async fn converse(&self) -> Result<TemporaryCredentials, Error> {
        let token = self.identity.token.as_ref();
        let Some(token) = token.filter(|_| !self.is_token_refused.load(Ordering::Relaxed)) else {
            return self.follow_redirects().await;
        };
        if let Some(response) = self.show_token(token).await? {
            return self.read_credentials(response).await;
        }
        tracing::debug!(endpoint = %self.endpoint, "the token was refused");
        if self.identity.password.is_none() {
            return Err(self.token_refused(&token.origin).into());
        }
        tracing::warn!(
            endpoint = %self.endpoint,
            origin = token.origin,
            "the Earthdata token was refused; using the password from now on"
        );
        self.is_token_refused.store(true, Ordering::Relaxed);
        self.follow_redirects().await
    }

    /// Returns the endpoint's answer to the bearer token, or `None` when the token is refused. The
    /// token follows redirects within the endpoint's own server only.
    async fn show_token(&self, token: &Token) -> Result<Option<Response>, Error> {
        let mut url = self.endpoint.clone();
        for _ in 0..MAX_HOPS {
            let response = self.send(&url, self.get(&url).bearer(&token.secret)).await?;
            if !response.status().is_redirection() {
                let is_refused = classify::is_token_refusal(response.status());
                return Ok((!is_refused).then_some(response));
            }
            match response.location() {
                Some(next)
                    if next.origin() == self.endpoint.origin()
                        && !classify::is_login_page(&next) =>
                {
                    url = next;
                }
                _ => break,
            }
        }
        Ok(None)
    }

    /// Follows the endpoint's redirects and answers the login page with the password.
    async fn follow_redirects(&self) -> Result<TemporaryCredentials, Error> {
        let mut url = self.endpoint.clone();
        let mut is_password_sent = false;
        for _ in 0..MAX_HOPS {
            require_encrypted(&url)?;
            let response = if classify::is_login_page(&url) {
                self.require_earthdata_host(&url)?;
                if std::mem::replace(&mut is_password_sent, true) {
                    return Err(self.unexpected("it asked for the password a second time"));
                }
                self.submit_password(&url).await?
            } else {
                self.send(&url, self.get(&url)).await?
            };
            if !response.status().is_redirection() {
                return self.read_credentials(response).await;
            }
            let Some(next) = response.location() else {
                return Err(self.unexpected(&format!("{} redirected to nowhere", host_of(&url))));
            };
            if let Some(error) = classify::denial(&next, &self.earthdata_host) {
                return Err(error);
            }
            url = next;
        }
        Err(self.unexpected("too many redirects"))
    }

    fn get(&self, url: &Url) -> Request {
        self.client.get(url).header("app-name", "granulefs")
    }

    async fn send(&self, url: &Url, request: Request) -> Result<Response, Error> {
        let host = host_of(url);
        self.current_host.lock().clone_from(&host);
        let response = request.send().await.map_err(|e| http::no_answer(&host, e))?;
        tracing::debug!(host, path = url.path(), status = %response.status(), "login");
        Ok(response)
    }

    /// Lets the password go to no other host, whatever the endpoint says.
    fn require_earthdata_host(&self, login_page: &Url) -> Result<(), Refusal> {
        let host = host_of(login_page);
        if host == self.earthdata_host {
            return Ok(());
        }
        Err(Refusal::ForeignLogin {
            endpoint: self.endpoint().into(),
            host: host.into(),
            configured: self.earthdata_host.as_str().into(),
        })
    }

    /// Returns the answer to the password: a redirect, or the answer of a server that fails.
    async fn submit_password(&self, login_page: &Url) -> Result<Response, Error> {
        let Some(password) = &self.identity.password else {
            let token = self.identity.token.as_ref();
            let origin = token.map_or("the identity", |token| &token.origin);
            return Err(self.token_refused(origin).into());
        };
        self.identity.password_guard.attempt(self.send_password(login_page, password)).await
    }

    /// Posts the form that NASA documents. A server that knows only HTTP's Basic gets that instead.
    async fn send_password(
        &self,
        login_page: &Url,
        password: &Password,
    ) -> Result<Response, Error> {
        let Password { user, secret, origin } = password;
        let wrong = || Refusal::WrongPassword {
            host: self.earthdata_host.as_str().into(),
            origin: origin.as_str().into(),
        };
        let encoded = BASE64.encode(format!("{user}:{}", secret.expose_secret()));
        let form = self.client.post_form(login_page, &[("credentials", &encoded)]);
        let posted = self.send(login_page, form.header("Origin", self.endpoint.as_str())).await?;
        let status = posted.status();
        if status.is_redirection() || http::is_transient(status) {
            return Ok(posted);
        }
        // A second try with a wrong password would count towards the account's lock.
        if status == StatusCode::UNAUTHORIZED
            && self.text(posted).await?.contains("invalid_credentials")
        {
            return Err(wrong().into());
        }
        let basic = self.send(login_page, self.get(login_page).basic(user, secret)).await?;
        match basic.status() {
            StatusCode::UNAUTHORIZED => Err(wrong().into()),
            status if status.is_redirection() || http::is_transient(status) => Ok(basic),
            other => Err(self.unexpected(&format!(
                "the login page answered {status} to the form and {other} to Basic"
            ))),
        }
    }

    async fn read_credentials(&self, response: Response) -> Result<TemporaryCredentials, Error> {
        let answer = Answer {
            status: response.status(),
            store_answer: response.store_answer(),
            url: response.url().clone(),
            time: response.server_time().unwrap_or_else(SystemTime::now),
            text: self.text(response).await?,
        };
        answer.credentials(&self.endpoint, &self.earthdata_host)
    }

    async fn text(&self, response: Response) -> Result<String, Error> {
        let host = host_of(response.url());
        response.text().await.map_err(|e| {
            Error::transient(Problem::new("the answer broke off").about(host).caused_by(e))
        })
    }

    fn token_refused(&self, origin: &str) -> Refusal {
        Refusal::TokenRefused {
            endpoint: self.endpoint().into(),
            host: self.earthdata_host.as_str().into(),
            origin: origin.into(),
        }
    }

    fn unexpected(&self, detail: &str) -> Error {
        classify::unexpected(&self.endpoint, detail)
    }
}
