//! Who the user is to Earthdata Login, and the conversation that ends in temporary S3 credentials.

mod classify;
mod conversation;
mod identity;
mod identity_source;
mod netrc;
mod netrc_entries;
mod netrc_words;
mod password_guard;
mod provide_credentials;
mod shared_identity;
mod temporary_credentials;

pub use conversation::Login;
pub use identity::{Identity, Password, Token};
pub use identity_source::IdentitySource;
pub use shared_identity::SharedIdentity;
pub use temporary_credentials::TemporaryCredentials;
