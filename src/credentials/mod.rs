//! Hands out session credentials, and swaps them before they die.
//!
//! ```text
//! fresh --(the last quarter of their life)--> ageing --(their end, or S3 says so)--> expired
//!   used as they are           used, while one renewal runs          everyone waits for the renewal
//! ```
//! Time is that since boot, which a wrong or stepped wall clock does not touch and which goes on
//! while the machine is suspended.

mod instance;
mod session;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

pub use instance::instance_region;
pub use session::{Age, Session};
use state::State;

use crate::error::{self, Error, Refusal};
use crate::login::{Login, TemporaryCredentials};
use crate::single_flight::SingleFlight;

/// A denial to credentials younger than this is believed, so that a forbidden prefix causes no
/// storm of logins.
const BELIEVED_WHEN_YOUNGER: Duration = Duration::from_secs(60);
/// Why a request's credentials are doubted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// S3 said that they are expired or invalid.
    Dead,
    /// S3 denied access, which some stores also do to expired credentials.
    Denied,
}

/// Where credentials come from.
#[derive(Debug)]
pub enum Source {
    /// Earthdata Login.
    Earthdata(Box<Login>),
    /// The environment's own AWS credentials.
    Ambient(SharedCredentialsProvider),
}

impl Source {
    /// The AWS SDK's default chain: environment, profile, web identity, container, instance.
    pub async fn ambient() -> Self {
        let chain = aws_config::default_provider::credentials::DefaultCredentialsChain::builder()
            .build()
            .await;
        Self::Ambient(SharedCredentialsProvider::new(chain))
    }

    async fn grant(&self) -> Result<TemporaryCredentials, Error> {
        match self {
            Self::Earthdata(login) => login.temporary_credentials().await,
            Self::Ambient(provider) => {
                let credentials = provider.provide_credentials().await.map_err(|e| {
                    // The SDK writes a list of what it tried.
                    Refusal::NoAmbient { cause: error::chain(&e).into() }
                })?;
                Ok(TemporaryCredentials {
                    access_key: credentials.access_key_id().to_owned(),
                    secret_key: credentials.secret_access_key().into(),
                    session_token: credentials.session_token().map(Into::into),
                    life: credentials
                        .expiry()
                        .map(|expiry| expiry.duration_since(SystemTime::now()).unwrap_or_default()),
                })
            }
        }
    }

    /// What a grant waits for.
    fn waits_for(&self) -> String {
        match self {
            Self::Earthdata(login) => format!("no answer from {} yet", login.current_host()),
            Self::Ambient(_) => "no answer from the credential chain yet".into(),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Earthdata(login) => login.endpoint(),
            Self::Ambient(_) => "the environment",
        }
    }
}

/// The credentials of one endpoint.
#[derive(Debug)]
pub struct CredentialsCache {
    source: Source,
    state: Mutex<State>,
    renewals: SingleFlight<(), Arc<Session>>,
}

impl CredentialsCache {
    /// A store that has no credentials yet.
    #[must_use]
    pub fn new(source: Source) -> Arc<Self> {
        Arc::new(Self { source, state: Mutex::default(), renewals: SingleFlight::default() })
    }

    /// The session to use now. Waits only when there is none that works, then for as long as it
    /// takes.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is none and the source refuses to give one.
    pub async fn session(self: &Arc<Self>) -> Result<Arc<Session>, Error> {
        loop {
            let now = since_boot();
            {
                let state = self.state();
                match (state.age(now), &state.current) {
                    (Age::Fresh, Some(session)) => return Ok(session.clone()),
                    (Age::Ageing, Some(session)) => {
                        if now >= state.not_before && !self.is_renewing() {
                            drop(self.renewal());
                        }
                        return Ok(session.clone());
                    }
                    _ => {}
                }
                if let Some(refused @ Error::Refused(_)) =
                    state.last_failure.as_ref().filter(|_| now < state.not_before)
                {
                    return Err(refused.clone());
                }
            }
            match self.renewal().await {
                Ok(session) => return Ok(session),
                Err(Error::Transient(cause)) => tracing::debug!(%cause, "renewal failed"),
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks for the first session with few retries, for a caller who would rather know than wait.
    ///
    /// # Errors
    /// Those of [`Login::temporary_credentials`].
    pub async fn first_session(self: &Arc<Self>) -> Result<Arc<Session>, Error> {
        const TRIES: usize = 3;
        /// No try begins later: who hangs once hangs again.
        const LATEST: Duration = Duration::from_secs(30);
        let began = Instant::now();
        let mut tries = 1;
        loop {
            match self.renewal().await {
                Err(Error::Transient(_)) if tries < TRIES && began.elapsed() < LATEST => tries += 1,
                Err(Error::Transient(cause)) => {
                    let seconds = began.elapsed().as_secs();
                    return Err(Error::transient(format!(
                        "{cause}; given up after {seconds} s, try again later"
                    )));
                }
                outcome => return outcome,
            }
        }
    }

    /// Waits for a session no longer than one login takes, for a caller who has something to say
    /// without.
    ///
    /// # Errors
    /// [`Error::Refused`], also for a failure that may pass.
    pub async fn at_hand(self: &Arc<Self>) -> Result<(), Error> {
        let failed = {
            let state = self.state();
            if state.age(since_boot()) != Age::Expired {
                return Ok(());
            }
            state.last_failure.clone().filter(|_| since_boot() < state.not_before)
        };
        let failed = match failed {
            Some(failed) => failed,
            None => match self.renewal().await {
                Ok(_) => return Ok(()),
                Err(failed) => failed,
            },
        };
        Err(match failed {
            Error::Transient(cause) => {
                Refusal::NoCredentials { endpoint: self.name().into(), cause }.into()
            }
            refused => refused,
        })
    }

    /// Answers whether a request that S3 refused with `error` is worth a replay, after a renewal
    /// where that can help.
    ///
    /// # Errors
    /// [`Error::Refused`] when the credentials are dead and the source refuses to give others, or
    /// S3 to accept them.
    pub async fn renewed_after(
        self: &Arc<Self>,
        refused: &Session,
        doubt: Doubt,
        error: &Error,
    ) -> Result<bool, Error> {
        let is_dead = {
            let mut state = self.state();
            let now = since_boot();
            if state.current.as_ref().is_none_or(|current| current.number != refused.number) {
                return Ok(true);
            }
            if doubt == Doubt::Dead && state.rejection.is_none() {
                state.rejected(refused, error, now);
            }
            let is_young = now.saturating_sub(refused.issued) < BELIEVED_WHEN_YOUNGER;
            let is_static = refused.grant.life.is_none();
            let is_dead = state.age(now) == Age::Expired;
            // A source that has just refused, or repeated itself, has nothing else to give; one
            // that is down may have.
            let may_renew =
                now >= state.not_before || matches!(state.last_failure, Some(Error::Transient(_)));
            if !is_dead && (is_young || is_static || !may_renew) {
                return Ok(false);
            }
            is_dead
        };
        if is_dead {
            return Ok(self.session().await?.number != refused.number);
        }
        loop {
            match self.renewal().await {
                Ok(session) => return Ok(session.number != refused.number),
                // Nothing is proven: the caller's deadline ends this.
                Err(Error::Transient(cause)) => tracing::debug!(%cause, "renewal failed"),
                Err(error) if self.state().age(since_boot()) == Age::Expired => return Err(error),
                Err(_) => return Ok(false),
            }
        }
    }

    /// What an operation whose deadline has passed was waiting for, if that was credentials.
    #[must_use]
    pub fn timeout_cause(&self) -> Option<Error> {
        let state = self.state();
        let is_waited_for = state.age(since_boot()) == Age::Expired
            && (state.last_failure.is_some() || self.is_renewing());
        let cause = || {
            state.last_failure.as_ref().map_or_else(|| self.source.waits_for(), ToString::to_string)
        };
        let timeout_cause =
            || Refusal::NoCredentials { endpoint: self.name().into(), cause: cause().into() };
        is_waited_for.then(|| timeout_cause().into())
    }

    /// Whether a login is under way.
    #[must_use]
    pub fn is_renewing(&self) -> bool {
        self.renewals.is_in_flight(&())
    }

    /// The /s3credentials URL, or words for the environment.
    #[must_use]
    pub fn name(&self) -> &str {
        self.source.name()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one renewal under way: after the pause that the last failure asked for, a grant from the
    /// source. It goes on when nobody waits any more: a login that takes longer than an operation
    /// may is there for the next one.
    fn renewal(
        self: &Arc<Self>,
    ) -> impl Future<Output = Result<Arc<Session>, Error>> + Send + 'static {
        let store = self.clone();
        let is_new = !self.is_renewing();
        let renewal = self.renewals.join((), || async move {
            let pause = store.state().not_before.saturating_sub(since_boot());
            tokio::time::sleep(pause).await;
            let asked = since_boot();
            let granted = store.source.grant().await;
            store.accept(granted, asked)
        });
        if is_new {
            tokio::spawn(renewal.clone());
        }
        renewal
    }

    fn accept(
        &self,
        granted: Result<TemporaryCredentials, Error>,
        asked: Duration,
    ) -> Result<Arc<Session>, Error> {
        let mut state = self.state();
        let now = since_boot();
        let grant = match granted {
            Ok(grant) => grant,
            Err(error) => {
                // Whoever waits hears of a refusal, and logs it; of the rest the first of a row
                // tells enough.
                let is_told = state.failures > 0
                    || matches!(error, Error::Refused(_)) && state.age(now) == Age::Expired;
                if is_told {
                    tracing::debug!(source = self.name(), %error, "no new S3 credentials");
                } else {
                    tracing::warn!(source = self.name(), %error, "no new S3 credentials");
                }
                state.failed(error.clone(), now);
                return Err(error);
            }
        };
        let repeated = state
            .current
            .as_ref()
            .filter(|current| current.grant.access_key == grant.access_key)
            .cloned();
        if let Some(current) = repeated {
            if let (None, Some(rejection)) = (current.grant.life, state.rejection.clone()) {
                // Nothing will change them by itself.
                state.failed(rejection.clone(), now);
                return Err(rejection);
            }
            let error =
                Error::transient(format!("{} handed out the same credentials again", self.name()));
            let usable = state.age(now) != Age::Expired;
            state.failed(error.clone(), now);
            if usable {
                state.last_failure = None;
                return Ok(current);
            }
            return Err(error);
        }
        state.numbers += 1;
        let session = Arc::new(Session::new(grant, state.numbers, asked, fastrand::f64()));
        tracing::info!(
            source = self.name(),
            life = session.grant.life.map(tracing::field::debug),
            swap = state.numbers,
            "new S3 credentials"
        );
        *state = State {
            current: Some(session.clone()),
            numbers: state.numbers,
            stillborn: state.stillborn,
            ..State::default()
        };
        Ok(session)
    }
}

fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;

    use super::*;
    use crate::login::{Identity, Token};

    /// A store whose session was issued so many seconds ago, and whose source has another one.
    fn store(issued_ago: u64) -> (Arc<CredentialsCache>, Arc<Session>) {
        let provider =
            SharedCredentialsProvider::new(Credentials::new("NEW", "hush", None, None, "test"));
        let store = CredentialsCache::new(Source::Ambient(provider));
        let life = Some(Duration::from_secs(3600));
        let grant = TemporaryCredentials {
            access_key: "OLD".into(),
            secret_key: "hush".into(),
            session_token: None,
            life,
        };
        let issued = since_boot().saturating_sub(Duration::from_secs(issued_ago));
        let session = Arc::new(Session::new(grant, 0, issued, 0.0));
        store.state().current = Some(session.clone());
        (store, session)
    }

    /// Some stores answer 403 AccessDenied, and a bare 403 or 400 to HEAD, to an expired token.
    #[tokio::test]
    async fn a_denial_is_believed_by_young_credentials_and_renews_old_ones_once() {
        for (age, doubt, is_renewed) in [
            (50, Doubt::Denied, false),
            (70, Doubt::Denied, true),
            (0, Doubt::Dead, true),
            (70, Doubt::Dead, true),
        ] {
            let (store, old) = store(age);
            let error = Error::store("denied");
            assert_eq!(
                store.renewed_after(&old, doubt, &error).await.unwrap(),
                is_renewed,
                "{age} s, {doubt:?}"
            );
            let key = store.session().await.unwrap().grant.access_key.clone();
            assert_eq!(key == "NEW", is_renewed);
            // Whoever was refused at the same time replays with what is there.
            let number = store.session().await.unwrap().number;
            assert_eq!(store.renewed_after(&old, doubt, &error).await.unwrap(), is_renewed);
            assert_eq!(store.session().await.unwrap().number, number);
        }
    }

    /// A session of an Earthdata that is down, `age` seconds old.
    fn held(age: u64, life: Option<Duration>) -> (Arc<CredentialsCache>, Arc<Session>) {
        let identity =
            Identity::new(Some(Token { secret: "t".into(), origin: "here".into() }), None);
        // Nobody listens at the discard port.
        let login = Login::new("http://127.0.0.1:9/s3credentials", "localhost", identity).unwrap();
        let store = CredentialsCache::new(Source::Earthdata(Box::new(login)));
        let grant = TemporaryCredentials {
            access_key: "A".into(),
            secret_key: "hush".into(),
            session_token: None,
            life,
        };
        let session = Arc::new(Session::new(
            grant,
            1,
            since_boot().saturating_sub(Duration::from_secs(age)),
            0.5,
        ));
        store.state().current = Some(session.clone());
        (store, session)
    }

    /// What a plain denial leads to within a moment; `None`: it is waited for Earthdata.
    async fn after_denial(age: u64, life: Option<Duration>) -> Option<bool> {
        let (store, session) = held(age, life);
        let denied = Error::store("denied");
        let outcome = tokio::time::timeout(
            Duration::from_millis(200),
            store.renewed_after(&session, Doubt::Denied, &denied),
        );
        outcome.await.ok().map(Result::unwrap)
    }

    #[tokio::test]
    async fn a_denial_that_only_new_credentials_could_prove_waits_for_them() {
        let day = Some(Duration::from_secs(86_400));
        assert_eq!(after_denial(100, day).await, None);
        assert_eq!(after_denial(10, day).await, Some(false));
        assert_eq!(after_denial(100, None).await, Some(false));
    }
}
