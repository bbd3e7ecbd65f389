//! The SDK's client, with the settings that this project relies on.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, IdentityCache, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, RuntimeComponents, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Connector, tls};

use super::BucketLocation;
use crate::error::{Error, Problem};
use crate::http::{self, Url, host};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Until the headers are there; S3 sends them within a second or not at all.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// S3 closes idle connections after about this long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Returns a client that has no credentials: each request brings its own, see [`signed_with`].
///
/// # Errors
/// [`crate::error::Refusal::Unencrypted`] for a plain http endpoint that is not this machine.
pub(super) fn new(location: &BucketLocation) -> Result<Client, Error> {
    let mut proxy = ProxyConfig::from_env();
    if let Some(url) = &location.endpoint_url {
        host::require_encrypted_url("--endpoint-url", url)?;
        if Url::parse(url).is_ok_and(|url| !http::may_be_proxied(&url)) {
            proxy = ProxyConfig::disabled();
        }
    }
    let trusted = trusted()?;
    let http = aws_smithy_http_client::Builder::new();
    let http = http.build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder()
            .pool_idle_timeout(IDLE_TIMEOUT)
            .proxy_config(proxy.clone())
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
            .tls_context(trusted.clone());
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        builder.build()
    });
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ANSWER_TIMEOUT)
        .build();
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(location.region.clone()))
        .force_path_style(location.path_style)
        .http_client(http)
        // `Bucket::answer` retries: the SDK's budget of tokens runs dry in a storm of 503s, and it
        // does not know of renewals.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        // `Download` watches the stream and resumes it.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .disable_s3_express_session_auth(true);
    config.set_endpoint_url(location.endpoint_url.clone());
    Ok(Client::from_conf(config.build()))
}

/// Returns the certificate authorities that are trusted: the same as for logins.
fn trusted() -> Result<tls::TlsContext, Error> {
    let mut store = tls::TrustStore::default();
    let added = http::added_authorities()?;
    if !added.pem.is_empty() {
        store.add_pem_certificate(added.pem.clone());
    }
    tls::TlsContext::builder()
        .with_trust_store(store)
        .build()
        .map_err(|error| Error::store(Problem::new("cannot set up TLS").caused_by(error)))
}

/// Returns the configuration of one request that is signed with `keys`.
pub(super) fn signed_with(keys: Credentials) -> Builder {
    // Without this the SDK makes a cache for the one request.
    let uncached = IdentityCache::no_cache();
    aws_sdk_s3::Config::builder().credentials_provider(keys).identity_cache(uncached)
}
