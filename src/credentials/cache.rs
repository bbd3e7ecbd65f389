//! One cache of credentials: three ages, one renewal at a time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use parking_lot::{Mutex, MutexGuard};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::cached::{Age, CachedCredentials};
use super::provider::Provider;
use super::state::State;
use crate::error::{Error, Problem, Refusal};
use crate::single_flight::SingleFlight;

/// A denial to credentials younger than this is believed, so that a forbidden prefix does not cause
/// one login after the other.
const TRUSTED_WHEN_YOUNGER: Duration = Duration::from_secs(60);

/// Why the credentials that signed a request are doubted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// S3 said that they are expired or invalid.
    Invalid,
    /// S3 denied access, which some stores also do to expired credentials.
    Denied,
}

/// The credentials of one provider.
#[derive(Debug)]
pub struct CredentialsCache {
    pub(super) provider: Provider,
    pub(super) state: Mutex<State>,
    renewals: SingleFlight<(), Arc<CachedCredentials>>,
    /// Wakes a renewal that sits out a pause which has been ended.
    pub(super) pause_ended: Notify,
}

impl CredentialsCache {
    /// Returns a cache that has no credentials yet.
    #[must_use]
    pub fn new(provider: Provider) -> Arc<Self> {
        let (state, renewals) = (Mutex::default(), SingleFlight::default());
        Arc::new(Self { provider, state, renewals, pause_ended: Notify::new() })
    }

    /// Returns the credentials to use now. Waits only when there are none that work, then for as
    /// long as it takes.
    ///
    /// # Errors
    /// [`Error::Refused`] when there are none and the provider refuses to give any.
    pub async fn current(self: &Arc<Self>) -> Result<Arc<CachedCredentials>, Error> {
        loop {
            let refused = {
                let (state, now) = (self.state.lock(), since_boot());
                match (state.age(now), &state.current) {
                    (Age::Fresh, Some(current)) => return Ok(current.clone()),
                    (Age::Ageing, Some(current)) => {
                        if now >= state.not_before && !self.is_renewing() {
                            drop(self.renew());
                        }
                        return Ok(current.clone());
                    }
                    _ => {}
                }
                let recent = state.last_failure.clone().filter(|_| now < state.not_before);
                recent.filter(|failure| matches!(failure, Error::Refused(_)))
            };
            if let Some(refused) = refused
                && !self.has_new_identity().await
            {
                return Err(refused);
            }
            match self.renew().await {
                Ok(credentials) => return Ok(credentials),
                Err(Error::Transient(cause)) => tracing::debug!(%cause, "renewal failed"),
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks for the first credentials with few retries, for a caller who would rather know than
    /// wait.
    ///
    /// # Errors
    /// Those of the provider.
    pub async fn first(self: &Arc<Self>) -> Result<Arc<CachedCredentials>, Error> {
        const TRIES: usize = 3;
        /// No try begins later: a login that has hung once will probably hang again.
        const LATEST: Duration = Duration::from_secs(30);
        let began = Instant::now();
        let mut tries = 1;
        loop {
            match self.renew().await {
                Err(Error::Transient(_)) if tries < TRIES && began.elapsed() < LATEST => tries += 1,
                Err(Error::Transient(cause)) => {
                    let seconds = began.elapsed().as_secs();
                    let words = format!("{cause}; given up after {seconds} s, try again later");
                    return Err(Error::transient(Problem::new(words).caused_by(cause)));
                }
                outcome => return outcome,
            }
        }
    }

    /// Waits for credentials no longer than one login takes, for a caller who has something else to
    /// say without them.
    ///
    /// # Errors
    /// [`Error::Refused`], also for a failure that may pass.
    pub async fn ensure_available(self: &Arc<Self>) -> Result<(), Error> {
        let recent_failure = {
            let (state, now) = (self.state.lock(), since_boot());
            if state.age(now) != Age::Expired {
                return Ok(());
            }
            state.last_failure.clone().filter(|_| now < state.not_before)
        };
        let failure = match recent_failure {
            Some(failure) if !self.has_new_identity().await => failure,
            _ => match self.renew().await {
                Ok(_) => return Ok(()),
                Err(failure) => failure,
            },
        };
        Err(match failure {
            transient @ Error::Transient(_) => self.unavailable(transient),
            refused => refused,
        })
    }

    /// Returns whether a request that was signed with `refused`, and that S3 answered with `error`,
    /// is worth a replay: after a renewal where that can help.
    ///
    /// # Errors
    /// [`Error::Refused`] when the credentials have expired and the provider refuses to give
    /// others, or S3 to accept them.
    pub async fn renew_after(
        self: &Arc<Self>,
        refused: &CachedCredentials,
        doubt: Doubt,
        error: &Error,
    ) -> Result<bool, Error> {
        let is_expired = {
            let (mut state, now) = (self.state.lock(), since_boot());
            let current = state.current.as_ref().map(|current| current.generation);
            if current != Some(refused.generation) {
                return Ok(true);
            }
            if doubt == Doubt::Invalid && state.rejection.is_none() {
                state.record_rejection(refused, error, now);
            }
            let is_young = now.saturating_sub(refused.issued) < TRUSTED_WHEN_YOUNGER;
            let is_static = refused.life().is_none();
            let is_expired = state.age(now) == Age::Expired;
            // A provider that has just refused, or repeated itself, has nothing else to give; one
            // that is down may have.
            let may_renew =
                now >= state.not_before || matches!(state.last_failure, Some(Error::Transient(_)));
            if !is_expired && (is_young || is_static || !may_renew) {
                return Ok(false);
            }
            is_expired
        };
        if is_expired {
            return Ok(self.current().await?.generation != refused.generation);
        }
        loop {
            match self.renew().await {
                Ok(credentials) => return Ok(credentials.generation != refused.generation),
                // Nothing is proven: the caller's deadline ends this.
                Err(Error::Transient(cause)) => tracing::debug!(%cause, "renewal failed"),
                Err(error) if self.state.lock().age(since_boot()) == Age::Expired => {
                    return Err(error);
                }
                Err(_) => return Ok(false),
            }
        }
    }

    /// Returns what an operation whose deadline has passed was waiting for, if that was these
    /// credentials.
    #[must_use]
    pub fn timeout_cause(&self) -> Option<Error> {
        let state = self.state.lock();
        let is_waited_for = state.age(since_boot()) == Age::Expired
            && (state.last_failure.is_some() || self.is_renewing());
        let cause = || {
            let last_failure = state.last_failure.clone();
            last_failure.unwrap_or_else(|| Error::Transient(self.provider.waits_for()))
        };
        is_waited_for.then(|| self.unavailable(cause()))
    }

    /// Returns whether a renewal is under way.
    #[must_use]
    pub fn is_renewing(&self) -> bool {
        self.renewals.is_in_flight(&())
    }

    /// Returns the /s3credentials URL, or words for the environment.
    #[must_use]
    pub fn name(&self) -> &str {
        self.provider.name()
    }

    fn unavailable(&self, cause: Error) -> Error {
        let endpoint = self.name().into();
        Refusal::NoCredentials { endpoint, cause: Arc::new(cause) }.into()
    }

    /// Joins or starts the one renewal: after the pause that the last failure asked for, the
    /// provider is asked. It goes on when nobody waits any more: a login that takes longer than an
    /// operation may is there for the next one.
    fn renew(
        self: &Arc<Self>,
    ) -> impl Future<Output = Result<Arc<CachedCredentials>, Error>> + Send + 'static {
        let cache = self.clone();
        let is_new = !self.is_renewing();
        let renewal = self.renewals.join((), || async move {
            cache.sit_out_pause().await;
            let asked = since_boot();
            let provided = cache.provider.credentials().await;
            cache.accept(provided, asked)
        });
        if is_new {
            tokio::spawn(renewal.clone());
        }
        renewal
    }

    /// Takes in what the provider gave when it was asked at `asked`.
    fn accept(
        &self,
        provided: Result<Credentials, Error>,
        asked: Duration,
    ) -> Result<Arc<CachedCredentials>, Error> {
        let mut state = self.state.lock();
        let now = since_boot();
        let keys = match provided {
            Ok(keys) => keys,
            Err(error) => {
                self.log_failure(&state, &error, now);
                state.record_failure(error.clone(), now);
                return Err(error);
            }
        };
        let current = state.current.clone();
        let same = current.filter(|same| same.keys().access_key_id() == keys.access_key_id());
        if let Some(same) = same {
            return self.accept_again(&mut state, same, now);
        }
        state.generation += 1;
        let expiry = keys.expiry();
        let life = expiry.map(|end| end.duration_since(SystemTime::now()).unwrap_or_default());
        let (generation, spread) = (state.generation, fastrand::f64());
        let credentials = CachedCredentials::new(keys, life, generation, asked, spread);
        let credentials = Arc::new(credentials);
        tracing::info!(
            source = self.name(),
            life = life.map(tracing::field::debug),
            generation,
            "new S3 credentials"
        );
        state.replace(credentials.clone());
        Ok(credentials)
    }

    /// Handles credentials that the provider has handed out before.
    fn accept_again(
        &self,
        state: &mut MutexGuard<'_, State>,
        same: Arc<CachedCredentials>,
        now: Duration,
    ) -> Result<Arc<CachedCredentials>, Error> {
        if let (None, Some(rejection)) = (same.life(), state.rejection.clone()) {
            // Nothing will change them by itself.
            state.record_failure(rejection.clone(), now);
            return Err(rejection);
        }
        let words = format!("{} handed out the same credentials again", self.name());
        let problem = Problem::new(words);
        let is_usable = state.age(now) != Age::Expired;
        state.record_failure(Error::Transient(problem.clone()), now);
        if is_usable {
            state.last_failure = None;
            return Ok(same);
        }
        Err(Error::Transient(problem))
    }

    /// A waiter gets a refusal as its own error, which is logged there. Of several other failures
    /// in a row only the first is a warning.
    fn log_failure(&self, state: &State, error: &Error, now: Duration) {
        let is_refusal = matches!(error, Error::Refused(_)) && state.age(now) == Age::Expired;
        if state.failures > 0 || is_refusal {
            tracing::debug!(source = self.name(), %error, "no new S3 credentials");
        } else {
            tracing::warn!(source = self.name(), %error, "no new S3 credentials");
        }
    }
}

pub(super) fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use aws_credential_types::provider::SharedCredentialsProvider;

    use super::*;
    use crate::login::{Identity, Login, Token};

    fn cached(
        key: &str,
        life: Option<Duration>,
        generation: u64,
        seconds_ago: u64,
    ) -> Arc<CachedCredentials> {
        let keys = Credentials::new(key, "hush", None, None, "test");
        let issued = since_boot().saturating_sub(Duration::from_secs(seconds_ago));
        Arc::new(CachedCredentials::new(keys, life, generation, issued, 0.0))
    }

    /// A cache whose credentials were issued so many seconds ago, and whose provider has others.
    fn renewable(issued_ago: u64) -> (Arc<CredentialsCache>, Arc<CachedCredentials>) {
        let new = Credentials::new("NEW", "hush", None, None, "test");
        let provider = Provider::Environment(SharedCredentialsProvider::new(new));
        let cache = CredentialsCache::new(provider);
        let old = cached("OLD", Some(Duration::from_secs(3600)), 0, issued_ago);
        cache.state.lock().current = Some(old.clone());
        (cache, old)
    }

    /// Some stores answer 403 AccessDenied, and a bare 403 or 400 to HEAD, to an expired token.
    #[tokio::test]
    async fn a_denial_is_believed_for_young_credentials_and_renews_old_ones_once() {
        for (age, doubt, is_renewed) in [
            (50, Doubt::Denied, false),
            (70, Doubt::Denied, true),
            (0, Doubt::Invalid, true),
            (70, Doubt::Invalid, true),
        ] {
            let (cache, old) = renewable(age);
            let error = Error::store("denied");
            let may_replay = cache.renew_after(&old, doubt, &error).await.unwrap();
            assert_eq!(may_replay, is_renewed, "{age} s, {doubt:?}");
            let current = cache.current().await.unwrap();
            assert_eq!(current.keys().access_key_id() == "NEW", is_renewed);
            // Whoever was refused at the same time replays with what is there.
            let generation = current.generation;
            assert_eq!(cache.renew_after(&old, doubt, &error).await.unwrap(), is_renewed);
            assert_eq!(cache.current().await.unwrap().generation, generation);
        }
    }

    /// What a plain denial leads to within a moment, for credentials `age` seconds old of an
    /// Earthdata that is down; `None`: Earthdata is waited for.
    async fn after_denial(age: u64, life: Option<Duration>) -> Option<bool> {
        let token = Token { secret: "t".into(), origin: "here".into() };
        let identity = Identity::new(Some(token), None);
        // Nobody listens at the discard port.
        let login = Login::new("http://127.0.0.1:9/s3credentials", "localhost", identity).unwrap();
        let cache = CredentialsCache::new(Provider::Earthdata(Box::new(login)));
        let current = cached("A", life, 1, age);
        cache.state.lock().current = Some(current.clone());
        let denied = Error::store("denied");
        let moment = Duration::from_millis(200);
        let outcome = cache.renew_after(&current, Doubt::Denied, &denied);
        tokio::time::timeout(moment, outcome).await.ok().map(Result::unwrap)
    }

    #[tokio::test]
    async fn a_denial_that_only_new_credentials_could_prove_waits_for_them() {
        let day = Some(Duration::from_secs(86_400));
        assert_eq!(after_denial(100, day).await, None);
        assert_eq!(after_denial(10, day).await, Some(false));
        assert_eq!(after_denial(100, None).await, Some(false));
    }
}
