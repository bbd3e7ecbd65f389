//! The loop around one request: sign, send, judge the answer, and try again where that helps.

use std::sync::Arc;
use std::time::Instant;

use aws_credential_types::Credentials;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;

use super::Bucket;
use super::classify::{Failure, Requested, Subject, classify};
use super::clock_skew::date_of;
use super::hedger::Hedger;
use super::patience::Tries;
use super::unreadable::FOREIGN;
use crate::credentials::{CredentialsCache, Doubt};
use crate::error::{Error, Problem};

impl Bucket {
    /// Sends the request, about `url`, until it is answered, with other credentials where some are
    /// refused. `send` is given the keys to sign with, and `read` says what the answer holds, or
    /// what is wrong with it.
    pub(super) async fn answer<T, A, E, F>(
        &self,
        url: &str,
        requested: Requested,
        send: impl Fn(Credentials) -> F,
        read: impl Fn(T) -> Result<A, Failure>,
    ) -> Result<A, Error>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        T: RequestId,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let request = |cache| self.answer_with(cache, (url, requested), &send, &read);
        let outcome = self.inner.credentials.run(self.name(), request).await;
        self.inner.last_answers.record_outcome(&outcome, Instant::now());
        outcome
    }

    /// Sends the request until it is answered, with renewed credentials where they were the reason.
    ///
    /// The credentials that an answer casts doubt on are always those that signed its request.
    async fn answer_with<T, A, E, F>(
        &self,
        cache: Arc<CredentialsCache>,
        (url, requested): (&str, Requested),
        send: impl Fn(Credentials) -> F,
        read: impl Fn(T) -> Result<A, Failure>,
    ) -> Result<A, Error>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        T: RequestId,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        // One for the expiry, one for an expiry during a long series of faults.
        const MAX_RENEWALS: usize = 2;
        let mut tries = Tries::default();
        let mut renewals = 0;
        loop {
            let credentials = cache.current().await?;
            let assumed_skew = self.inner.clock_skew.ahead();
            let send = || send(credentials.keys().clone());
            let answer = self.hedger(requested).send(send, is_answer).await;
            self.inner.request_ids.record(answer.request_id());
            let date = answer.as_ref().err().and_then(|error| date_of(error.raw_response()?));
            let failure = match answer {
                Ok(output) => match self.read(output, requested, url, &read) {
                    Err(failure @ (Failure::Again(_) | Failure::Lasting(_))) => failure,
                    outcome => {
                        credentials.mark_accepted();
                        self.record_fault(None);
                        return outcome.map_err(Failure::into_error);
                    }
                },
                Err(error) => {
                    let region = &*self.inner.location.region;
                    let has_request_ids = self.inner.request_ids.are_given();
                    classify(error, Subject { url, region, requested, has_request_ids })
                }
            };
            match failure {
                Failure::Final(error) => return Err(error),
                Failure::Again(fault) => {
                    if requested == Requested::Listing {
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
                    let fault = Problem::new(words).about(url).caused_by(error);
                    self.pause(&mut tries.backoff, Error::transient(fault)).await;
                }
                Failure::Renew(doubt, error) => {
                    tracing::debug!(url, %error, ?doubt, "refused");
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

    /// Reads an answer, which must be the store's own. The bytes of an object prove that by
    /// themselves: a cache in between may leave out the id.
    fn read<T: RequestId, A>(
        &self,
        output: T,
        requested: Requested,
        url: &str,
        read: impl Fn(T) -> Result<A, Failure>,
    ) -> Result<A, Failure> {
        let is_foreign = requested != Requested::Version
            && output.request_id().is_none()
            && self.inner.request_ids.are_given();
        if is_foreign {
            return Err(Failure::Lasting(Error::transient(Problem::new(FOREIGN).about(url))));
        }
        read(output)
    }

    /// Returns what knows how long answers to requests of a kind take.
    pub(super) fn hedger(&self, requested: Requested) -> &Hedger {
        match requested {
            Requested::Listing => &self.inner.hedgers.list,
            Requested::Key => &self.inner.hedgers.head,
            Requested::Version => &self.inner.hedgers.get,
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

/// Returns whether a failure is an answer of the store, such as an absence, and no trouble of it.
fn is_answer<E>(error: &SdkError<E, HttpResponse>) -> bool {
    error.raw_response().is_some_and(|response| response.status().is_client_error())
}
