//! Who the user is to Earthdata Login, and the conversation that ends in temporary S3 credentials.

mod classify;
mod conversation;
mod identity;
mod netrc;
mod password_guard;
mod provide_credentials;
mod temporary_credentials;

pub use conversation::Login;
pub use identity::{Identity, Password, Token};
pub use temporary_credentials::TemporaryCredentials;
