//! The kinds of credentials that may open a bucket: the one that is preferred, and another one to
//! ask where it is refused.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::Client;

use super::clock_skew::ClockSkew;
use super::{BucketLocation, client};
use crate::credentials::CredentialsCache;
use crate::error::{Error, Refusal};

/// One kind of credentials, with a client that signs with them.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) client: Client,
    pub(super) credentials: Arc<CredentialsCache>,
    /// The client learns the time for itself.
    pub(super) clock: ClockSkew,
    has_worked: AtomicBool,
    has_helped: AtomicBool,
    refusal: Mutex<Option<Error>>,
}

/// Nothing is settled for good: permissions may differ from key to key, and credentials end. What
/// opened something last is asked first.
#[derive(Debug)]
pub(super) struct FallbackChain {
    first: Way,
    /// Or why there is none.
    fallback: Option<Result<Way, Error>>,
    prefers_fallback: AtomicBool,
}

impl FallbackChain {
    pub(super) fn new(
        place: &BucketLocation,
        first: Arc<CredentialsCache>,
        fallback: Option<Result<Arc<CredentialsCache>, Error>>,
    ) -> Result<Self, Error> {
        let fallback =
            fallback.map(|fallback| fallback.map(|credentials| Way::new(place, credentials)));
        let fallback = match fallback {
            Some(Ok(way)) => Some(Ok(way?)),
            Some(Err(reason)) => Some(Err(reason)),
            None => None,
        };
        Ok(Self {
            first: Way::new(place, first)?,
            fallback,
            prefers_fallback: AtomicBool::default(),
        })
    }

    /// The way to try first.
    pub(super) fn preferred(&self) -> &Way {
        self.fallback()
            .filter(|_| self.prefers_fallback.load(Ordering::Relaxed))
            .unwrap_or(&self.first)
    }

    /// The way to try where `refused` was.
    pub(super) fn instead_of(&self, refused: &Way) -> Option<&Way> {
        let fallback = self.fallback()?;
        Some(if std::ptr::eq(refused, fallback) { &self.first } else { fallback })
    }

    /// Prefers `way`, which was answered where the other was refused. Answers whether it is the
    /// first time that it was of help.
    pub(super) fn prefer(&self, way: &Way) -> bool {
        self.prefers_fallback.store(!std::ptr::eq(way, &self.first), Ordering::Relaxed);
        !way.has_helped.swap(true, Ordering::Relaxed)
    }

    /// `refusal`, with the reason for which there is nothing to fall back on, if there should be.
    pub(super) fn alone(&self, refusal: Refusal) -> Refusal {
        match &self.fallback {
            Some(Err(reason)) => refusal.and(self.first.credentials.name(), reason, "Earthdata"),
            _ => refusal,
        }
    }

    /// What an operation whose deadline has passed was waiting for, if that was credentials.
    pub(super) fn timeout_cause(&self) -> Option<Error> {
        // Of two ways one may have failed for good, and the other be what is waited for.
        let renewed = self
            .both()
            .filter(|way| way.credentials.is_renewing())
            .find_map(|way| way.credentials.timeout_cause());
        renewed.or_else(|| self.preferred().credentials.timeout_cause())
    }

    /// Whether any of them was answered.
    pub(super) fn have_worked(&self) -> bool {
        self.both().any(Way::has_worked)
    }

    /// Why the first credentials were refused last, and why those to fall back on were.
    pub(super) fn refusals(&self) -> Option<(Error, Option<Error>)> {
        Some((self.first.refusal()?, self.fallback()?.refusal()))
    }

    fn both(&self) -> impl Iterator<Item = &Way> {
        [Some(&self.first), self.fallback()].into_iter().flatten()
    }

    fn fallback(&self) -> Option<&Way> {
        self.fallback.as_ref()?.as_ref().ok()
    }
}

impl Way {
    fn new(place: &BucketLocation, credentials: Arc<CredentialsCache>) -> Result<Self, Error> {
        let client = client::new(place, credentials.clone())?;
        let (has_worked, has_helped) = (AtomicBool::default(), AtomicBool::default());
        Ok(Self {
            client,
            credentials,
            clock: ClockSkew::default(),
            has_worked,
            has_helped,
            refusal: Mutex::default(),
        })
    }

    /// Notes that S3 took the credentials.
    pub(super) fn worked(&self) {
        self.has_worked.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_worked(&self) -> bool {
        self.has_worked.load(Ordering::Relaxed)
    }

    /// Notes a refusal, and answers whether it is the first.
    pub(super) fn was_refused(&self, refusal: &Error) -> bool {
        self.refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(refusal.clone())
            .is_none()
    }

    fn refusal(&self) -> Option<Error> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
