//! Answers that are not what was asked for, or not S3's: of proxies, portals and broken stores.

use std::time::SystemTime;

use bytes::Bytes;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    LAST_MODIFIED,
};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::answers;
use crate::content::Object;
use crate::response_body::ResponseBody;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const PAGE: &str = "<!DOCTYPE html><p>Welcome to this network.";
/// The length of a body that has no end in practice.
const ENDLESS: u64 = 1 << 40;

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lie {
    /// A part that was compressed on its way: gzip, half as long, with the ETag and the
    /// Content-Range of the original.
    CompressedPart,
    /// A part of an object that was compressed on its way: Content-Range fits the length, and has
    /// the total of the compressed object.
    PartOfCompressed,
    /// The whole object, compressed on its way: 200, a weak ETag, no Content-Range.
    CompressedWhole,
    /// 203, which proxies answer that change something; the rest is as it should be.
    Transformed,
    /// Content-Range one byte further on than it was asked for.
    ShiftedRange,
    /// 200 in place of 206, with the bytes and the Content-Range of the part.
    PartAsWhole,
    /// The first byte of what was asked for, with its Content-Range, and no more.
    OneByte,
    /// A web page with 200 and the ETag of the object.
    PageWithItsEtag,
    /// A web page with 200 and an ETag of its own.
    PageWithOwnEtag,
    /// 404 without a document and without S3's request id.
    NotFound,
    /// 403 without a document and without S3's request id.
    Forbidden,
    /// A page of a listing with keys that do not start with the prefix.
    ForeignKeys,
    /// An empty page of a listing that goes on, at a continuation token that is always the same.
    RepeatedToken,
    /// 503 with a body that does not end.
    EndlessError,
    /// A body that does not end.
    Endless,
    /// A third of a second passes between any two bytes of the body.
    Trickle,
}

impl Lie {
    /// Returns the bytes per second of the body, where they are part of the lie.
    pub(crate) fn rate(self) -> Option<u64> {
        (self == Self::Trickle).then_some(3)
    }

    /// Makes `answer` this lie.
    pub(crate) fn tell(self, answer: &mut Response<ResponseBody>) {
        let range = answer.headers().get(CONTENT_RANGE).and_then(content_range);
        match self {
            Self::CompressedPart => compress(answer),
            Self::PartOfCompressed => {
                compress(answer);
                answer.headers_mut().remove(CONTENT_ENCODING);
                let (start, length) = (range.map_or(0, |range| range.0), answer.body().length());
                let stated = (start, start + length - 1, start + length);
                set_content_range(answer, stated);
            }
            Self::CompressedWhole => {
                compress(answer);
                *answer.status_mut() = StatusCode::OK;
                answer.headers_mut().remove(CONTENT_RANGE);
                let etag = answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
                let weak = etag.and_then(|etag| HeaderValue::try_from(format!("W/{etag}")).ok());
                if let Some(weak) = weak {
                    answer.headers_mut().insert(ETAG, weak);
                }
            }
            Self::Transformed => {
                *answer.status_mut() = StatusCode::NON_AUTHORITATIVE_INFORMATION;
            }
            Self::ShiftedRange => {
                if let Some((start, end, total)) = range {
                    set_content_range(answer, (start + 1, end + 1, total + 1));
                }
            }
            Self::PartAsWhole => *answer.status_mut() = StatusCode::OK,
            Self::OneByte => {
                if let Some((start, _, total)) = range {
                    set_content_range(answer, (start, start, total));
                    answer.body_mut().shorten(1);
                }
            }
            Self::PageWithItsEtag => web_page(answer, None),
            Self::PageWithOwnEtag => web_page(answer, Some("\"0-portal\"")),
            Self::NotFound => replace(answer, 404, "text/plain", Bytes::new()),
            Self::Forbidden => replace(answer, 403, "text/plain", Bytes::new()),
            Self::ForeignKeys => list(answer, Some("another/key")),
            Self::RepeatedToken => list(answer, None),
            Self::EndlessError => {
                *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                *answer.body_mut() = endless();
            }
            Self::Endless => *answer.body_mut() = endless(),
            Self::Trickle => {}
        }
    }
}

fn content_range(value: &HeaderValue) -> Option<(u64, u64, u64)> {
    let (range, total) = value.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    Some((start.parse().ok()?, end.parse().ok()?, total.parse().ok()?))
}

fn set_content_range(answer: &mut Response<ResponseBody>, (start, end, total): (u64, u64, u64)) {
    if let Ok(value) = HeaderValue::try_from(format!("bytes {start}-{end}/{total}")) {
        answer.headers_mut().insert(CONTENT_RANGE, value);
    }
}

/// Gives the answer a body that looks like half of it in gzip.
fn compress(answer: &mut Response<ResponseBody>) {
    let half = usize::try_from(answer.body().length() / 2).unwrap_or_default().max(4);
    let mut body = vec![0x5a; half];
    body[..4].copy_from_slice(&[0x1f, 0x8b, 8, 0]);
    *answer.body_mut() = body.into();
    answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
}

/// Makes the answer that of somebody else: without S3's headers, but with its ETag or another one.
fn web_page(answer: &mut Response<ResponseBody>, etag: Option<&'static str>) {
    let own = etag.map(HeaderValue::from_static);
    let etag = own.or_else(|| answer.headers().get(ETAG).cloned());
    *answer = answers::html(200, PAGE);
    if let Some(etag) = etag {
        answer.headers_mut().insert(ETAG, etag);
    }
}

fn replace(
    answer: &mut Response<ResponseBody>,
    status: u16,
    content_type: &'static str,
    body: Bytes,
) {
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    *answer.body_mut() = body.into();
    let headers = answer.headers_mut();
    for name in [REQUEST_ID, ETAG, CONTENT_LENGTH, CONTENT_RANGE, LAST_MODIFIED] {
        headers.remove(name);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
}

/// Makes the answer the last page, with one key, or an empty one that is not the last.
fn list(answer: &mut Response<ResponseBody>, key: Option<&str>) {
    let (count, is_truncated) = (u8::from(key.is_some()), key.is_none());
    let contents = key.map_or_else(String::new, |key| {
        format!("<Contents><Key>{key}</Key><ETag>&quot;e&quot;</ETag><Size>1</Size></Contents>")
    });
    *answer.status_mut() = StatusCode::OK;
    *answer.body_mut() = format!(
        "<ListBucketResult><KeyCount>{count}</KeyCount><IsTruncated>{is_truncated}</IsTruncated>\
         <NextContinuationToken>again</NextContinuationToken>{contents}</ListBucketResult>"
    )
    .into();
}

fn endless() -> ResponseBody {
    let object = Object::synthetic("", "", 0, ENDLESS, SystemTime::UNIX_EPOCH);
    ResponseBody::object(object, 0, ENDLESS)
}
