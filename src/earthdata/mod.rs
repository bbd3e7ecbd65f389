//! Earthdata Login: who the user is, which endpoint dispenses credentials for a bucket, and the conversation between them.

pub mod archive;
mod grant;
pub mod identity;
pub mod login;

pub use grant::Grant;
pub use identity::Identity;
pub use login::Login;
