//! Constructors of the answers that Earthdata Login, the DAACs and CMR give.

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};

use crate::response_body::ResponseBody;

pub(crate) fn json(status: u16, body: &str) -> Response<ResponseBody> {
    answer(status, "application/json", body)
}

pub(crate) fn html(status: u16, body: &str) -> Response<ResponseBody> {
    answer(status, "text/html; charset=utf-8", body)
}

pub(crate) fn redirect(status: u16, location: &str) -> Response<ResponseBody> {
    with(html(status, "You are being redirected."), LOCATION, location)
}

/// Adds a header.
pub(crate) fn with(
    mut answer: Response<ResponseBody>,
    name: HeaderName,
    value: &str,
) -> Response<ResponseBody> {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().append(name, value);
    }
    answer
}

fn answer(status: u16, kind: &'static str, body: &str) -> Response<ResponseBody> {
    let mut answer = Response::new(ResponseBody::from(body.to_owned()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
