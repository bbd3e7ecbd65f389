//! One bucket: a page of a listing, a HEAD, a byte range. The only door to the AWS SDK.
//!
//! Every request is tried until it is answered. It has no deadline: the caller cancels it by
//! dropping it.

mod backoff;
mod classify;
mod client;
mod clock_skew;
mod concurrency_limit;
mod download;
mod fallback_chain;
mod hedger;
mod parse;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::EncodingType;

pub use download::Download;

use crate::credentials::{CredentialsCache, Doubt};
use crate::error::Error;
use crate::object::{Object, ObjectId, Page, Prefix};
use backoff::Backoff;
use classify::{About, Asked, Failure, classify};
use concurrency_limit::ConcurrencyLimit;
use fallback_chain::{FallbackChain, Way};
use hedger::Hedger;

/// Where a bucket is and how it is spoken to.
#[derive(Clone, Debug)]
pub struct BucketLocation {
    /// The bucket's name.
    pub bucket: Arc<str>,
    /// The AWS region, for signing.
    pub region: String,
    /// Another S3 than Amazon's.
    pub endpoint_url: Option<String>,
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`.
    pub path_style: bool,
}

/// A bucket, with the credentials to read it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bucket {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    place: BucketLocation,
    ways: FallbackChain,
    counters: Counters,
    pace: ConcurrencyLimit,
    hedger: Hedger,
    fault: Mutex<Option<Error>>,
}

/// Where a page of a listing starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// At the first key.
    Start,
    /// At the first key that sorts behind this one, which need not exist.
    After(String),
    /// Where the page ended that gave this token.
    Token(Arc<str>),
}

/// Requests sent, and bytes of object data received, since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// ListObjectsV2.
    pub list: AtomicU64,
    /// HeadObject.
    pub head: AtomicU64,
    /// GetObject.
    pub get: AtomicU64,
    /// Bytes of GetObject bodies.
    pub bytes: AtomicU64,
}

impl Bucket {
    /// Connects nowhere yet.
    ///
    /// # Errors
    /// [`crate::error::Refusal::Unencrypted`] for a plain http endpoint that is not this machine.
    pub fn new(place: BucketLocation, credentials: Arc<CredentialsCache>) -> Result<Self, Error> {
        Self::with_fallback(place, credentials, None)
    }

    /// [`Self::new`] with other credentials, or the reason for which there are none. They are asked
    /// for what the first do not open, and then preferred, until they are refused themselves.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn with_fallback(
        place: BucketLocation,
        first: Arc<CredentialsCache>,
        fallback: Option<Result<Arc<CredentialsCache>, Error>>,
    ) -> Result<Self, Error> {
        let ways = FallbackChain::new(&place, first, fallback)?;
        let (counters, pace) = (Counters::default(), ConcurrencyLimit::default());
        let inner = Inner {
            place,
            ways,
            counters,
            pace,
            hedger: Hedger::default(),
            fault: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The bucket's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.inner.place.bucket
    }

    /// The `s3://` URL of a key or prefix.
    #[must_use]
    pub fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name())
    }

    /// What was sent and received.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// How many pages to ask for at once.
    #[must_use]
    pub fn pages_at_once(&self) -> usize {
        self.inner.pace.at_once()
    }

    /// What an operation whose deadline has passed was waiting for.
    #[must_use]
    pub fn timeout_cause(&self) -> Error {
        let fault = || self.inner.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let words = || {
            fault()
                .map_or_else(|| format!("{}: S3 is slow", self.url("")), |fault| fault.to_string())
        };
        self.inner.ways.timeout_cause().unwrap_or_else(|| Error::Deadline(words().into()))
    }

    /// Whether any request was answered.
    #[must_use]
    pub fn was_opened(&self) -> bool {
        self.inner.ways.have_worked()
    }

    /// Where there are credentials to fall back on: why the first were refused last, and why the
    /// others were too, if so.
    #[must_use]
    pub fn refusals(&self) -> Option<(Error, Option<Error>)> {
        self.inner.ways.refusals()
    }

    /// One page of the listing of `prefix` with delimiter `/`.
    ///
    /// # Errors
    /// [`Error::Refused`] where listing is not allowed, [`Error::Store`] for no such bucket.
    pub async fn page(&self, prefix: &Prefix, at: &Position) -> Result<Page, Error> {
        self.list(prefix.as_str(), Some("/"), at, None).await
    }

    /// One page of all keys below `prefix`, at any depth.
    ///
    /// # Errors
    /// Those of [`Self::page`].
    pub async fn subtree_page(&self, prefix: &Prefix, at: &Position) -> Result<Page, Error> {
        self.list(prefix.as_str(), None, at, None).await
    }

    /// Whether any key starts with `prefix`.
    ///
    /// # Errors
    /// Those of [`Self::page`].
    pub async fn has_keys(&self, prefix: &Prefix) -> Result<bool, Error> {
        Ok(!self.first(prefix.as_str()).await?.is_empty())
    }

    /// The object `key` as a listing describes it, for where a HEAD says nothing. `None`: there is
    /// no such key.
    ///
    /// # Errors
    /// Those of [`Self::page`].
    pub async fn listed(&self, key: &str) -> Result<Option<Object>, Error> {
        // Of all keys that start with it, the key itself comes first.
        Ok(self.first(key).await?.objects.into_iter().find(|object| *object.id.key == *key))
    }

    /// A page with the first thing whose key starts with `start`, or with nothing.
    async fn first(&self, start: &str) -> Result<Page, Error> {
        let mut page = self.list(start, Some("/"), &Position::Start, Some(1)).await?;
        // A page may be empty and not the last.
        while page.is_empty()
            && let Some(token) = page.next
        {
            page = self.list(start, Some("/"), &Position::Token(token), Some(1)).await?;
        }
        Ok(page)
    }

    async fn list(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        at: &Position,
        limit: Option<i32>,
    ) -> Result<Page, Error> {
        let what = self.url(prefix);
        let mut backoff = Backoff::default();
        loop {
            let request = |client: &Client| {
                self.inner.counters.list.fetch_add(1, Ordering::Relaxed);
                let list = client.list_objects_v2().bucket(&**self.name()).prefix(prefix);
                let list = list
                    .set_delimiter(delimiter.map(Into::into))
                    .encoding_type(EncodingType::Url)
                    .set_max_keys(limit);
                match at {
                    Position::Start => list,
                    Position::After(key) => list.start_after(key),
                    Position::Token(token) => list.continuation_token(&**token),
                }
                .send()
            };
            let output = self.answer(&what, Asked::Listing, request).await?;
            self.inner.pace.answered();
            match parse::page(self.name(), &output) {
                Some(page) => return Ok(page),
                None => {
                    let fault = Error::transient(format!(
                        "{what}: a page was cut, or does not say where it goes on"
                    ));
                    self.pause(&mut backoff, fault).await;
                }
            }
        }
    }

    /// The object `key`, without its bytes.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, [`Error::Refused`] when S3 would not say.
    pub async fn head(&self, key: &str) -> Result<Object, Error> {
        let request = |client: &Client| {
            self.inner.counters.head.fetch_add(1, Ordering::Relaxed);
            client.head_object().bucket(&**self.name()).key(key).send()
        };
        let what = self.url(key);
        let output = self.answer(&what, Asked::Key, request).await?;
        parse::head(self.name(), key, &output)
            .ok_or_else(|| Error::store(format!("{what}: the store gives no size or no etag")))
    }

    /// The bytes `range` of one version of an object.
    #[must_use]
    pub fn download(&self, object: &ObjectId, range: Range<u64>) -> Download {
        Download::new(self.clone(), object.clone(), range)
    }

    async fn open(&self, object: &ObjectId, range: Range<u64>) -> Result<ByteStream, Error> {
        let send = |client: &Client| {
            self.inner.counters.get.fetch_add(1, Ordering::Relaxed);
            let get = client.get_object().bucket(&*object.bucket).key(&*object.key);
            let get = get.if_match(format!("\"{}\"", object.etag));
            get.range(format!("bytes={}-{}", range.start, range.end - 1)).send()
        };
        let request = |client: &Client| {
            let client = client.clone();
            async move { self.inner.hedger.hurried(|| send(&client)).await }
        };
        let output = self.answer(&object.url(), Asked::Version, request).await?;
        download::body_of(output, object, &range)
    }

    fn received(&self, bytes: usize) {
        self.inner.counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Sends the request until it is answered, with other credentials where some are refused.
    async fn answer<T, E, F>(
        &self,
        what: &str,
        asked: Asked,
        request: impl Fn(&Client) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let ways = &self.inner.ways;
        let way = ways.preferred();
        let refusal = match self.answer_by(way, what, asked, &request).await {
            Err(Error::Refused(refusal)) => refusal,
            outcome => {
                if is_answer(&outcome) {
                    way.worked();
                }
                return outcome;
            }
        };
        way.was_refused(&refusal.clone().into());
        let Some(other) = ways.instead_of(way) else { return Err(ways.alone(refusal).into()) };
        // Credentials that open something else are believed before a login is waited for that
        // fails.
        let at_hand = if way.has_worked() && refusal.is_denial() {
            other.credentials.at_hand().await
        } else {
            Ok(())
        };
        let (bucket, others) = (self.name(), other.credentials.name());
        let outcome = match at_hand {
            Ok(()) => self.answer_by(other, what, asked, &request).await,
            Err(failed) => Err(failed),
        };
        if let Err(too @ Error::Refused(_)) = &outcome {
            if other.was_refused(too) && !matches!(too, Error::Refused(too) if too.is_denial()) {
                tracing::warn!(%bucket, asked = others, %too, "other credentials do not help either");
            }
            return Err(refusal.and(way.credentials.name(), too, others).into());
        }
        if is_answer(&outcome) {
            other.worked();
            if ways.prefer(other) {
                tracing::warn!(%bucket, %refusal, from = others, "other credentials open what these do not, and are preferred from now on");
            }
        }
        outcome
    }

    /// Sends the request until it is answered, with renewed credentials where they were the reason.
    async fn answer_by<T, E, F>(
        &self,
        way: &Way,
        what: &str,
        asked: Asked,
        request: impl Fn(&Client) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        // One for the expiry, one for an expiry during a long series of faults.
        const MAX_RENEWALS: usize = 2;
        let about = About { what, region: &self.inner.place.region, asked };
        let mut backoff = Backoff::default();
        let mut renewals = 0;
        loop {
            let session = way.credentials.session().await?;
            let ahead = way.clock.ahead();
            let error = match request(&way.client).await {
                Ok(output) => {
                    session.accept();
                    self.remember(None);
                    return Ok(output);
                }
                Err(error) => error,
            };
            let is_skewed =
                || error.raw_response().is_some_and(|refusal| way.clock.explains(ahead, refusal));
            match classify(&error, about) {
                Failure::Final(error) => return Err(error),
                Failure::Again(fault) => {
                    if asked == Asked::Listing {
                        self.inner.pace.slow_down(Instant::now());
                    }
                    self.pause(&mut backoff, fault).await;
                }
                Failure::Renew(Doubt::Denied, error) if is_skewed() => {
                    self.pause(
                        &mut backoff,
                        Error::transient(format!("{error}; this machine's clock is wrong")),
                    )
                    .await;
                }
                Failure::Renew(doubt, error) => {
                    tracing::debug!(what, %error, ?doubt, "refused");
                    self.remember(Some(error.clone()));
                    if renewals == MAX_RENEWALS
                        || !way.credentials.renewed_after(&session, doubt, &error).await?
                    {
                        self.remember(None);
                        return Err(error);
                    }
                    renewals += 1;
                }
            }
        }
    }

    async fn pause(&self, backoff: &mut Backoff, fault: Error) {
        // The first few faults of a request are S3's daily life.
        const QUIET: u32 = 3;
        if backoff.tries == QUIET {
            tracing::warn!(%fault, "still trying");
        } else {
            tracing::debug!(%fault, tries = backoff.tries, "trying again");
        }
        self.remember(Some(fault));
        tokio::time::sleep(backoff.next()).await;
    }

    /// Keeps `fault` as the answer to what is waited for, until a request is answered.
    fn remember(&self, fault: Option<Error>) {
        *self.inner.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

/// Whether S3 has let the credentials in, whatever it said of the object.
fn is_answer<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Ok(_) | Err(Error::NotFound(_) | Error::Replaced(_) | Error::Archived { .. }))
}
