//! Earthdata Login as one of the AWS SDK's credentials providers.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use secrecy::ExposeSecret;

use super::{Login, TemporaryCredentials};

impl ProvideCredentials for Login {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let handed_out =
                self.temporary_credentials().await.map_err(CredentialsError::provider_error)?;
            Ok(handed_out.into())
        })
    }
}

impl From<TemporaryCredentials> for Credentials {
    /// The expiry is written in this machine's time, whatever the server's clock says.
    fn from(handed_out: TemporaryCredentials) -> Self {
        let session_token = handed_out.session_token.as_ref().map(ExposeSecret::expose_secret);
        let expiry = handed_out.life.and_then(|life| SystemTime::now().checked_add(life));
        Self::new(
            handed_out.access_key,
            handed_out.secret_key.expose_secret(),
            session_token.map(str::to_owned),
            expiry,
            "Earthdata Login",
        )
    }
}
