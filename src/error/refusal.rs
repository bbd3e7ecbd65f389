//! Every reason for which Earthdata or S3 refuses a user, each in words that say what to do.

use std::fmt;
use std::sync::Arc;

use super::{Cause, Error, StoreAnswer};

/// A refusal that only the user, or whoever runs the service, can cure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No token, no user name, no netrc entry.
    #[error(
        "no Earthdata Login identity found ({seen}): set EARTHDATA_TOKEN to a token from \
         https://{host}/ (\"Generate Token\"), or EARTHDATA_USERNAME and EARTHDATA_PASSWORD, \
         or add \"machine {host} login USER password PASSWORD\" to {netrc}"
    )]
    NoIdentity {
        /// The Earthdata Login host.
        host: Arc<str>,
        /// What the netrc file is or has instead.
        seen: Arc<str>,
        /// The netrc file that was looked at.
        netrc: Arc<str>,
    },
    /// The login server says that user and password do not match.
    #[error(
        "Earthdata Login at {host} refused the user name or password from {origin}; \
         check them at https://{host}/. They are not sent again until they change"
    )]
    WrongPassword {
        /// The Earthdata Login host.
        host: Arc<str>,
        /// Where the identity was found.
        origin: Arc<str>,
    },
    /// The bearer token was refused and there is no password to fall back on. Some endpoints say no
    /// more than this.
    #[error(
        "{endpoint} refused the token from {origin}: it may have expired (they live 60 days), \
         or an agreement is missing; make a new token at https://{host}/ \
         and look at https://{host}/profile for unaccepted EULAs"
    )]
    TokenRefused {
        /// The /s3credentials URL.
        endpoint: Arc<str>,
        /// The Earthdata Login host.
        host: Arc<str>,
        /// Where the token was found.
        origin: Arc<str>,
    },
    /// An agreement or an application is not accepted, or the profile is incomplete.
    #[error(
        "Earthdata Login wants something from you first: {message}; \
         open {resolution_url} in a browser, then try again"
    )]
    Resolution {
        /// Earthdata's own words.
        message: Arc<str>,
        /// The page that cures it.
        resolution_url: Arc<str>,
    },
    /// The user's groups open nothing behind this endpoint.
    #[error(
        "{endpoint} says that this Earthdata user may not access any of its data; \
         ask the data center for access"
    )]
    NoData {
        /// The /s3credentials URL.
        endpoint: Arc<str>,
    },
    /// The login conversation left the path that the documentation describes.
    #[error("the login at {endpoint} did not end as it should: {detail}")]
    Conversation {
        /// The /s3credentials URL.
        endpoint: Arc<str>,
        /// What was seen, without secrets.
        detail: Arc<str>,
    },
    /// The endpoint sends its logins to a host that is not the configured one.
    #[error(
        "{endpoint} sends its login to {host}, not to {configured}; no password was sent. \
         If that host is right, name it with --earthdata-host {host}"
    )]
    ForeignLogin {
        /// The /s3credentials URL.
        endpoint: Arc<str>,
        /// The host in the redirect.
        host: Arc<str>,
        /// The configured Earthdata Login host.
        configured: Arc<str>,
    },
    /// A secret would have travelled unencrypted.
    #[error(
        "{url} is not https: secrets travel over https only \
         (or over http to this machine itself)"
    )]
    Unencrypted {
        /// Scheme and host of the URL.
        url: Arc<str>,
    },
    /// Credentials have expired and no new ones could be had in time.
    #[error(
        "the S3 credentials have expired, or there were none yet, \
         and {endpoint} gives none: {cause}"
    )]
    NoCredentials {
        /// The /s3credentials URL.
        endpoint: Arc<str>,
        /// Why the last attempt failed, or what is waited for.
        #[source]
        cause: Arc<Error>,
    },
    /// S3 denied the request, with credentials known to be good.
    #[error(
        "S3 denies access to {url} ({answer}) with the credentials in use; \
         they may not cover it{also}"
    )]
    Forbidden {
        /// The URL of the object or prefix.
        url: Arc<str>,
        /// What S3 said.
        answer: StoreAnswer,
        /// What became of other credentials, where there should be some to fall back on.
        also: FallbackRefusal,
    },
    /// S3 does not know, or no longer knows, the credentials themselves.
    #[error(
        "S3 does not accept the credentials for {url} ({answer}); \
         are --endpoint-url and --region right?"
    )]
    CredentialsRejected {
        /// The URL of the object or prefix.
        url: Arc<str>,
        /// What S3 said.
        answer: StoreAnswer,
    },
    /// S3 knows the access key, and signs otherwise.
    #[error(
        "S3 computes another signature for {url} ({answer}); \
         is the secret key right, and are --endpoint-url and --region?"
    )]
    WrongSignature {
        /// The URL of the object or prefix.
        url: Arc<str>,
        /// What S3 said.
        answer: StoreAnswer,
    },
    /// The credentials are good, but only inside the region.
    #[error(
        "S3 denies access to {url} ({answer}): these credentials work only from inside AWS \
         {region}; run granulefs on a machine there"
    )]
    OutOfRegion {
        /// The URL of the object or prefix.
        url: Arc<str>,
        /// The region.
        region: Arc<str>,
        /// What S3 said.
        answer: StoreAnswer,
    },
    /// The object can be read only with a key that whoever wrote it has.
    #[error(
        "{url} is encrypted with a key of its own that only its owner has (SSE-C) ({answer}); \
         ask whoever wrote it for a copy without"
    )]
    CustomerKey {
        /// The object's URL.
        url: Arc<str>,
        /// What S3 said.
        answer: StoreAnswer,
    },
    /// The environment's own AWS credentials could not be had.
    #[error("no AWS credentials in the environment (--aws-credentials): {cause}")]
    NoEnvironmentCredentials {
        /// What the AWS credential chain said.
        #[source]
        cause: Cause,
    },
    /// Neither the environment's nor Earthdata's credentials are of use, and not because S3 denies
    /// access to one object.
    #[error("{reason}; and with the credentials of {other}: {too}")]
    Neither {
        /// The one of both reasons that is most likely to be cured.
        #[source]
        reason: Arc<Error>,
        /// Whose the other credentials are.
        other: Arc<str>,
        /// Why those are of no use either.
        too: Arc<Error>,
    },
}

/// Why the credentials to fall back on did not help either. Displays as nothing when there were
/// none to try.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FallbackRefusal(Option<Arc<(Arc<str>, Error)>>);

impl FallbackRefusal {
    fn new(whose: &str, error: Error) -> Self {
        Self(Some(Arc::new((whose.into(), error))))
    }
}

impl FallbackRefusal {
    /// Leaves out what distinguishes one request from the others.
    fn generalize(&mut self) {
        if let Some(refusal) = &self.0 {
            let (whose, error) = &**refusal;
            self.0 = Some(Arc::new((whose.clone(), error.generalized())));
        }
    }
}

impl fmt::Display for FallbackRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(refusal) = &self.0 else { return Ok(()) };
        let (whose, error) = &**refusal;
        write!(f, "; with the credentials of {whose}: {error}")
    }
}

/// How much a refusal says about one of two kinds of credentials for a bucket, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Relevance {
    /// There is nobody to ask.
    Untried,
    /// The environment has no credentials, or some that S3 does not know.
    Useless,
    /// The user, or time, can cure it.
    Curable,
    /// The credentials are good.
    Denial,
}

impl Relevance {
    fn of(error: &Error) -> Self {
        match error {
            Error::Refused(Refusal::Forbidden { .. } | Refusal::OutOfRegion { .. }) => Self::Denial,
            Error::Refused(
                Refusal::NoEnvironmentCredentials { .. }
                | Refusal::CredentialsRejected { .. }
                | Refusal::WrongSignature { .. },
            ) => Self::Useless,
            Error::Refused(Refusal::NoIdentity { .. }) | Error::Usage(_) => Self::Untried,
            _ => Self::Curable,
        }
    }
}

impl Refusal {
    /// Returns whether S3 denies access to credentials that it knows.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        matches!(self, Self::Forbidden { .. } | Self::OutOfRegion { .. })
    }

    /// Returns the refusal of both `self`, to the credentials of `own`, and `too`, to those of
    /// `other`. A denial stays one.
    #[must_use]
    pub fn and(self, own: &str, too: &Error, other: &str) -> Self {
        let (mine, theirs) = ((Error::from(self), own), (too.clone(), other));
        let is_less = Relevance::of(&mine.0) < Relevance::of(&theirs.0);
        let ((reason, _), (too, other)) = if is_less { (theirs, mine) } else { (mine, theirs) };
        match reason {
            Error::Refused(Self::Forbidden { url, answer, .. })
                if matches!(Relevance::of(&too), Relevance::Curable | Relevance::Untried) =>
            {
                Self::Forbidden { url, answer, also: FallbackRefusal::new(other, too) }
            }
            Error::Refused(denial) if denial.is_denial() => denial,
            reason => Self::Neither { reason: reason.into(), other: other.into(), too: too.into() },
        }
    }

    /// Returns the refusal without what distinguishes one object of a bucket, and one request, from
    /// the others: two refusals of the same cause become equal.
    pub(super) fn generalized(&self) -> Self {
        let mut general = self.clone();
        match &mut general {
            Self::NoCredentials { cause, .. } => *cause = cause.generalized().into(),
            Self::Forbidden { url, answer, also } => {
                also.generalize();
                // Reading may be allowed where listing is not. HEAD has no code where GET has one.
                let asked = if url.ends_with('/') { "listing" } else { "reading" };
                let code = Some(asked.into());
                (*url, *answer) =
                    (bucket_of(url), StoreAnswer { status: answer.status, code, request_id: None });
            }
            Self::CredentialsRejected { url, answer } | Self::WrongSignature { url, answer } => {
                (*url, *answer) =
                    (bucket_of(url), StoreAnswer { status: 0, code: None, request_id: None });
            }
            Self::OutOfRegion { url, answer, .. } => {
                (*url, *answer) = (bucket_of(url), answer.without_request_id());
            }
            Self::Neither { reason, too, .. } => {
                (*reason, *too) = (reason.generalized().into(), too.generalized().into());
            }
            _ => {}
        }
        general
    }
}

/// Returns `s3://BUCKET` of an `s3://` URL.
pub(super) fn bucket_of(url: &str) -> Arc<str> {
    url.match_indices('/').nth(2).map_or(url, |(end, _)| &url[..end]).into()
}
