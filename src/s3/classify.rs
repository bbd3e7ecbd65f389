//! What a failed request to S3 means: the one place that looks at status and code.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::credentials::Doubt;
use crate::error::{self, Error, Refusal};

/// What to do about a failure.
#[derive(Debug)]
pub(super) enum Failure {
    /// Renew the credentials and replay; if that does not help, it is this error.
    Renew(Doubt, Error),
    /// Try again.
    Again(Error),
    /// No retry will change it.
    Final(Error),
}

/// What the request was about, for messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    /// An `s3://` URL.
    pub(super) what: &'a str,
    /// The configured region.
    pub(super) region: &'a str,
    /// What was asked for there.
    pub(super) asked: Asked,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A page of a listing.
    Listing,
    /// What is known of a key that need not exist.
    Key,
    /// Bytes of an object version that existed when it was opened.
    Version,
}

pub(super) fn classify<E>(error: &SdkError<E, HttpResponse>, about: About<'_>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let what = about.what;
    let Some(response) = error.raw_response() else {
        let words = format!("{what}: {}", error::chain(error));
        return match error {
            SdkError::ConstructionFailure(_) => {
                Failure::Final(own(error).unwrap_or_else(|| Error::store(words)))
            }
            _ => Failure::Again(Error::transient(words)),
        };
    };
    let status = response.status().as_u16();
    let service = error.as_service_error();
    // HEAD answers have no body, so no code either.
    let code = service.and_then(ProvideErrorMetadata::code).unwrap_or_default();
    let elsewhere =
        response.headers().get("x-amz-bucket-region").filter(|region| *region != about.region);
    let says = if code.is_empty() {
        format!("status {status}")
    } else {
        format!("{code}, status {status}")
    };
    match (status, code) {
        (_, "ExpiredToken" | "InvalidToken" | "InvalidAccessKeyId" | "TokenRefreshRequired") => {
            Failure::Renew(Doubt::Dead, rejected(what, &says))
        }
        (
            _,
            "RequestTimeTooSkewed"
            | "SlowDown"
            | "InternalError"
            | "RequestTimeout"
            | "ServiceUnavailable",
        ) => {
            // The SDK has learned the server's clock from this very answer.
            Failure::Again(Error::transient(format!("{what}: S3 answered {says}")))
        }
        (_, "NoSuchBucket") => {
            Failure::Final(Error::store(format!("{what}: there is no such bucket; check its name")))
        }
        (_, "InvalidObjectState") => {
            Failure::Final(Error::Archived { what: what.into(), class: "an archive tier".into() })
        }
        (403, _) => match service.and_then(ProvideErrorMetadata::message) {
            // Told from other denials by the name of the policy only, and only to choose the words.
            Some(message) if message.contains("s3-same-region-access-role") => Failure::Final(
                Refusal::OutOfRegion { what: what.into(), region: about.region.into() }.into(),
            ),
            _ => Failure::Renew(Doubt::Denied, forbidden(what, &says)),
        },
        (301 | 307 | 400, _) if elsewhere.is_some() => {
            let region = elsewhere.unwrap_or_default();
            Failure::Final(Error::store(format!(
                "{what}: the bucket is in {region}; mount with --region {region}"
            )))
        }
        (301 | 307, _) => Failure::Final(Error::store(format!(
            "{what}: the bucket is in another region; name it with --region"
        ))),
        (400, "AuthorizationHeaderMalformed") => Failure::Final(rejected(what, &says)),
        // An expired token shows in the answer to a HEAD as a bare 400.
        (400, "" | "BadRequest") => Failure::Renew(Doubt::Denied, rejected(what, &says)),
        (404 | 412, _) if about.asked == Asked::Version => {
            Failure::Final(Error::Replaced(what.into()))
        }
        (404, _) if about.asked == Asked::Key => Failure::Final(Error::NotFound(what.into())),
        // A success whose body was cut or could not be read: the next one may be whole.
        (200..=299 | 408 | 429 | 500..=599, _) => {
            Failure::Again(Error::transient(format!("{what}: S3 answered {says}")))
        }
        _ => Failure::Final(Error::store(format!("{what}: S3 answered {says}"))),
    }
}

/// Our own error within one of the SDK's: no credentials for the signer.
fn own(error: &(dyn std::error::Error + 'static)) -> Option<Error> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref::<Error>())
        .cloned()
}

fn forbidden(what: &str, says: &str) -> Error {
    Refusal::Forbidden { what: what.into(), code: says.into(), also: "".into() }.into()
}

fn rejected(what: &str, says: &str) -> Error {
    Refusal::CredentialsRejected { what: what.into(), code: says.into() }.into()
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::operation::head_object::HeadObjectError;

    use super::*;

    fn failure(error: SdkError<HeadObjectError, HttpResponse>) -> Failure {
        classify(&error, About { what: "s3://b/k", region: "us-west-2", asked: Asked::Key })
    }

    #[test]
    fn a_request_that_cannot_be_built_is_not_tried_again() {
        let plain = failure(SdkError::construction_failure("no such uri"));
        assert!(
            matches!(&plain, Failure::Final(Error::Store(words)) if words.contains("no such uri")),
            "{plain:?}"
        );
        let refusal = Refusal::NoData { endpoint: "e".into() };
        let refused = failure(SdkError::construction_failure(Error::Refused(refusal.clone())));
        assert!(
            matches!(&refused, Failure::Final(Error::Refused(found)) if *found == refusal),
            "{refused:?}"
        );
        assert!(matches!(
            failure(SdkError::timeout_error("slow")),
            Failure::Again(Error::Transient(_))
        ));
    }
}
