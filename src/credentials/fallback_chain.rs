//! The kinds of credentials that may open a bucket: the one that is preferred, and another one to
//! fall back on where it is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::CredentialsCache;
use crate::error::{Error, Refusal};

/// One or two kinds of credentials for the same bucket.
///
/// No choice is final: permissions may differ from key to key, and credentials end. The kind that
/// opened something last is tried first.
#[derive(Debug)]
pub struct FallbackChain {
    first: Candidate,
    /// Or why there is nothing to fall back on.
    fallback: Option<Result<Candidate, Error>>,
    prefers_fallback: AtomicBool,
}

/// One kind of credentials, and what became of it.
#[derive(Debug)]
struct Candidate {
    cache: Arc<CredentialsCache>,
    /// S3 has answered a request of these credentials.
    has_worked: AtomicBool,
    /// These credentials have opened something that the others did not.
    has_helped: AtomicBool,
    last_refusal: Mutex<Option<Error>>,
}

impl FallbackChain {
    /// Takes the credentials to try first, and others to fall back on or the reason for which there
    /// are none.
    #[must_use]
    pub fn new(
        first: Arc<CredentialsCache>,
        fallback: Option<Result<Arc<CredentialsCache>, Error>>,
    ) -> Self {
        let fallback = fallback.map(|fallback| fallback.map(Candidate::new));
        Self { first: Candidate::new(first), fallback, prefers_fallback: AtomicBool::default() }
    }

    /// Runs `request`, about something in `bucket`, with the preferred credentials and, where those
    /// are refused, with the others.
    ///
    /// # Errors
    /// Those of `request`; where both are refused, one refusal that tells of both.
    pub async fn run<T, F>(
        &self,
        bucket: &str,
        request: impl Fn(Arc<CredentialsCache>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let preferred = self.preferred();
        let refusal = match request(preferred.cache.clone()).await {
            Err(Error::Refused(refusal)) => refusal,
            outcome => {
                preferred.record(&outcome);
                return outcome;
            }
        };
        preferred.record_refusal(&refusal.clone().into());
        let Some(other) = self.alternative_to(preferred) else {
            return Err(self.without_fallback(refusal).into());
        };
        // Credentials that open something else are believed before a login is waited for that
        // fails.
        let available = if preferred.has_worked() && refusal.is_denial() {
            other.cache.ensure_available().await
        } else {
            Ok(())
        };
        let others = other.cache.name();
        let outcome = match available {
            Ok(()) => request(other.cache.clone()).await,
            Err(failed) => Err(failed),
        };
        if let Err(too @ Error::Refused(other_refusal)) = &outcome {
            if other.record_refusal(too) && !other_refusal.is_denial() {
                let words = "other credentials do not help either";
                tracing::warn!(bucket, asked = others, %too, "{words}");
            }
            return Err(refusal.and(preferred.cache.name(), too, others).into());
        }
        if other.record(&outcome) && self.prefer(other) {
            tracing::warn!(
                bucket, %refusal, from = others,
                "other credentials open what these do not, and are preferred from now on"
            );
        }
        outcome
    }

    /// Returns what an operation whose deadline has passed was waiting for, if that was
    /// credentials.
    #[must_use]
    pub fn timeout_cause(&self) -> Option<Error> {
        // Of two kinds one may have failed for good, and the other be what is waited for.
        let renewing = self.both().filter(|candidate| candidate.cache.is_renewing());
        let mut causes = renewing.filter_map(|candidate| candidate.cache.timeout_cause());
        causes.next().or_else(|| self.preferred().cache.timeout_cause())
    }

    /// Lets the next request ask for credentials at once, whatever was refused.
    pub fn forget_refusals(&self) {
        self.both().for_each(|candidate| candidate.cache.forget_refusal());
    }

    /// Returns whether S3 has answered a request of any of them.
    #[must_use]
    pub fn has_worked(&self) -> bool {
        self.both().any(Candidate::has_worked)
    }

    /// Returns why the first credentials were refused last, and why those to fall back on were, if
    /// so; `None` without a fallback, and while the first were never refused.
    #[must_use]
    pub fn refusals(&self) -> Option<(Error, Option<Error>)> {
        Some((self.first.last_refusal()?, self.fallback()?.last_refusal()))
    }

    /// Returns the caches of all of them.
    pub fn caches(&self) -> impl Iterator<Item = &Arc<CredentialsCache>> {
        self.both().map(|candidate| &candidate.cache)
    }

    fn preferred(&self) -> &Candidate {
        let fallback = self.fallback().filter(|_| self.prefers_fallback.load(Ordering::Relaxed));
        fallback.unwrap_or(&self.first)
    }

    fn alternative_to(&self, refused: &Candidate) -> Option<&Candidate> {
        let fallback = self.fallback()?;
        Some(if std::ptr::eq(refused, fallback) { &self.first } else { fallback })
    }

    /// Prefers `candidate`, which was answered where the other was refused. Returns whether it is
    /// the first time that it has helped.
    fn prefer(&self, candidate: &Candidate) -> bool {
        let is_fallback = !std::ptr::eq(candidate, &self.first);
        self.prefers_fallback.store(is_fallback, Ordering::Relaxed);
        !candidate.has_helped.swap(true, Ordering::Relaxed)
    }

    /// Returns `refusal`, with the reason for which there is nothing to fall back on, if there
    /// should be.
    fn without_fallback(&self, refusal: Refusal) -> Refusal {
        match &self.fallback {
            Some(Err(reason)) => refusal.and(self.first.cache.name(), reason, "Earthdata"),
            _ => refusal,
        }
    }

    fn both(&self) -> impl Iterator<Item = &Candidate> {
        [Some(&self.first), self.fallback()].into_iter().flatten()
    }

    fn fallback(&self) -> Option<&Candidate> {
        self.fallback.as_ref()?.as_ref().ok()
    }
}

impl Candidate {
    fn new(cache: Arc<CredentialsCache>) -> Self {
        let (has_worked, has_helped) = (AtomicBool::default(), AtomicBool::default());
        Self { cache, has_worked, has_helped, last_refusal: Mutex::default() }
    }

    /// Records `outcome`, and returns whether S3 has let the credentials in, whatever it said about
    /// the object.
    fn record<T>(&self, outcome: &Result<T, Error>) -> bool {
        let is_let_in = matches!(
            outcome,
            Ok(_) | Err(Error::NotFound(_) | Error::Replaced(_) | Error::Archived { .. })
        );
        if is_let_in {
            self.has_worked.store(true, Ordering::Relaxed);
        }
        is_let_in
    }

    fn has_worked(&self) -> bool {
        self.has_worked.load(Ordering::Relaxed)
    }

    /// Records a refusal, and returns whether it is the first.
    fn record_refusal(&self, refusal: &Error) -> bool {
        self.last_refusal.lock().replace(refusal.clone()).is_none()
    }

    fn last_refusal(&self) -> Option<Error> {
        self.last_refusal.lock().clone()
    }
}
