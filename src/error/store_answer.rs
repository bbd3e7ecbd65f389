//! How a store said no.

use std::fmt;
use std::sync::Arc;

/// What an error answer of S3 says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreAnswer {
    /// The HTTP status.
    pub status: u16,
    /// S3's error code. The answer to a HEAD has no body, and so no code.
    pub code: Option<Arc<str>>,
    /// `x-amz-request-id`: what AWS and the data centers ask for when they look into a problem.
    pub request_id: Option<Arc<str>>,
}

impl StoreAnswer {
    /// Returns it without the id of the one request that it answers.
    pub(super) fn without_request_id(&self) -> Self {
        Self { request_id: None, ..self.clone() }
    }
}

impl fmt::Display for StoreAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = &self.code {
            write!(f, "{code}, ")?;
        }
        write!(f, "status {}", self.status)?;
        self.request_id.as_ref().map_or(Ok(()), |id| write!(f, ", request id {id}"))
    }
}
