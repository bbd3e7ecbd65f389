//! The login conversation: from an identity to temporary S3 credentials.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::classify::{self, Answer};
use super::identity::{Identity, Password, Token};
use super::shared_identity::SharedIdentity;
use super::temporary_credentials::TemporaryCredentials;
use crate::error::{Error, Problem, Refusal};
use crate::http::host::{host_of, require_encrypted};
use crate::http::{self, Client, Request, Response, StatusCode, Url};

/// The documented conversation has four hops; the rest is room for a DAAC that redirects within its
/// own server.
const MAX_HOPS: usize = 10;
/// The time limit of a whole conversation. A login takes well under a second; NASA's gateways give
/// up after 30.
const TIMEOUT: Duration = Duration::from_secs(45);
/// How long a refused token is not tried again while the password is as good: a fault of the
/// endpoint may look like a refusal, and passes.
const TOKEN_PAUSE: Duration = Duration::from_secs(3600);

/// A login at one endpoint with one identity, which is read again for each conversation.
///
/// It keeps the cookies of the conversation, so that a renewal is one request until the endpoint
/// redirects again.
#[derive(Debug)]
pub struct Login {
    endpoint: Url,
    /// `host` or `host:port`: the only host that the password is sent to.
    earthdata_host: String,
    identity: Arc<SharedIdentity>,
    current_host: Mutex<String>,
    history: Mutex<History>,
}

/// What the conversations so far have left.
#[derive(Debug)]
struct History {
    /// The client has the cookies.
    client: Client,
    /// The identity of the last conversation.
    shown: Option<Arc<Identity>>,
    /// The token that was refused where the password was not, and when.
    refused: Option<(Token, Instant)>,
    /// The token whose refusal is in the log.
    logged: Option<Token>,
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
        identity: impl Into<Arc<SharedIdentity>>,
    ) -> Result<Self, Error> {
        let endpoint = Url::parse(endpoint).map_err(|e| {
            let problem = Problem::new("the credentials endpoint is not a URL").about(endpoint);
            Error::usage(problem.caused_by(e))
        })?;
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            return Err(Error::usage(
                "the credentials endpoint must not hold a user name or password; use a netrc file",
            ));
        }
        require_encrypted(&endpoint)?;
        let client = Client::with_cookies(&endpoint)?;
        Ok(Self {
            current_host: Mutex::new(host_of(&endpoint)),
            endpoint,
            earthdata_host: earthdata_host.to_owned(),
            identity: identity.into(),
            history: Mutex::new(History { client, shown: None, refused: None, logged: None }),
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

    /// Returns whether the user has another identity now than the last conversation has shown.
    /// Reads no more often than once a second.
    pub(crate) async fn has_new_identity(&self) -> bool {
        let now = self.identity.look().await;
        let shown = self.history.lock().shown.clone();
        shown.is_some_and(|shown| !Arc::ptr_eq(&shown, &now))
    }

    /// Forgets that the token was refused: the next conversation tries it again.
    pub(crate) fn forget_refusal(&self) {
        self.history.lock().refused = None;
    }

    async fn converse(&self) -> Result<TemporaryCredentials, Error> {
        let identity = self.identity.read_again().await;
        self.identity.warn_of_token_end(&self.earthdata_host);
        self.begin(&identity)?;
        let refused = match self.token_to_show(&identity) {
            None => None,
            Some(token) => match self.show_token(token).await? {
                Some(response) => return self.read_credentials(response).await,
                None => Some(token),
            },
        };
        if let Some(token) = refused {
            tracing::debug!(endpoint = %self.endpoint, "the token was refused");
            if identity.password.is_none() {
                return Err(self.token_refused(&token.origin).into());
            }
            self.log_refusal(token);
        }
        let outcome = self.follow_redirects(&identity).await;
        let mut history = self.history.lock();
        match (&outcome, refused) {
            (Ok(_), Some(token)) => history.refused = Some((token.clone(), Instant::now())),
            (Ok(_), None) => {}
            // What is left to try next time is the token.
            (Err(_), _) => history.refused = None,
        }
        outcome
    }

    /// Takes in what this conversation shows. Another user begins without the cookies of the last.
    fn begin(&self, identity: &Arc<Identity>) -> Result<(), Error> {
        let mut history = self.history.lock();
        let last = history.shown.replace(identity.clone());
        if last.is_some_and(|last| !last.is_same_user(identity)) {
            history.client = Client::with_cookies(&self.endpoint)?;
        }
        Ok(())
    }

    /// The token, unless it was refused a while ago and the password has served since.
    fn token_to_show<'i>(&self, identity: &'i Identity) -> Option<&'i Token> {
        let token = identity.token.as_ref()?;
        let history = self.history.lock();
        let is_paused = history.refused.as_ref().is_some_and(|(refused, at)| {
            refused.is_same(token) && at.elapsed() < TOKEN_PAUSE && identity.password.is_some()
        });
        (!is_paused).then_some(token)
    }

    fn log_refusal(&self, token: &Token) {
        let logged = self.history.lock().logged.replace(token.clone());
        if logged.is_none_or(|logged| !logged.is_same(token)) {
            tracing::warn!(
                endpoint = %self.endpoint,
                origin = token.origin,
                "the Earthdata token was refused; using the password, and trying the token again \
                 in an hour"
            );
        }
    }

    fn client(&self) -> Client {
        self.history.lock().client.clone()
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
    async fn follow_redirects(&self, identity: &Identity) -> Result<TemporaryCredentials, Error> {
        let mut url = self.endpoint.clone();
        let mut is_password_sent = false;
        for _ in 0..MAX_HOPS {
            require_encrypted(&url)?;
            let response = if classify::is_login_page(&url) {
                self.require_earthdata_host(&url)?;
                if std::mem::replace(&mut is_password_sent, true) {
                    return Err(self.unexpected("it asked for the password a second time"));
                }
                self.submit_password(&url, identity).await?
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
        self.client().get(url).header("app-name", "granulefs")
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
    async fn submit_password(
        &self,
        login_page: &Url,
        identity: &Identity,
    ) -> Result<Response, Error> {
        let Some(password) = &identity.password else {
            let token = identity.token.as_ref();
            let origin = token.map_or("the identity", |token| &token.origin);
            return Err(self.token_refused(origin).into());
        };
        let send = self.send_password(login_page, password);
        self.identity.password_guard.attempt(password, send).await
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
        let form = self.client().post_form(login_page, &[("credentials", &encoded)]);
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
