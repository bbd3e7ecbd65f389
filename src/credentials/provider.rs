//! Where credentials come from.

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use crate::error::{Error, Problem, Refusal};
use crate::login::Login;

/// A source of credentials, with a name for messages.
#[derive(Debug)]
pub enum Provider {
    /// Earthdata Login, through one data center's endpoint.
    Earthdata(Box<Login>),
    /// Earthdata Login, through the first of two endpoints that gives any.
    EitherEndpoint(Box<[Login; 2]>),
    /// The environment's own AWS credentials.
    Environment(SharedCredentialsProvider),
}

impl Provider {
    /// Returns the AWS SDK's default chain: environment variables, profile, web identity,
    /// container, instance.
    pub async fn environment() -> Self {
        let chain = DefaultCredentialsChain::builder().build().await;
        Self::Environment(SharedCredentialsProvider::new(chain))
    }

    /// Returns the /s3credentials URL, or words for the environment.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Earthdata(login) => login.endpoint(),
            Self::EitherEndpoint(logins) => logins[0].endpoint(),
            Self::Environment(_) => "the environment",
        }
    }

    /// Returns what a request for credentials that is under way waits for.
    pub(super) fn waits_for(&self) -> Problem {
        match self {
            Self::Earthdata(login) => {
                Problem::new(format!("no answer from {} yet", login.current_host()))
            }
            Self::EitherEndpoint(logins) => {
                Problem::new(format!("no answer from {} yet", logins[0].current_host()))
            }
            Self::Environment(_) => Problem::new("no answer from the credential chain yet"),
        }
    }

    /// Returns whether the user has changed what a login shows, since the last one.
    pub(super) async fn has_new_identity(&self) -> bool {
        match self {
            Self::Earthdata(login) => login.has_new_identity().await,
            // Every renewal begins with the first one.
            Self::EitherEndpoint(logins) => logins[0].has_new_identity().await,
            Self::Environment(_) => false,
        }
    }

    /// Forgets what was refused, except for passwords.
    pub(super) fn forget_refusal(&self) {
        match self {
            Self::Earthdata(login) => login.forget_refusal(),
            Self::EitherEndpoint(logins) => logins.iter().for_each(Login::forget_refusal),
            Self::Environment(_) => {}
        }
    }

    /// Asks for new credentials.
    ///
    /// # Errors
    /// Those of the login; [`Refusal::NoEnvironmentCredentials`] of the environment.
    pub(super) async fn credentials(&self) -> Result<Credentials, Error> {
        let provided = match self {
            Self::Earthdata(login) => login.provide_credentials().await,
            Self::EitherEndpoint(logins) => return of_either(logins).await,
            Self::Environment(chain) => chain.provide_credentials().await,
        };
        provided.map_err(|error| match own_error(&error) {
            Some(own) => own.clone(),
            None => Refusal::NoEnvironmentCredentials { cause: error.into() }.into(),
        })
    }
}

/// Asks the second endpoint where the first has no answer, or none that is in its form. A refusal
/// of the user would be the same there.
async fn of_either([first, second]: &[Login; 2]) -> Result<Credentials, Error> {
    let error = match first.temporary_credentials().await {
        Err(error @ (Error::Transient(_) | Error::Refused(Refusal::Conversation { .. }))) => error,
        outcome => return outcome.map(Into::into),
    };
    tracing::info!(%error, asked = second.endpoint(), "asking the other endpoint of these buckets");
    second.temporary_credentials().await.map(Into::into).map_err(|other| match other {
        Error::Transient(_) | Error::Refused(Refusal::Conversation { .. }) => error,
        refused => refused,
    })
}

/// Returns the error of granulefs that one of the SDK's carries.
fn own_error(error: &CredentialsError) -> Option<&Error> {
    std::error::Error::source(error)?.downcast_ref()
}
