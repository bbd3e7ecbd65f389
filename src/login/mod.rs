//! Who the user is to Earthdata Login, and the conversation that ends in temporary S3 credentials.

mod answer;
mod conversation;
pub mod identity;
mod password_guard;
mod provide_credentials;

pub use answer::TemporaryCredentials;
pub use conversation::Login;
pub use identity::Identity;
