//! How credentials stand, for people who ask.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::CredentialsCache;
use super::cache::since_boot;
use super::cached::Age;

/// How the credentials of one provider stand. Times are in whole seconds, from now.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CredentialsStatus {
    /// The /s3credentials URL, or words for the environment.
    pub provider: String,
    /// Whether there are credentials that S3 would accept.
    pub is_usable: bool,
    /// How long ago they were handed out; `None`: none were yet.
    pub age: Option<u64>,
    /// When they end; `None`: never, or there are none.
    pub expires_in: Option<u64>,
    /// From when on a request makes them be renewed; `None` as for the end.
    pub renewal_in: Option<u64>,
    /// Whether the provider is asked now, or will be when the pause is over.
    pub is_renewing: bool,
    /// How many renewals in a row have failed.
    pub failed_renewals: u32,
    /// Why the last one failed, or why S3 does not accept the credentials.
    pub last_failure: Option<String>,
    /// How long the provider is left alone.
    pub pause: Option<u64>,
}

impl CredentialsCache {
    /// Returns how the credentials stand. Waits for nothing.
    #[must_use]
    pub fn status(&self) -> CredentialsStatus {
        let is_renewing = self.is_renewing();
        let (state, now) = (self.state.lock(), since_boot());
        let left = |end: Duration| end.saturating_sub(now).as_secs();
        let current = state.current.as_ref();
        let mortal = current.filter(|current| current.life().is_some());
        let failure = state.last_failure.as_ref().or(state.rejection.as_ref());
        CredentialsStatus {
            provider: self.name().into(),
            is_usable: state.age(now) != Age::Expired,
            age: current.map(|current| now.saturating_sub(current.issued).as_secs()),
            expires_in: mortal.map(|current| left(current.expires)),
            renewal_in: mortal.map(|current| left(current.ageing)),
            is_renewing,
            failed_renewals: state.failures,
            last_failure: failure.map(ToString::to_string),
            pause: (now < state.not_before).then(|| left(state.not_before)),
        }
    }
}
