//! Keys of nothing but white space, which S3 has and the AWS SDK takes for none.

use aws_sdk_s3::config::http::HttpRequest;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// What the SDK is given in place of such a key, and what is replaced before the request is signed.
const STAND_IN: &str = "granulefs-white-space";

/// Returns the key that the SDK takes.
pub(super) fn for_sdk(key: &str) -> &str {
    if is_white_space(key) { STAND_IN } else { key }
}

/// Makes `request`, for [`for_sdk`]'s key, one for `key`.
pub(super) fn restore(request: &mut HttpRequest, key: &str) {
    if !is_white_space(key) {
        return;
    }
    let uri = request.uri().to_owned();
    if let Some((before, after)) = uri.rsplit_once(STAND_IN) {
        let uri = format!("{before}{}{after}", utf8_percent_encode(key, NON_ALPHANUMERIC));
        // What was a URI before is one with another path.
        let _ = request.set_uri(uri);
    }
}

fn is_white_space(key: &str) -> bool {
    key.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::primitives::SdkBody;

    use super::*;

    #[test]
    fn the_key_is_back_before_the_request_is_signed() {
        let uri = |key: &str| {
            let mut request = HttpRequest::new(SdkBody::empty());
            request.set_uri(format!("https://h/b/{}?x-id=GetObject", for_sdk(key))).unwrap();
            restore(&mut request, key);
            request.uri().to_owned()
        };
        assert_eq!(uri(" "), "https://h/b/%20?x-id=GetObject");
        assert_eq!(uri("\t\u{3000}"), "https://h/b/%09%E3%80%80?x-id=GetObject");
        assert_eq!(uri("k"), "https://h/b/k?x-id=GetObject");
    }
}
