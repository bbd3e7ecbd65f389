//! Puts this project's reading of a listing before the SDK's, which is given a document without
//! keys where that has succeeded.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame};
use parking_lot::Mutex;

use super::list_document;
use crate::object::Page;

const NO_KEYS: &[u8] = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";

/// The page of one request, when its answer has come and was one that [`list_document`] reads.
#[derive(Clone, Debug)]
pub(super) struct ListedPage {
    bucket: Arc<str>,
    page: Arc<Mutex<Option<Page>>>,
}

impl ListedPage {
    pub(super) fn of(bucket: &Arc<str>) -> Self {
        Self { bucket: bucket.clone(), page: Arc::default() }
    }

    pub(super) fn take(&self) -> Option<Page> {
        self.page.lock().take()
    }
}

impl Intercept for ListedPage {
    fn name(&self) -> &'static str {
        "ListedPage"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        if response.status().is_success() {
            let inner = std::mem::replace(response.body_mut(), SdkBody::taken());
            let body =
                ListBody { inner: Box::pin(inner), document: Vec::new(), page: self.clone() };
            *response.body_mut() = SdkBody::from_body_1_x(body);
        }
        Ok(())
    }
}

/// A body that comes in one piece: without the keys where these could be read, as it is otherwise.
struct ListBody {
    inner: Pin<Box<SdkBody>>,
    document: Vec<u8>,
    page: ListedPage,
}

impl Body for ListBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            match self.inner.as_mut().poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.document.extend_from_slice(&data);
                    }
                }
                Poll::Ready(None) => break,
            }
        }
        let document = std::mem::take(&mut self.document);
        if document.is_empty() {
            return Poll::Ready(None);
        }
        let page = list_document::page(&self.page.bucket, &document);
        let left = if page.is_some() { Bytes::from_static(NO_KEYS) } else { document.into() };
        *self.page.page.lock() = page;
        Poll::Ready(Some(Ok(Frame::data(left))))
    }
}
