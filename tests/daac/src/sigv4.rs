//! AWS Signature Version 4 for S3, as the server verifies it.
//!
//! It follows "Authenticating Requests (AWS Signature Version 4)" of the S3 API reference and uses
//! no AWS code, so that an error in the client's own library is found.

use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::content::hex;

/// Every character that is escaped in a query: all but the unreserved ones.
pub(crate) const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Every character that is escaped in a path, where the slashes of a key are kept.
pub(crate) const ESCAPED_IN_PATH: &AsciiSet = &ESCAPED.remove(b'/');

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(crate) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
pub(crate) const EMPTY_PAYLOAD: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The value of `Credential=`: the access key, and the day, region and service of the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CredentialScope {
    pub(crate) access_key: String,
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
}

/// The signature that a request has, and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimedSignature {
    pub(crate) scope: CredentialScope,
    /// In lower case, in the order given.
    pub(crate) signed_headers: Vec<String>,
    pub(crate) signature: String,
}

impl CredentialScope {
    /// Parses `AKID/20130524/us-east-1/s3/aws4_request`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<_> = text.split('/').collect();
        let [access_key, date, region, service, "aws4_request"] = parts[..] else { return None };
        Some(Self {
            access_key: access_key.into(),
            date: date.into(),
            region: region.into(),
            service: service.into(),
        })
    }
}

impl ClaimedSignature {
    /// Parses the `Authorization` header.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let rest = header.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
        let (mut scope, mut headers, mut signature) = (None, None, None);
        for part in rest.split(',') {
            match part.trim().split_once('=')? {
                ("Credential", value) => scope = Some(CredentialScope::parse(value)?),
                ("SignedHeaders", value) => {
                    headers = Some(value.split(';').map(str::to_owned).collect())
                }
                ("Signature", value) => signature = Some(value.to_owned()),
                _ => return None,
            }
        }
        Some(Self { scope: scope?, signed_headers: headers?, signature: signature? })
    }
}

/// The parts of a request that are signed.
pub(crate) struct CanonicalRequest<'a> {
    pub(crate) method: &'a str,
    /// As sent.
    pub(crate) path: &'a str,
    /// Decoded names and values, without the signature itself.
    pub(crate) query: &'a [(String, String)],
    pub(crate) headers: &'a HeaderMap,
    pub(crate) payload: &'a str,
    /// `20130524T000000Z`
    pub(crate) time: &'a str,
}

impl CanonicalRequest<'_> {
    /// Returns the signature of the holder of `secret`.
    pub(crate) fn signature(
        &self,
        secret: &str,
        scope: &CredentialScope,
        signed_headers: &[String],
    ) -> String {
        let CredentialScope { date, region, service, .. } = scope;
        let canonical = hex(&Sha256::digest(self.canonical(signed_headers)));
        let text = format!(
            "{ALGORITHM}\n{}\n{date}/{region}/{service}/aws4_request\n{canonical}",
            self.time
        );
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [date, region, service, "aws4_request"] {
            key = hmac(&key, part);
        }
        hex(&hmac(&key, &text))
    }

    fn canonical(&self, signed_headers: &[String]) -> String {
        let headers: String = signed_headers
            .iter()
            .map(|name| format!("{name}:{}\n", canonical_header(self.headers, name)))
            .collect();
        let names = signed_headers.join(";");
        format!(
            "{}\n{}\n{}\n{headers}\n{names}\n{}",
            self.method,
            self.path,
            canonical_query(self.query),
            self.payload
        )
    }
}

fn canonical_header(headers: &HeaderMap, name: &str) -> String {
    let values =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    values
        .map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(",")
}

fn canonical_query(query: &[(String, String)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
    let mut pairs: Vec<_> =
        query.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Decodes a path, or returns `None` when it is not in the form that S3 signs: `%XX` for every byte
/// but the unreserved ones and `/`.
pub(crate) fn decode_path(path: &str) -> Option<String> {
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    (utf8_percent_encode(&decoded, ESCAPED_IN_PATH).to_string() == path)
        .then(|| decoded.into_owned())
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes a key of any length, so this error cannot happen.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    /// The secret key of every example in AWS's documentation.
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    fn query(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn check(
        path: &str,
        query: &[(String, String)],
        extra: &[(&str, &str)],
        payload: &str,
        claim: &str,
    ) {
        let mut all = vec![("host", "examplebucket.s3.amazonaws.com")];
        all.extend(extra);
        let claim = ClaimedSignature::parse(claim).unwrap();
        let canonical = CanonicalRequest {
            method: "GET",
            path,
            query,
            headers: &headers(&all),
            payload,
            time: "20130524T000000Z",
        };
        assert_eq!(
            canonical.signature(SECRET, &claim.scope, &claim.signed_headers),
            claim.signature
        );
    }

    /// "Example: GET Object" of the S3 API reference, Signature Calculations for the Authorization
    /// Header.
    #[test]
    fn the_published_get_object_example_verifies() {
        check(
            "/test.txt",
            &[],
            &[
                ("range", "bytes=0-9"),
                ("x-amz-content-sha256", EMPTY_PAYLOAD),
                ("x-amz-date", "20130524T000000Z"),
            ],
            EMPTY_PAYLOAD,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=host;range;\
             x-amz-content-sha256;x-amz-date,Signature=\
             f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        );
    }

    /// "Example: Get Bucket (List Objects)" of the same page.
    #[test]
    fn the_published_list_objects_example_verifies() {
        check(
            "/",
            &query(&[("prefix", "J"), ("max-keys", "2")]),
            &[("x-amz-content-sha256", EMPTY_PAYLOAD), ("x-amz-date", "20130524T000000Z")],
            EMPTY_PAYLOAD,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/\
             aws4_request, SignedHeaders=host;\
             x-amz-content-sha256;x-amz-date, \
             Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        );
    }

    /// The example of "Authenticating Requests: Using Query Parameters".
    #[test]
    fn the_published_presigned_example_verifies() {
        check(
            "/test.txt",
            &query(&[
                ("X-Amz-Algorithm", ALGORITHM),
                ("X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"),
                ("X-Amz-Date", "20130524T000000Z"),
                ("X-Amz-Expires", "86400"),
                ("X-Amz-SignedHeaders", "host"),
            ]),
            &[],
            UNSIGNED_PAYLOAD,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=host,\
             Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        );
    }

    #[test]
    fn only_the_canonical_form_of_a_path_is_decoded() {
        assert_eq!(decode_path("/b/a%20b%2B%25~_-.%C3%A9%0A").as_deref(), Some("/b/a b+%~_-.é\n"));
        for path in ["/a+b", "/%7e", "/%2F", "/a%c3%a9", "/%41", "/a%", "/%FF", "/a*"] {
            assert_eq!(decode_path(path), None, "{path}");
        }
    }

    #[test]
    fn an_incomplete_authorization_header_is_refused() {
        for claim in [
            "Bearer x",
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request",
            "AWS4-HMAC-SHA256 Credential=a/b,SignedHeaders=host,Signature=1",
        ] {
            assert_eq!(ClaimedSignature::parse(claim), None, "{claim}");
        }
    }
}
