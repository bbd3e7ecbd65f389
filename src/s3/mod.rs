//! One bucket: a page of a listing, a HEAD, a byte range. The only door to the AWS SDK's S3 client.
//!
//! Every request is tried until it is answered. It has no deadline: the caller cancels it by
//! dropping it.

mod answer_limit;
mod backoff;
mod classify;
mod client;
mod clock_skew;
mod concurrency_limit;
mod download;
mod hedger;
mod list_document;
mod listed_page;
mod pages;
mod parse;
mod patience;
mod punctual_timeout;
mod ranged_body;
mod request;
mod request_ids;
mod status;
mod unreadable;
mod white_space;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;

pub use download::Download;
pub use patience::Impatience;
pub use status::BucketStatus;

use crate::credentials::{CredentialsCache, FallbackChain};
use crate::error::{Error, Problem};
use crate::object::{Object, ObjectId};
use answer_limit::AnswerLimit;
use classify::{Failure, Requested};
use client::signed_with;
use clock_skew::ClockSkew;
use concurrency_limit::ConcurrencyLimit;
use hedger::Hedgers;
use patience::Patience;
use ranged_body::RangedBody;
use request_ids::RequestIds;
use status::LastAnswers;
use unreadable::{FOREIGN, WEB_PAGE, is_html};

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
    location: BucketLocation,
    client: Client,
    credentials: FallbackChain,
    clock_skew: ClockSkew,
    counters: Counters,
    /// How many pages of listings to ask for at once.
    list_limit: ConcurrencyLimit,
    hedgers: Hedgers,
    request_ids: RequestIds,
    patience: Patience,
    last_answers: LastAnswers,
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
    pub fn new(
        location: BucketLocation,
        credentials: Arc<CredentialsCache>,
    ) -> Result<Self, Error> {
        Self::with_fallback(location, credentials, None)
    }

    /// Makes a bucket as [`Self::new`] does, with other credentials to fall back on, or the reason
    /// for which there are none. They are asked for what the first do not open, and then preferred,
    /// until they are refused themselves.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn with_fallback(
        location: BucketLocation,
        first: Arc<CredentialsCache>,
        fallback: Option<Result<Arc<CredentialsCache>, Error>>,
    ) -> Result<Self, Error> {
        let inner = Inner {
            client: client::new(&location)?,
            request_ids: RequestIds::new(location.endpoint_url.is_none()),
            location,
            credentials: FallbackChain::new(first, fallback),
            clock_skew: ClockSkew::default(),
            counters: Counters::default(),
            list_limit: ConcurrencyLimit::default(),
            hedgers: Hedgers::default(),
            patience: Patience::default(),
            last_answers: LastAnswers::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns the bucket's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.inner.location.bucket
    }

    /// Returns the `s3://` URL of a key or prefix.
    #[must_use]
    pub fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name())
    }

    /// Returns what was sent and received.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// Returns how many pages to ask for at once.
    #[must_use]
    pub fn pages_at_once(&self) -> usize {
        self.inner.list_limit.at_once()
    }

    /// Returns what an operation whose deadline has passed was waiting for.
    #[must_use]
    pub fn timeout_cause(&self) -> Error {
        if let Some(cause) = self.inner.credentials.timeout_cause() {
            return cause;
        }
        Error::Deadline(match self.inner.last_answers.fault() {
            Some(Error::Transient(problem) | Error::Store(problem)) => problem,
            Some(fault) => Problem::new("the last request failed").caused_by(fault),
            None => Problem::new("S3 is slow").about(self.url("")),
        })
    }

    /// Lets the next request log in at once, whatever was refused.
    pub fn forget_refusals(&self) {
        self.inner.credentials.forget_refusals();
    }

    /// Returns whether any request was answered.
    #[must_use]
    pub fn was_opened(&self) -> bool {
        self.inner.credentials.has_worked()
    }

    /// Returns, where there are credentials to fall back on, why the first were refused last, and
    /// why the others were too, if so.
    #[must_use]
    pub fn refusals(&self) -> Option<(Error, Option<Error>)> {
        self.inner.credentials.refusals()
    }

    /// Returns the object `key`, without its bytes.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, [`Error::Refused`] when S3 would not say.
    pub async fn head(&self, key: &str) -> Result<Object, Error> {
        let url = self.url(key);
        let send = |keys| {
            self.inner.counters.head.fetch_add(1, Ordering::Relaxed);
            let head = self.inner.client.head_object().bucket(&**self.name());
            let (head, key) = (head.key(white_space::for_sdk(key)), key.to_owned());
            head.customize()
                .mutate_request(move |request| white_space::restore(request, &key))
                .config_override(signed_with(keys))
                .send()
        };
        let read = |output: HeadObjectOutput| {
            let fault = |words| Error::transient(Problem::new(words).about(&url));
            let has_etag = output.e_tag().is_some();
            if !has_etag && output.content_type().is_some_and(is_html) {
                return Err(Failure::Lasting(fault(WEB_PAGE)));
            }
            // Of bytes that somebody in between has encoded.
            if output.e_tag().is_some_and(|etag| etag.starts_with("W/")) {
                return Err(Failure::Lasting(fault(FOREIGN)));
            }
            parse::head(self.name(), key, &output).ok_or_else(|| {
                let words = "the store gives no size or no etag";
                Failure::Final(Error::store(Problem::new(words).about(&url)))
            })
        };
        self.answer(&url, Requested::Key, send, read).await
    }

    /// Returns the bytes `range` of one version of an object, which has `size` bytes, to be awaited
    /// piece by piece.
    #[must_use]
    pub fn download(&self, object: &ObjectId, size: u64, range: Range<u64>) -> Download {
        Download::new(self.clone(), object.clone(), size, range)
    }

    /// Opens the body of a ranged GET of an object of `size` bytes.
    async fn open(
        &self,
        object: &ObjectId,
        size: u64,
        range: Range<u64>,
    ) -> Result<RangedBody, Error> {
        let (url, bytes) = (object.url(), format!("bytes={}-{}", range.start, range.end - 1));
        let send = |keys| {
            self.inner.counters.get.fetch_add(1, Ordering::Relaxed);
            let get = self.inner.client.get_object().bucket(&*object.bucket);
            let get = get.key(white_space::for_sdk(&object.key)).range(&bytes);
            let get = get.if_match(format!("\"{}\"", object.etag));
            let key = object.key.clone();
            get.customize()
                .interceptor(AnswerLimit::Part)
                .mutate_request(move |request| white_space::restore(request, &key))
                .config_override(signed_with(keys))
                .send()
        };
        let read = |output| RangedBody::of(output, object, size, &range);
        self.answer(&url, Requested::Version, send, read).await
    }
}
