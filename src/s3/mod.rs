//! One bucket: a page of a listing, a HEAD, a byte range. The only door to the AWS SDK's S3 client.
//!
//! Every request is tried until it is answered. It has no deadline: the caller cancels it by
//! dropping it.

mod backoff;
mod classify;
mod client;
mod clock_skew;
mod concurrency_limit;
mod download;
mod hedger;
mod list_document;
mod listed_page;
mod parse;
mod patience;
mod punctual_timeout;
mod request;
mod status;
mod unreadable;
mod white_space;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::EncodingType;

pub use download::Download;
pub use patience::Impatience;
pub use status::BucketStatus;

use crate::credentials::{CredentialsCache, FallbackChain};
use crate::error::{Error, Problem};
use crate::object::{Object, ObjectId, Page, Prefix};
use backoff::Backoff;
use classify::Requested;
use client::signed_with;
use clock_skew::ClockSkew;
use concurrency_limit::ConcurrencyLimit;
use hedger::Hedger;
use listed_page::ListedPage;
use patience::{Patience, Tries};
use status::LastAnswers;
use unreadable::is_web_page;

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
    hedger: Hedger,
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
            location,
            credentials: FallbackChain::new(first, fallback),
            clock_skew: ClockSkew::default(),
            counters: Counters::default(),
            list_limit: ConcurrencyLimit::default(),
            hedger: Hedger::default(),
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

    /// Fetches one page of the listing of `prefix` with delimiter `/`.
    ///
    /// # Errors
    /// [`Error::Refused`] where listing is not allowed, [`Error::Store`] for no such bucket.
    pub async fn page(&self, prefix: &Prefix, at: &Position) -> Result<Page, Error> {
        self.list(prefix.as_str(), Some("/"), at, None).await
    }

    /// Fetches one page of all keys below `prefix`, at any depth.
    ///
    /// # Errors
    /// Those of [`Self::page`].
    pub async fn subtree_page(&self, prefix: &Prefix, at: &Position) -> Result<Page, Error> {
        self.list(prefix.as_str(), None, at, None).await
    }

    /// Fetches one page, of `limit` names at most, of what starts with `start` and has no slash
    /// behind it, or one at its end.
    ///
    /// # Errors
    /// Those of [`Self::page`].
    pub async fn names(
        &self,
        start: &str,
        at: &Position,
        limit: Option<i32>,
    ) -> Result<Page, Error> {
        self.list(start, Some("/"), at, limit).await
    }

    /// Returns whether any key starts with `prefix`.
    ///
    /// # Errors
    /// Those of [`Self::page`].
    pub async fn has_keys(&self, prefix: &Prefix) -> Result<bool, Error> {
        Ok(!self.first(prefix.as_str()).await?.is_empty())
    }

    /// Returns the object `key` as a listing describes it, for where a HEAD says nothing; `None`
    /// when there is no such key.
    ///
    /// # Errors
    /// Those of [`Self::page`].
    pub async fn listed(&self, key: &str) -> Result<Option<Object>, Error> {
        // Of all keys that start with it, the key itself comes first.
        let page = self.first(key).await?;
        Ok(page.objects.into_iter().find(|object| *object.id.key == *key))
    }

    /// Returns a page with the first thing whose key starts with `start`, or with nothing.
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
        let url = self.url(prefix);
        let mut backoff = Backoff::default();
        let listed = ListedPage::of(self.name());
        loop {
            let output = self
                .answer(&url, Requested::Listing, |keys| {
                    self.inner.counters.list.fetch_add(1, Ordering::Relaxed);
                    let list = self.inner.client.list_objects_v2().bucket(&**self.name());
                    let list = list.prefix(prefix).set_delimiter(delimiter.map(Into::into));
                    let list = list.encoding_type(EncodingType::Url).set_max_keys(limit);
                    let list = match at {
                        Position::Start => list,
                        Position::After(key) => list.start_after(key),
                        Position::Token(token) => list.continuation_token(&**token),
                    };
                    let list = list.customize().interceptor(listed.clone());
                    list.config_override(signed_with(keys)).send()
                })
                .await?;
            self.inner.list_limit.record_answer();
            if let Some(page) = listed.take().or_else(|| parse::page(self.name(), &output)) {
                return match delimiter.and_then(|delimiter| page.key_across(prefix, delimiter)) {
                    None => Ok(page),
                    Some(key) => {
                        let words = format!(
                            "the store ignores the delimiter: it lists {key:?}, which lies \
                             deeper, so its directories cannot be told"
                        );
                        Err(Error::store(Problem::new(words).about(&url)))
                    }
                };
            }
            let words = "a page was cut, or does not say where the listing goes on";
            let fault = Error::transient(Problem::new(words).about(&url));
            self.pause(&mut backoff, fault).await;
        }
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
        let mut tries = Tries::default();
        let output = loop {
            let output = self.answer(&url, Requested::Key, send).await?;
            if !is_web_page(output.content_type(), output.e_tag()) {
                break output;
            }
            self.pause_for_web_page(&mut tries, &url).await?;
        };
        parse::head(self.name(), key, &output).ok_or_else(|| {
            Error::store(Problem::new("the store gives no size or no etag").about(&url))
        })
    }

    /// Returns the bytes `range` of one version of an object, to be awaited piece by piece.
    #[must_use]
    pub fn download(&self, object: &ObjectId, range: Range<u64>) -> Download {
        Download::new(self.clone(), object.clone(), range)
    }

    /// Opens the body of a ranged GET.
    async fn open(&self, object: &ObjectId, range: Range<u64>) -> Result<ByteStream, Error> {
        let (url, bytes) = (object.url(), format!("bytes={}-{}", range.start, range.end - 1));
        let answer = |keys: Credentials| {
            let bytes = bytes.clone();
            let send = move || {
                self.inner.counters.get.fetch_add(1, Ordering::Relaxed);
                let get = self.inner.client.get_object().bucket(&*object.bucket);
                let get = get.key(white_space::for_sdk(&object.key)).range(&bytes);
                let get = get.if_match(format!("\"{}\"", object.etag));
                let key = object.key.clone();
                get.customize()
                    .mutate_request(move |request| white_space::restore(request, &key))
                    .config_override(signed_with(keys.clone()))
                    .send()
            };
            self.inner.hedger.send(send)
        };
        let mut tries = Tries::default();
        loop {
            let output = self.answer(&url, Requested::Version, answer).await?;
            if !is_web_page(output.content_type(), output.e_tag()) {
                return download::body_of(output, object, &range);
            }
            self.pause_for_web_page(&mut tries, &url).await?;
        }
    }
}
