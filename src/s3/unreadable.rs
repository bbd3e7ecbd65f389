//! What kind of answer it is that S3 would not give, or that cannot be read.

use aws_sdk_s3::config::http::HttpResponse;

/// The words for [`Body::WebPage`].
pub(super) const WEB_PAGE: &str = "a web page answers in place of S3; is --endpoint-url right, and \
                                   is there a proxy or a captive portal in between?";

/// The words for what is well-formed and not S3's.
pub(super) const FOREIGN: &str = "an answer that is not S3's own; is there a proxy or a captive \
                                  portal in between?";

/// What came in place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// A page for people: of a proxy, a captive portal, or a server that is no S3.
    WebPage,
    /// A document of S3 to its end, which no retry will change.
    Whole,
    /// One that ends in the middle, or anything else: the next one may be whole.
    Cut,
}

/// Returns whether a content type is that of pages for people.
pub(super) fn is_html(content_type: &str) -> bool {
    content_type.trim_start().to_ascii_lowercase().starts_with("text/html")
}

impl Body {
    pub(super) fn of(response: &HttpResponse) -> Self {
        let body = response.body().bytes().unwrap_or_default().trim_ascii();
        let begins_with = |tag: &str| {
            body.get(..tag.len()).is_some_and(|b| b.eq_ignore_ascii_case(tag.as_bytes()))
        };
        let kind = response.headers().get("content-type").unwrap_or_default();
        if is_html(kind) || begins_with("<!doctype html") || begins_with("<html") {
            Self::WebPage
        } else if body.ends_with(b"</ListBucketResult>") {
            Self::Whole
        } else {
            Self::Cut
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::primitives::SdkBody;

    use super::*;

    #[test]
    fn a_page_for_people_a_whole_document_and_a_cut_one_are_told_apart() {
        let kind = |content_type: &'static str, body: &'static str| {
            let mut response = HttpResponse::new(200.try_into().unwrap(), SdkBody::from(body));
            response.headers_mut().insert("content-type", content_type);
            Body::of(&response)
        };
        assert_eq!(kind("text/html; charset=utf-8", "Welcome"), Body::WebPage);
        assert_eq!(kind("application/xml", "\n<!DOCTYPE HTML><p>"), Body::WebPage);
        assert_eq!(kind("", "<html><p>"), Body::WebPage);
        let whole = "<ListBucketResult><Key>\u{1}</Key></ListBucketResult>\n";
        assert_eq!(kind("application/xml", whole), Body::Whole);
        assert_eq!(kind("application/xml", "<ListBucketResult><Key>a"), Body::Cut);
        assert_eq!(kind("application/xml", ""), Body::Cut);
    }
}
