//! The loop around one request: sign, send, judge the answer, and try again where that helps.

use std::sync::Arc;
use std::time::Instant;

use aws_credential_types::Credentials;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::Bucket;
use super::classify::{Failure, Requested, Subject, classify};
use super::clock_skew::date_of;
use super::patience::Tries;
use crate::credentials::{CredentialsCache, Doubt};
use crate::error::{Error, Problem};

impl Bucket {
    /// Sends the request, about `url`, until it is answered, with other credentials where some are
    /// refused. `send` is given the keys to sign with.
    pub(super) async fn answer<T, E, F>(
        &self,
        url: &str,
        requested: Requested,
        send: impl Fn(Credentials) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let subject = Subject { url, region: &self.inner.location.region, requested };
        let request = |cache| self.answer_with(cache, subject, &send);
        let outcome = self.inner.credentials.run(self.name(), request).await;
        self.inner.last_answers.record_outcome(&outcome, Instant::now());
        outcome
    }

    /// Sends the request until it is answered, with renewed credentials where they were the reason.
    ///
    /// The credentials that an answer casts doubt on are always those that signed its request.
    async fn answer_with<T, E, F>(
        &self,
        cache: Arc<CredentialsCache>,
        subject: Subject<'_>,
        send: impl Fn(Credentials) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        // One for the expiry, one for an expiry during a long series of faults.
        const MAX_RENEWALS: usize = 2;
        let mut tries = Tries::default();
        let mut renewals = 0;
        loop {
            let credentials = cache.current().await?;
            let assumed_skew = self.inner.clock_skew.ahead();
            let error = match send(credentials.keys().clone()).await {
                Ok(output) => {
                    credentials.mark_accepted();
                    self.record_fault(None);
                    return Ok(output);
                }
                Err(error) => error,
            };
            let date = error.raw_response().and_then(date_of);
            match classify(error, subject) {
                Failure::Final(error) => return Err(error),
                Failure::Again(fault) => {
                    if subject.requested == Requested::Listing {
                        self.inner.list_limit.record_fault(Instant::now());
                    }
                    tries.note_other_fault();
                    self.pause(&mut tries.backoff, fault).await;
                }
                Failure::Lasting(fault) => {
                    self.give_up(&mut tries, &fault)?;
                    self.pause(&mut tries.backoff, fault).await;
                }
                Failure::Renew(Doubt::Denied, error)
                    if self.inner.clock_skew.explains(assumed_skew, date) =>
                {
                    let words = "this machine's clock is wrong";
                    let fault = Problem::new(words).about(subject.url).caused_by(error);
                    self.pause(&mut tries.backoff, Error::transient(fault)).await;
                }
                Failure::Renew(doubt, error) => {
                    tracing::debug!(url = subject.url, %error, ?doubt, "refused");
                    self.record_fault(Some(error.clone()));
                    let may_replay = renewals < MAX_RENEWALS
                        && cache.renew_after(&credentials, doubt, &error).await?;
                    if !may_replay {
                        self.record_fault(None);
                        return Err(error);
                    }
                    renewals += 1;
                }
            }
        }
    }

    /// Waits before the next try after `fault`.
    pub(super) async fn pause(&self, backoff: &mut super::backoff::Backoff, fault: Error) {
        // Every store has a few faults now and then that the next try cures.
        const TRIES_BEFORE_WARNING: u32 = 3;
        if backoff.tries == TRIES_BEFORE_WARNING {
            tracing::warn!(%fault, "the request still fails; trying again");
        } else {
            tracing::debug!(%fault, tries = backoff.tries, "trying again");
        }
        self.record_fault(Some(fault));
        tokio::time::sleep(backoff.next()).await;
    }

    /// Keeps `fault` as the answer to what is waited for, until a request is answered.
    fn record_fault(&self, fault: Option<Error>) {
        self.inner.last_answers.record_fault(fault, Instant::now());
    }
}
