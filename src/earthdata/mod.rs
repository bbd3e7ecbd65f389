//! Earthdata: who the user is, which buckets a source means, who hands out credentials for them, and the conversation with them.

pub mod archive;
mod attempts;
mod cmr;
pub mod daac;
mod grant;
mod hearsay;
pub mod host;
mod http;
pub mod identity;
pub mod login;
pub mod resolve;
pub mod source;

pub use archive::Table;
pub use grant::Grant;
pub use hearsay::Hearsay;
pub use http::reach;
pub use identity::Identity;
pub use login::Login;
pub use resolve::{Holding, Holdings, resolve};
pub use source::{Location, Source};
