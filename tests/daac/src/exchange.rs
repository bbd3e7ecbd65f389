//! The way of a request through faults and delays to the server it is for, and of the answer back.

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
use crate::journal::{Kind, Logged};
use crate::knobs::Knobs;
use crate::payload::{Cut, Ending, Payload};
use crate::refusal::{Refusal, request_id};
use crate::s3::Target;
use crate::server::Role;
use crate::state::ServerState;
use crate::{answers, cmr, control, daac, leak, login, s3};

/// Objects put through the control listener are the largest bodies there are.
const LARGEST_BODY: usize = 1 << 30;

/// Answers one request. An error ends the connection, with a reset if the flag is set.
pub(crate) async fn exchange(
    world: &Arc<ServerState>,
    role: Role,
    reset: &Arc<AtomicBool>,
    request: Request<Incoming>,
) -> Result<Response<Payload>, Cut> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(|_| Cut)?.to_bytes();
    let request = Request::from_parts(parts, body);
    if role == Role::Control {
        return Ok(control::answer(world, &request));
    }
    let (mut logged, target) = read(world, role, &request);
    let in_flight = world.journal.arrived(&logged);
    if let Some(secret) = leak::find(world, role, &request) {
        logged.leak = Some(secret.to_owned());
        world.journal.count(|stats| stats.leaks += 1);
    }
    let knobs = world.knobs();
    let knobs = match role {
        Role::Daac(daac) => knobs.of_daac(world.daac_name(daac)),
        _ => Cow::Borrowed(&*knobs),
    };
    let failure = world.panel.draw(&logged);
    if let Some(failure) = failure {
        logged.fault = Some(format!("{failure:?}"));
        world.journal.count(|stats| stats.faults += 1);
    }
    let late = if let Some(Failure::Late(millis)) = failure {
        Duration::from_millis(millis)
    } else {
        Duration::ZERO
    };
    let latency = knobs.latency(logged.kind) + late;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    if matches!(failure, Some(Failure::Reset | Failure::Stall)) {
        world.journal.answered(logged);
        if failure == Some(Failure::Stall) {
            std::future::pending::<()>().await;
        }
        reset.store(true, Ordering::Relaxed);
        return Err(Cut);
    }
    let answered = match target {
        Some(target) => on_s3(world, &request, target, &knobs, failure),
        None => Ok(elsewhere(world, role, &request, &knobs, failure)),
    };
    let mut answer =
        answered.unwrap_or_else(|refusal| refuse(world, &knobs, refusal, &request, &mut logged));
    logged.status = answer.status().as_u16();
    finish(world, role, &request, &mut answer, failure);
    if role == Role::S3 {
        answer.body_mut().pace(knobs.bandwidth);
    }
    let meter = world.journal.answered(logged);
    answer.body_mut().tie(meter, Arc::clone(reset), in_flight);
    Ok(answer)
}

/// Starts the log entry of a request, and finds out what it wants if it is for S3.
fn read(
    world: &ServerState,
    role: Role,
    request: &Request<Bytes>,
) -> (Logged, Option<Result<Target, Refusal>>) {
    let (kind, daac) = match role {
        Role::S3 => {
            let (mut logged, target) = s3::read(request);
            logged.daac = world.owner(&logged.bucket).map(|daac| world.daac_name(daac).to_owned());
            return (logged, Some(target));
        }
        Role::Login => (Kind::Login, login::client(world, request)),
        Role::Daac(daac) => (daac::kind(world, daac, request.uri().path()), Some(daac)),
        Role::Cmr => (Kind::Cmr, None),
        Role::Trap | Role::Control => (Kind::Trap, None),
    };
    let daac = daac.map(|daac| world.daac_name(daac).to_owned());
    (
        Logged { daac, ..Logged::new(kind, request.method().as_str(), &request.uri().to_string()) },
        None,
    )
}

fn on_s3(
    world: &ServerState,
    request: &Request<Bytes>,
    target: Result<Target, Refusal>,
    knobs: &Knobs,
    failure: Option<Failure>,
) -> Result<Response<Payload>, Refusal> {
    match failure.and_then(refusal) {
        Some(refusal) => Err(refusal),
        None => s3::answer(world, request, &target?, knobs),
    }
}

fn elsewhere(
    world: &ServerState,
    role: Role,
    request: &Request<Bytes>,
    knobs: &Knobs,
    failure: Option<Failure>,
) -> Response<Payload> {
    if let Some(refusal) = failure.and_then(refusal) {
        return answers::json(refusal.status, &format!(r#"{{"error":"{}"}}"#, refusal.code));
    }
    match role {
        Role::Login => login::answer(world, request, knobs),
        Role::Daac(index) => daac::answer(world, index, request, knobs),
        Role::Cmr => cmr::answer(world, request, knobs),
        Role::S3 | Role::Trap | Role::Control => login::unauthorized(),
    }
}

fn refusal(failure: Failure) -> Option<Refusal> {
    match failure {
        Failure::SlowDown => {
            Some(Refusal::new(503, "SlowDown", "Please reduce your request rate."))
        }
        Failure::InternalError => Some(Refusal::new(
            500,
            "InternalError",
            "We encountered an internal error. Please try again.",
        )),
        Failure::Denied => Some(Refusal::denied()),
        _ => None,
    }
}

fn refuse(
    world: &ServerState,
    knobs: &Knobs,
    refusal: Refusal,
    request: &Request<Bytes>,
    logged: &mut Logged,
) -> Response<Payload> {
    world.journal.count(|stats| match refusal.code {
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
    let hidden = refusal.code == "ExpiredToken" && knobs.expired_is_denied;
    let refusal = if hidden { Refusal::denied() } else { refusal };
    logged.code = Some(refusal.code.to_owned());
    refusal.into_answer(request.uri().path())
}

/// What every answer gets, and what a fault does to its body.
fn finish(
    world: &ServerState,
    role: Role,
    request: &Request<Bytes>,
    answer: &mut Response<Payload>,
    failure: Option<Failure>,
) {
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(world.now())) {
        answer.headers_mut().insert(DATE, date);
    }
    if role == Role::S3 {
        answer.headers_mut().insert(SERVER, HeaderValue::from_static("AmazonS3"));
        if let Ok(id) = HeaderValue::try_from(request_id()) {
            answer.headers_mut().insert("x-amz-request-id", id);
        }
    }
    match failure {
        Some(Failure::ResetBody(at)) => answer.body_mut().cut(at, Ending::Reset),
        Some(Failure::Truncate(at)) => answer.body_mut().cut(at, Ending::Close),
        Some(Failure::PauseBody { at, millis }) => {
            answer.body_mut().cut(at, Ending::Pause(Duration::from_millis(millis)))
        }
        Some(Failure::StallBody(at)) => answer.body_mut().cut(at, Ending::Stall),
        Some(Failure::WrongEtag) if answer.headers().contains_key(ETAG) => {
            answer
                .headers_mut()
                .insert(ETAG, HeaderValue::from_static("\"00000000000000000000000000000000\""));
        }
        _ => {}
    }
    if request.method() == Method::HEAD {
        *answer.body_mut() = Payload::empty();
    } else {
        let length = answer.body().length();
        answer.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
}
