//! Handles every request that a server receives: logs it, applies faults and delays, and passes it
//! to the server's own module.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, DATE, ETAG, HeaderValue, SERVER};
use hyper::{Method, Request, Response};

use crate::fault::Failure;
use crate::knobs::Knobs;
use crate::request_log::{LoggedRequest, RequestKind};
use crate::response_body::{ConnectionCut, CutMode, ResponseBody};
use crate::s3::Target;
use crate::s3_error::{S3Error, request_id};
use crate::server::Role;
use crate::state::ServerState;
use crate::{answers, cmr, control, daac, login, s3, secret_leak};

/// The largest body of a request, in bytes: an object that is put through the control listener.
const LARGEST_BODY: usize = 1 << 30;

/// Answers one request. An error ends the connection, with a reset if `reset` is set.
pub(crate) async fn dispatch(
    state: &Arc<ServerState>,
    role: Role,
    reset: &Arc<AtomicBool>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, ConnectionCut> {
    let (parts, body) = request.into_parts();
    let body =
        Limited::new(body, LARGEST_BODY).collect().await.map_err(|_| ConnectionCut)?.to_bytes();
    let request = Request::from_parts(parts, body);
    if role == Role::Control {
        return Ok(control::answer(state, &request));
    }
    let (mut logged, target) = classify(state, role, &request);
    let in_flight = state.request_log.record_arrival(&logged);
    if let Some(secret) = secret_leak::find(state, role, &request) {
        logged.leaked_secret = Some(secret.to_owned());
        state.request_log.update(|stats| stats.leaked_secrets += 1);
    }
    let knobs = state.knobs();
    let knobs = match role {
        Role::Daac(daac) => knobs.for_daac(state.daac_name(daac)),
        _ => Cow::Borrowed(&*knobs),
    };
    let failure = state.live_knobs.next_failure(&logged);
    if let Some(failure) = failure {
        logged.fault = Some(format!("{failure:?}"));
        state.request_log.update(|stats| stats.faults += 1);
    }
    let delay = if let Some(Failure::Delay(millis)) = failure {
        Duration::from_millis(millis)
    } else {
        Duration::ZERO
    };
    let latency = knobs.latency(logged.kind) + delay;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    if matches!(failure, Some(Failure::Reset | Failure::Stall)) {
        state.request_log.record_answer(logged);
        if failure == Some(Failure::Stall) {
            std::future::pending::<()>().await;
        }
        reset.store(true, Ordering::Relaxed);
        return Err(ConnectionCut);
    }
    let answered = match target {
        Some(target) => answer_s3(state, &request, target, &knobs, failure),
        None => Ok(answer_other_servers(state, role, &request, &knobs, failure)),
    };
    let mut answer = answered
        .unwrap_or_else(|error| s3_error_answer(state, &knobs, error, &request, &mut logged));
    finish(state, role, &request, &mut answer, failure);
    logged.status = answer.status().as_u16();
    if role == Role::S3 {
        let rate = match failure {
            Some(Failure::Lie(lie)) => lie.rate(),
            _ => None,
        };
        answer.body_mut().limit_rate(rate.unwrap_or(knobs.bandwidth));
    }
    let byte_counter = state.request_log.record_answer(logged);
    answer.body_mut().attach(byte_counter, Arc::clone(reset), in_flight);
    Ok(answer)
}

/// Returns the log entry of a request and, if it is for S3, what it asks for.
fn classify(
    state: &ServerState,
    role: Role,
    request: &Request<Bytes>,
) -> (LoggedRequest, Option<Result<Target, S3Error>>) {
    let (kind, daac) = match role {
        Role::S3 => {
            let (mut logged, target) = s3::read(request);
            logged.daac = state.owner(&logged.bucket).map(|daac| state.daac_name(daac).to_owned());
            return (logged, Some(target));
        }
        Role::Login => (RequestKind::Login, login::client(state, request)),
        Role::Daac(daac) => (daac::kind(state, daac, request.uri().path()), Some(daac)),
        Role::Cmr => (RequestKind::Cmr, None),
        Role::ForeignHost | Role::Control => (RequestKind::ForeignHost, None),
    };
    let daac = daac.map(|daac| state.daac_name(daac).to_owned());
    (
        LoggedRequest {
            daac,
            ..LoggedRequest::new(kind, request.method().as_str(), &request.uri().to_string())
        },
        None,
    )
}

fn answer_s3(
    state: &ServerState,
    request: &Request<Bytes>,
    target: Result<Target, S3Error>,
    knobs: &Knobs,
    failure: Option<Failure>,
) -> Result<Response<ResponseBody>, S3Error> {
    match failure.and_then(injected_error) {
        Some(error) => Err(error),
        None => s3::answer(state, request, &target?, knobs),
    }
}

fn answer_other_servers(
    state: &ServerState,
    role: Role,
    request: &Request<Bytes>,
    knobs: &Knobs,
    failure: Option<Failure>,
) -> Response<ResponseBody> {
    if let Some(error) = failure.and_then(injected_error) {
        return answers::json(error.status, &format!(r#"{{"error":"{}"}}"#, error.code));
    }
    match role {
        Role::Login => login::answer(state, request, knobs),
        Role::Daac(index) => daac::answer(state, index, request, knobs),
        Role::Cmr => cmr::answer(state, request, knobs),
        Role::S3 | Role::ForeignHost | Role::Control => login::unauthorized(),
    }
}

fn injected_error(failure: Failure) -> Option<S3Error> {
    match failure {
        Failure::SlowDown => {
            Some(S3Error::new(503, "SlowDown", "Please reduce your request rate."))
        }
        Failure::InternalError => Some(S3Error::new(
            500,
            "InternalError",
            "We encountered an internal error. Please try again.",
        )),
        Failure::Denied => Some(S3Error::denied()),
        _ => None,
    }
}

fn s3_error_answer(
    state: &ServerState,
    knobs: &Knobs,
    error: S3Error,
    request: &Request<Bytes>,
    logged: &mut LoggedRequest,
) -> Response<ResponseBody> {
    state.request_log.update(|stats| match error.code {
        "ExpiredToken" => stats.expired += 1,
        "AccessDenied" => stats.denied += 1,
        "InvalidToken"
        | "InvalidAccessKeyId"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch"
        | "AuthorizationHeaderMalformed" => {
            stats.unauthorized += 1;
        }
        _ => {}
    });
    let hidden = error.code == "ExpiredToken" && knobs.expired_is_denied;
    let error = if hidden { S3Error::denied() } else { error };
    logged.code = Some(error.code.to_owned());
    error.into_answer(request.uri().path())
}

/// Adds the headers that every answer has, and applies a fault to its body.
fn finish(
    state: &ServerState,
    role: Role,
    request: &Request<Bytes>,
    answer: &mut Response<ResponseBody>,
    failure: Option<Failure>,
) {
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(state.now())) {
        answer.headers_mut().insert(DATE, date);
    }
    // What answers in place of S3 knows nothing of its ids.
    if role == Role::S3 && state.knobs().web_page.is_none() {
        answer.headers_mut().insert(SERVER, HeaderValue::from_static("AmazonS3"));
        if let Ok(id) = HeaderValue::try_from(request_id()) {
            answer.headers_mut().insert("x-amz-request-id", id);
        }
    }
    // As API Gateway does, which Cumulus runs behind.
    if let (Role::Daac(_), Ok(id)) = (role, HeaderValue::try_from(request_id())) {
        answer.headers_mut().insert("x-amzn-requestid", id);
    }
    match failure {
        Some(Failure::ResetBody(at)) => answer.body_mut().cut(at, CutMode::Reset),
        Some(Failure::Truncate(at)) => answer.body_mut().cut(at, CutMode::Close),
        Some(Failure::PauseBody { at, millis }) => {
            answer.body_mut().cut(at, CutMode::Pause(Duration::from_millis(millis)))
        }
        Some(Failure::StallBody(at)) => answer.body_mut().cut(at, CutMode::Stall),
        Some(Failure::WrongEtag) if answer.headers().contains_key(ETAG) => {
            answer
                .headers_mut()
                .insert(ETAG, HeaderValue::from_static("\"00000000000000000000000000000000\""));
        }
        Some(Failure::Lie(lie)) => lie.tell(answer),
        _ => {}
    }
    if request.method() == Method::HEAD {
        *answer.body_mut() = ResponseBody::empty();
    } else {
        let length = answer.body().length();
        answer.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
}
