//! Pages of listings.

use std::sync::atomic::Ordering;

use aws_sdk_s3::types::EncodingType;

use super::answer_limit::AnswerLimit;
use super::backoff::Backoff;
use super::classify::{Failure, Requested};
use super::client::signed_with;
use super::listed_page::ListedPage;
use super::{Bucket, Position, parse};
use crate::error::{Error, Problem};
use crate::object::{Object, Page, Prefix};

impl Bucket {
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
        self.list(start, Some("/"), &Position::Start, Some(1)).await
    }

    /// Fetches the next page that holds anything, or the last one.
    async fn list(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        at: &Position,
        limit: Option<i32>,
    ) -> Result<Page, Error> {
        // A page may be empty and not the last, where many objects were deleted.
        const USUAL: usize = 3;
        let (mut at, mut backoff, mut empty_pages) = (at.clone(), Backoff::default(), 0);
        loop {
            if empty_pages > USUAL {
                let words = "the store gives empty pages, and says that more come";
                let fault = Error::transient(Problem::new(words).about(self.url(prefix)));
                self.pause(&mut backoff, fault).await;
            }
            let page = self.list_at(prefix, delimiter, &at, limit).await?;
            match &page.next {
                Some(token) if page.is_empty() => at = Position::Token(token.clone()),
                _ => return Ok(page),
            }
            empty_pages += 1;
        }
    }

    async fn list_at(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        at: &Position,
        limit: Option<i32>,
    ) -> Result<Page, Error> {
        let url = self.url(prefix);
        let listed = ListedPage::of(self.name());
        let send = |keys| {
            self.inner.counters.list.fetch_add(1, Ordering::Relaxed);
            let list = self.inner.client.list_objects_v2().bucket(&**self.name());
            let list = list.prefix(prefix).set_delimiter(delimiter.map(Into::into));
            let list = list.encoding_type(EncodingType::Url).set_max_keys(limit);
            let list = match at {
                Position::Start => list,
                Position::After(key) => list.start_after(key),
                Position::Token(token) => list.continuation_token(&**token),
            };
            // The limit comes first: `listed` collects the body that it is given.
            let list = list.customize().interceptor(AnswerLimit::Listing);
            let list = list.interceptor(listed.clone());
            list.config_override(signed_with(keys)).send()
        };
        let read = |output| {
            let fault = |words| Error::transient(Problem::new(words).about(&url));
            let page = listed.take().or_else(|| parse::page(self.name(), &output));
            let Some(page) = page else {
                let words = "a page was cut, or does not say where the listing goes on";
                return Err(Failure::Again(fault(words)));
            };
            if parse::foreign_key(&page, prefix).is_some() {
                return Err(Failure::Lasting(fault("a page holds keys of another prefix")));
            }
            if matches!((at, &page.next), (Position::Token(asked), Some(next)) if asked == next) {
                return Err(Failure::Again(fault("a page goes on where it began")));
            }
            match delimiter.and_then(|delimiter| page.key_across(prefix, delimiter)) {
                None => Ok(page),
                Some(key) => {
                    let words = format!(
                        "the store ignores the delimiter: it lists {key:?}, which lies deeper, so \
                         its directories cannot be told"
                    );
                    Err(Failure::Final(Error::store(Problem::new(words).about(&url))))
                }
            }
        };
        let page = self.answer(&url, Requested::Listing, send, read).await?;
        self.inner.list_limit.record_answer();
        Ok(page)
    }
}
