//! S3 credentials: where they come from, one cache that renews them in time, and which of two
//! kinds of credentials opens a bucket.
//!
//! ```text
//! fresh --(70 to 80 % of their life)--> ageing --(their end, or S3 refuses them)--> expired
//!   used as they are           used, while one renewal runs         everyone waits for the renewal
//! ```

mod cache;
mod cached;
mod fallback_chain;
mod instance;
mod pause;
mod provider;
mod state;
mod status;

pub use cache::{CredentialsCache, Doubt};
pub use cached::{Age, CachedCredentials};
pub use fallback_chain::FallbackChain;
pub use instance::instance_region;
pub use provider::Provider;
pub use status::CredentialsStatus;
