//! What a failed request to S3 means: the one place that looks at status and code.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::answer_limit::TooLong;
use super::unreadable::{self, FOREIGN, WEB_PAGE};
use crate::credentials::Doubt;
use crate::error::{Error, FallbackRefusal, Problem, Refusal, StoreAnswer};

/// What to do about a failure.
#[derive(Debug)]
pub(super) enum Failure {
    /// Renew the credentials and replay; if that does not help, it is this error.
    Renew(Doubt, Error),
    /// Try again.
    Again(Error),
    /// Try again, though waiting seldom cures it.
    Lasting(Error),
    /// No retry will change it.
    Final(Error),
}

impl Failure {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Renew(_, error)
            | Self::Again(error)
            | Self::Lasting(error)
            | Self::Final(error) => error,
        }
    }
}

/// What a request is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// An `s3://` URL.
    pub(super) url: &'a str,
    /// The configured region.
    pub(super) region: &'a str,
    /// What is requested of it.
    pub(super) requested: Requested,
    /// Whether the store gives each of its answers an id.
    pub(super) has_request_ids: bool,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Requested {
    /// A page of a listing.
    Listing,
    /// What is known of a key that need not exist.
    Key,
    /// Bytes of an object version that existed when it was opened.
    Version,
}

/// Returns what `error`, about `subject`, means.
pub(super) fn classify<E>(error: SdkError<E, HttpResponse>, subject: Subject<'_>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let url = subject.url;
    let Some(response) = error.raw_response() else {
        return match error {
            SdkError::ConstructionFailure(_) => {
                let problem = Problem::new("the request cannot be made").about(url);
                Failure::Final(Error::store(problem.caused_by(error)))
            }
            _ => {
                let is_lasting = has_not_connected(&error);
                let problem = Problem::new("no answer from S3").about(url);
                let fault = Error::transient(problem.caused_by(error));
                if is_lasting { Failure::Lasting(fault) } else { Failure::Again(fault) }
            }
        };
    };
    let header = |name| response.headers().get(name);
    let service = error.as_service_error();
    let answer = StoreAnswer {
        status: response.status().as_u16(),
        code: service.and_then(ProvideErrorMetadata::code).map(Into::into),
        request_id: header("x-amz-request-id").map(Into::into),
    };
    let elsewhere = header("x-amz-bucket-region").filter(|region| *region != subject.region);
    let failed = |words: &str| {
        let problem = Problem::new(words.to_owned()).about(url);
        problem.answered(answer.clone())
    };
    if let Some(too_long) = causes(&error).find_map(|cause| cause.downcast_ref::<TooLong>()) {
        return Failure::Lasting(Error::transient(failed(&too_long.to_string())));
    }
    let body = unreadable::Body::of(response);
    match (answer.status, answer.code.as_deref().unwrap_or_default()) {
        (408 | 429 | 500..=599, "") => {
            Failure::Again(Error::transient(failed("S3 failed for now")))
        }
        // An error page of whoever is in between says nothing of a key, and nothing of credentials.
        // For a 404 without a document, the SDK makes up the code.
        (300.., "" | "NotFound")
            if answer.request_id.is_none() && body == unreadable::Body::WebPage =>
        {
            Failure::Lasting(Error::transient(failed(WEB_PAGE)))
        }
        (300.., "" | "NotFound") if answer.request_id.is_none() && subject.has_request_ids => {
            Failure::Lasting(Error::transient(failed(FOREIGN)))
        }
        (_, "ExpiredToken" | "InvalidToken" | "InvalidAccessKeyId" | "TokenRefreshRequired") => {
            Failure::Renew(Doubt::Invalid, rejected(url, answer))
        }
        // The SDK has learned the server's clock from this very answer.
        (_, "RequestTimeTooSkewed") => {
            Failure::Again(Error::transient(failed("S3 finds the request's time wrong")))
        }
        (_, "SlowDown" | "InternalError" | "RequestTimeout" | "ServiceUnavailable") => {
            Failure::Again(Error::transient(failed("S3 failed for now")))
        }
        (_, "NoSuchBucket") => {
            Failure::Final(Error::store(failed("there is no such bucket; check its name")))
        }
        (_, "InvalidObjectState") => {
            Failure::Final(Error::Archived { url: url.into(), class: "an archive tier".into() })
        }
        (_, "SignatureDoesNotMatch") => {
            let refusal = Refusal::WrongSignature { url: url.into(), answer };
            Failure::Renew(Doubt::Invalid, refusal.into())
        }
        (403, _) => match service.and_then(ProvideErrorMetadata::message) {
            // Told from other denials by the name of the policy only, and only to choose the words.
            Some(message) if message.contains("s3-same-region-access-role") => {
                let region = subject.region.into();
                Failure::Final(Refusal::OutOfRegion { url: url.into(), region, answer }.into())
            }
            _ => Failure::Renew(Doubt::Denied, forbidden(url, answer)),
        },
        (301 | 307 | 400, _) if elsewhere.is_some() => {
            let region = elsewhere.unwrap_or_default();
            let words = format!("the bucket is in {region}; mount with --region {region}");
            Failure::Final(Error::store(failed(&words)))
        }
        (301 | 307, _) => {
            let words = "the bucket is in another region; name it with --region";
            Failure::Final(Error::store(failed(words)))
        }
        // The message is the only sign of it.
        (400, "InvalidRequest")
            if service
                .and_then(ProvideErrorMetadata::message)
                .is_some_and(|message| message.contains("Server Side Encryption")) =>
        {
            Failure::Final(Refusal::CustomerKey { url: url.into(), answer }.into())
        }
        (400, "AuthorizationHeaderMalformed") => Failure::Final(rejected(url, answer)),
        // An expired token shows in the answer to a HEAD as a bare 400.
        (400, "" | "BadRequest") => Failure::Renew(Doubt::Denied, rejected(url, answer)),
        (404 | 412, _) if subject.requested == Requested::Version => {
            Failure::Final(Error::Replaced(url.into()))
        }
        (404, _) if subject.requested == Requested::Key => {
            Failure::Final(Error::NotFound(url.into()))
        }
        (200..=299, _) => match body {
            unreadable::Body::WebPage => Failure::Lasting(Error::transient(failed(WEB_PAGE))),
            unreadable::Body::Whole => {
                let words = "S3's answer is whole, and is no XML that can be read; a key there may \
                             hold a control character";
                Failure::Final(Error::store(failed(words).caused_by(error)))
            }
            unreadable::Body::Cut => {
                Failure::Again(Error::transient(failed("S3's answer is not readable")))
            }
        },
        (408 | 429 | 500..=599, _) => Failure::Again(Error::transient(failed("S3 failed for now"))),
        _ => Failure::Final(Error::store(failed("S3 refused the request"))),
    }
}

/// Whether nobody was there to connect to: no such name, no connection, or a TLS of which this
/// machine does not trust the certificate.
fn has_not_connected(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error)
        .filter_map(|error| error.downcast_ref::<hyper_util::client::legacy::Error>())
        .any(hyper_util::client::legacy::Error::is_connect)
}

/// Returns `error` and what led to it.
fn causes<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

fn forbidden(url: &str, answer: StoreAnswer) -> Error {
    let also = FallbackRefusal::default();
    Refusal::Forbidden { url: url.into(), answer, also }.into()
}

fn rejected(url: &str, answer: StoreAnswer) -> Error {
    Refusal::CredentialsRejected { url: url.into(), answer }.into()
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::operation::head_object::HeadObjectError;
    use aws_sdk_s3::primitives::SdkBody;

    use super::*;

    fn failure(error: SdkError<HeadObjectError, HttpResponse>) -> Failure {
        let requested = Requested::Key;
        let (url, region, has_request_ids) = ("s3://b/k", "us-west-2", false);
        classify(error, Subject { url, region, requested, has_request_ids })
    }

    #[test]
    fn a_request_that_cannot_be_built_is_not_tried_again() {
        let plain = failure(SdkError::construction_failure("no such uri"));
        let is_final = |failure: &Failure| match failure {
            Failure::Final(Error::Store(problem)) => problem.to_string().contains("no such uri"),
            _ => false,
        };
        assert!(is_final(&plain), "{plain:?}");
        assert!(matches!(
            failure(SdkError::timeout_error("slow")),
            Failure::Again(Error::Transient(_))
        ));
    }

    #[test]
    fn an_answer_keeps_its_request_id() {
        let mut response = HttpResponse::new(403.try_into().unwrap(), SdkBody::empty());
        response.headers_mut().insert("x-amz-request-id", "4442587FB7D0A2F9");
        let unhandled = HeadObjectError::unhandled("no body");
        let refused = failure(SdkError::service_error(unhandled, response));
        let Failure::Renew(Doubt::Denied, Error::Refused(Refusal::Forbidden { answer, .. })) =
            refused
        else {
            panic!("{refused:?}")
        };
        assert_eq!(answer.to_string(), "status 403, request id 4442587FB7D0A2F9");
    }
}
