//! The SDK's client, with the settings that this project relies on.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, IdentityCache, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls;
use secrecy::ExposeSecret;

use super::BucketLocation;
use crate::credentials::CredentialsCache;
use crate::error::Error;
use crate::http::host;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Until the headers are there; S3 sends them within a second or not at all.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// S3 closes idle connections after about this long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) fn new(
    place: &BucketLocation,
    credentials: Arc<CredentialsCache>,
) -> Result<Client, Error> {
    if let Some(url) = &place.endpoint_url {
        host::require_encrypted_url("--endpoint-url", url)?;
    }
    let http = aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ANSWER_TIMEOUT)
        .build();
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(place.region.clone()))
        .force_path_style(place.path_style)
        .http_client(http)
        .credentials_provider(Current(credentials))
        // The store swaps them; a cache would go on using what S3 has refused.
        .identity_cache(IdentityCache::no_cache())
        // `Bucket::answer` retries: the SDK's budget of tokens runs dry in a storm of 503s, and it
        // does not know of renewals.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        // `Download` watches the stream and resumes it.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .disable_s3_express_session_auth(true);
    config.set_endpoint_url(place.endpoint_url.clone());
    Ok(Client::from_conf(config.build()))
}

/// The store's current session, for the signer.
#[derive(Debug)]
struct Current(Arc<CredentialsCache>);

impl ProvideCredentials for Current {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let session = self.0.session().await.map_err(CredentialsError::provider_error)?;
            let grant = &session.grant;
            let token = grant.session_token.as_ref().map(|token| token.expose_secret().to_owned());
            Ok(Credentials::new(
                &grant.access_key,
                grant.secret_key.expose_secret(),
                token,
                None,
                "granulefs",
            ))
        })
    }
}
