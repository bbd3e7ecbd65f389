//! Authenticates S3 requests: signature, access key, session token and time.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::Request;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::keys::Key;
use crate::s3_error::S3Error;
use crate::sigv4::{self, CanonicalRequest, ClaimedSignature, CredentialScope};
use crate::state::ServerState;

/// How far a signer's clock may be off.
const SKEW: Duration = Duration::from_secs(15 * 60);

/// A request's signature, and the other values that are needed to check it.
struct PresentedSignature {
    claim: ClaimedSignature,
    time: String,
    /// How long a presigned URL is valid.
    presigned: Option<Duration>,
    token: Option<String>,
    payload: String,
}

/// Returns the access key that signed a request. `query` is decoded.
pub(crate) fn authenticate(
    state: &ServerState,
    request: &Request<Bytes>,
    query: &[(String, String)],
    region: &str,
) -> Result<Key, S3Error> {
    let signed = read(request, query)?;
    check_scope(&signed, region)?;
    check_headers(&signed, request)?;
    let now = state.now();
    check_time(&signed, now)?;
    let key = state.keys.find(&signed.claim.scope.access_key).ok_or_else(unknown_key)?;
    match (&key.token, &signed.token) {
        (Some(_), None) => return Err(unknown_key()),
        (held, shown) if held != shown => {
            return Err(S3Error::new(
                400,
                "InvalidToken",
                "The provided token is malformed or otherwise invalid.",
            ));
        }
        _ => {}
    }
    if key.expires.is_some_and(|expires| expires <= now) {
        return Err(S3Error::new(400, "ExpiredToken", "The provided token has expired."));
    }
    let unsigned: Vec<_> =
        query.iter().filter(|(name, _)| name != "X-Amz-Signature").cloned().collect();
    let canonical = CanonicalRequest {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: &unsigned,
        headers: request.headers(),
        payload: &signed.payload,
        time: &signed.time,
    };
    if canonical.signature(&key.secret, &signed.claim.scope, &signed.claim.signed_headers)
        != signed.claim.signature
    {
        let message = "The request signature we calculated does not match the signature you \
            provided. Check your key and signing method.";
        return Err(S3Error::new(403, "SignatureDoesNotMatch", message));
    }
    Ok(key)
}

fn unknown_key() -> S3Error {
    S3Error::new(
        403,
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
    )
}

fn malformed(message: impl Into<String>) -> S3Error {
    S3Error::new(400, "AuthorizationHeaderMalformed", message)
}

fn read(
    request: &Request<Bytes>,
    query: &[(String, String)],
) -> Result<PresentedSignature, S3Error> {
    let header = |name: &str| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let parameter =
        |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    match (header("authorization"), parameter("X-Amz-Algorithm")) {
        (None, None) => Err(S3Error::denied()),
        (Some(_), Some(_)) => Err(S3Error::invalid_argument("Only one auth mechanism allowed")),
        (Some(authorization), None) => {
            let missing = |what| {
                S3Error::new(
                    400,
                    "InvalidRequest",
                    format!("Missing required header for this request: {what}"),
                )
            };
            Ok(PresentedSignature {
                claim: ClaimedSignature::parse(&authorization)
                    .ok_or_else(|| malformed("The authorization header is malformed."))?,
                time: header("x-amz-date").ok_or_else(S3Error::denied)?,
                presigned: None,
                token: header("x-amz-security-token"),
                payload: header("x-amz-content-sha256")
                    .ok_or_else(|| missing("x-amz-content-sha256"))?,
            })
        }
        (None, Some(algorithm)) => {
            let wrong = || {
                S3Error::new(
                    400,
                    "AuthorizationQueryParametersError",
                    "Query-string authentication parameters are not right.",
                )
            };
            let all = |name: &str| parameter(name).ok_or_else(wrong);
            let expires: u64 = all("X-Amz-Expires")?.parse().map_err(|_| wrong())?;
            if algorithm != sigv4::ALGORITHM || expires > 604_800 {
                return Err(wrong());
            }
            let claim = ClaimedSignature {
                scope: CredentialScope::parse(&all("X-Amz-Credential")?).ok_or_else(wrong)?,
                signed_headers: all("X-Amz-SignedHeaders")?.split(';').map(str::to_owned).collect(),
                signature: all("X-Amz-Signature")?,
            };
            let payload = sigv4::UNSIGNED_PAYLOAD.to_owned();
            let presigned = Some(Duration::from_secs(expires));
            Ok(PresentedSignature {
                claim,
                time: all("X-Amz-Date")?,
                presigned,
                token: parameter("X-Amz-Security-Token"),
                payload,
            })
        }
    }
}

fn check_scope(signed: &PresentedSignature, region: &str) -> Result<(), S3Error> {
    let scope = &signed.claim.scope;
    if scope.service != "s3" || !signed.time.starts_with(&scope.date) {
        return Err(malformed("The authorization header is malformed; incorrect service or date."));
    }
    if scope.region != region {
        let message = format!(
            "The authorization header is malformed; the region '{}' is wrong; expecting '{region}'",
            scope.region
        );
        return Err(malformed(message).with_header("x-amz-bucket-region", region));
    }
    Ok(())
}

/// Checks that `host` and every `x-amz-*` header are signed, and that every signed header exists.
fn check_headers(signed: &PresentedSignature, request: &Request<Bytes>) -> Result<(), S3Error> {
    let names = &signed.claim.signed_headers;
    if !names.is_sorted()
        || names.iter().any(|name| !request.headers().contains_key(name))
        || !names.iter().any(|name| name == "host")
    {
        return Err(malformed("The list of signed headers is not right."));
    }
    let mut own = request.headers().keys().filter(|name| name.as_str().starts_with("x-amz-"));
    if let Some(name) = own.find(|name| !names.iter().any(|signed| signed == name.as_str())) {
        return Err(S3Error::new(
            403,
            "AccessDenied",
            format!("There were headers present in the request which were not signed: {name}"),
        ));
    }
    if ![sigv4::EMPTY_PAYLOAD, sigv4::UNSIGNED_PAYLOAD].contains(&signed.payload.as_str())
        || !request.body().is_empty()
    {
        let message =
            "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return Err(S3Error::new(400, "XAmzContentSHA256Mismatch", message));
    }
    Ok(())
}

fn check_time(signed: &PresentedSignature, now: SystemTime) -> Result<(), S3Error> {
    let time = parse_time(&signed.time).ok_or_else(|| {
        S3Error::new(
            403,
            "AccessDenied",
            "AWS authentication requires a valid Date or x-amz-date header",
        )
    })?;
    let ahead = time.duration_since(now).unwrap_or_default();
    let age = now.duration_since(time).unwrap_or_default();
    match signed.presigned {
        Some(_) if ahead > SKEW => {
            Err(S3Error::new(403, "AccessDenied", "Request is not yet valid"))
        }
        Some(life) if age > life => Err(S3Error::new(403, "AccessDenied", "Request has expired")),
        None if ahead > SKEW || age > SKEW => {
            let message =
                "The difference between the request time and the current time is too large.";
            Err(S3Error::new(403, "RequestTimeTooSkewed", message))
        }
        _ => Ok(()),
    }
}

fn parse_time(text: &str) -> Option<SystemTime> {
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()?.try_into().ok()
}
