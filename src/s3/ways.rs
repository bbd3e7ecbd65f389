//! The kinds of credentials that may open a bucket: the one in use, and one to fall back on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::Client;

use super::{Place, client};
use crate::credentials::CredentialStore;
use crate::error::Error;

/// One kind of credentials, with a client that signs with them.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) client: Client,
    pub(super) credentials: Arc<CredentialStore>,
    has_worked: AtomicBool,
    /// It was refused as well, in place of the other one, which works.
    is_no_help: AtomicBool,
    refusal: Mutex<Option<Error>>,
}

/// What has been found to open a bucket is remembered; what was no help where the other was refused is not tried again, once one works.
#[derive(Debug)]
pub(super) struct Ways {
    first: Way,
    fallback: Option<Way>,
    has_fallen_back: AtomicBool,
}

impl Ways {
    pub(super) fn new(place: &Place, first: Arc<CredentialStore>, fallback: Option<Arc<CredentialStore>>) -> Result<Self, Error> {
        let way = |credentials: Arc<CredentialStore>| {
            let client = client::new(place, credentials.clone())?;
            let (has_worked, is_no_help) = (AtomicBool::default(), AtomicBool::default());
            Ok::<_, Error>(Way { client, credentials, has_worked, is_no_help, refusal: Mutex::default() })
        };
        Ok(Self { first: way(first)?, fallback: fallback.map(way).transpose()?, has_fallen_back: AtomicBool::default() })
    }

    pub(super) fn current(&self) -> &Way {
        self.fallback.as_ref().filter(|_| self.has_fallen_back.load(Ordering::Relaxed)).unwrap_or(&self.first)
    }

    /// The way to try where `refused` was: none where it works otherwise and the other was no help before.
    pub(super) fn instead_of(&self, refused: &Way, refusal: &Error) -> Option<&Way> {
        refused.was_refused(refusal);
        let fallback = self.fallback.as_ref()?;
        let other = if std::ptr::eq(refused, fallback) { &self.first } else { fallback };
        let is_settled = refused.has_worked.load(Ordering::Relaxed) && other.is_no_help.load(Ordering::Relaxed);
        (!is_settled).then_some(other)
    }

    /// Notes that `other` was refused where `way` was. Answers whether it is the first refusal of `other`.
    pub(super) fn no_help(&self, way: &Way, other: &Way, refusal: &Error) -> bool {
        other.is_no_help.fetch_or(way.has_worked.load(Ordering::Relaxed), Ordering::Relaxed);
        other.was_refused(refusal)
    }

    /// Notes that `way` was answered where the current one was refused, and uses it from now on. Answers whether it was not used.
    pub(super) fn change_to(&self, way: &Way) -> bool {
        way.worked();
        let is_fallback = self.fallback.as_ref().is_some_and(|fallback| std::ptr::eq(way, fallback));
        self.has_fallen_back.swap(is_fallback, Ordering::Relaxed) != is_fallback
    }

    /// What an operation whose deadline has passed was waiting for, if that was credentials.
    pub(super) fn trouble(&self) -> Option<Error> {
        let renewing =
            || [Some(&self.first), self.fallback.as_ref()].into_iter().flatten().find(|way| way.credentials.is_renewing());
        self.current().credentials.trouble().or_else(|| renewing()?.credentials.trouble())
    }

    /// Whether any of them was answered.
    pub(super) fn have_worked(&self) -> bool {
        [Some(&self.first), self.fallback.as_ref()].into_iter().flatten().any(|way| way.has_worked.load(Ordering::Relaxed))
    }

    /// Why the first credentials were refused last, and why those to fall back on were.
    pub(super) fn refusals(&self) -> Option<(Error, Option<Error>)> {
        Some((self.first.refusal()?, self.fallback.as_ref()?.refusal()))
    }
}

impl Way {
    /// Notes that a request was answered.
    pub(super) fn worked(&self) {
        self.has_worked.store(true, Ordering::Relaxed);
    }

    /// Notes a refusal, and answers whether it is the first.
    fn was_refused(&self, refusal: &Error) -> bool {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).replace(refusal.clone()).is_none()
    }

    fn refusal(&self) -> Option<Error> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
