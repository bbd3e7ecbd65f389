//! S3's error answers.

use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::response_body::ResponseBody;

/// An S3 error: status, code and message as in the table of error responses of the S3 API
/// reference.
#[derive(Debug)]
pub(crate) struct S3Error {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    message: String,
    header: Option<(&'static str, String)>,
}

impl S3Error {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), header: None }
    }

    pub(crate) fn with_header(self, name: &'static str, value: impl Into<String>) -> Self {
        Self { header: Some((name, value.into())), ..self }
    }

    pub(crate) fn denied() -> Self {
        Self::new(403, "AccessDenied", "Access Denied")
    }

    pub(crate) fn no_such_key() -> Self {
        Self::new(404, "NoSuchKey", "The specified key does not exist.")
    }

    pub(crate) fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidArgument", message)
    }

    pub(crate) fn into_answer(self, resource: &str) -> Response<ResponseBody> {
        let Self { code, message, .. } = &self;
        let request = request_id();
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Error><Code>{code}</Code><Message>{}</Message><Resource>{}</Resource>\
             <RequestId>{request}</RequestId><HostId>loopback</HostId></Error>",
            escape(message),
            escape(resource)
        );
        let mut answer = Response::new(ResponseBody::from(body));
        *answer.status_mut() = hyper::StatusCode::from_u16(self.status).unwrap_or_default();
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        if let Some((name, value)) = self.header
            && let Ok(value) = HeaderValue::try_from(value)
        {
            answer.headers_mut().insert(name, value);
        }
        answer
    }
}

pub(crate) fn request_id() -> String {
    format!("{:016X}", fastrand::u64(..))
}

/// Escapes text for XML. Control characters become references that XML 1.0 does not allow, as they
/// do at S3.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            control if control.is_control() => {
                escaped.push_str(&format!("&#x{:x};", u32::from(control)))
            }
            plain => escaped.push(plain),
        }
    }
    escaped
}
