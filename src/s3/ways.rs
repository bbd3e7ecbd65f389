//! The kinds of credentials that may open a bucket: the one in use, and one to fall back on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    was_refused: AtomicBool,
}

/// What has been found to open a bucket is remembered; what was refused where the other works is not tried again.
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
            Ok::<_, Error>(Way { client, credentials, has_worked: AtomicBool::default(), was_refused: AtomicBool::default() })
        };
        Ok(Self { first: way(first)?, fallback: fallback.map(way).transpose()?, has_fallen_back: AtomicBool::default() })
    }

    pub(super) fn current(&self) -> &Way {
        self.fallback.as_ref().filter(|_| self.has_fallen_back.load(Ordering::Relaxed)).unwrap_or(&self.first)
    }

    /// The way to try where `refused` was: none where it works otherwise and the other was refused before.
    pub(super) fn instead_of(&self, refused: &Way) -> Option<&Way> {
        refused.was_refused.store(true, Ordering::Relaxed);
        let fallback = self.fallback.as_ref()?;
        let other = if std::ptr::eq(refused, fallback) { &self.first } else { fallback };
        let is_settled = refused.has_worked.load(Ordering::Relaxed) && other.was_refused.load(Ordering::Relaxed);
        (!is_settled).then_some(other)
    }

    /// Notes that `way` was answered where the current one was refused, and uses it from now on.
    pub(super) fn change_to(&self, way: &Way) {
        way.worked();
        let is_fallback = self.fallback.as_ref().is_some_and(|fallback| std::ptr::eq(way, fallback));
        if self.has_fallen_back.swap(is_fallback, Ordering::Relaxed) != is_fallback {
            tracing::warn!(is_fallback, "other credentials open what these do not, and are used from now on");
        }
    }
}

impl Way {
    /// Notes that a request was answered.
    pub(super) fn worked(&self) {
        self.has_worked.store(true, Ordering::Relaxed);
    }
}
