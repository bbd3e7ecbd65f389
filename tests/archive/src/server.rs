//! Connections, and the way of a request through faults, delays and the server it is for.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, DATE, ETAG, HeaderValue, SERVER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::fault::Failure;
use crate::journal::{Kind, Logged};
use crate::knobs::Knobs;
use crate::payload::{Cut, Ending, Payload};
use crate::refusal::{Refusal, request_id};
use crate::world::World;
use crate::{answers, control, daac, leak, login, s3};

/// Objects put through the control listener are the largest bodies there are.
const LARGEST_BODY: usize = 1 << 30;

/// Whom a listener plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Login,
    Daac(usize),
    S3,
    Trap,
    Control,
}

impl Role {
    fn is_down(self, knobs: &Knobs) -> bool {
        match self {
            Self::Login => knobs.edl_down,
            Self::Daac(_) => knobs.daac_down,
            Self::S3 => knobs.s3_down,
            Self::Trap | Self::Control => false,
        }
    }
}

/// Serves a listener for ever.
pub(crate) async fn listen(world: Arc<World>, role: Role, listener: TcpListener) {
    loop {
        // Accepting fails when file descriptors run out; they come back.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        if role.is_down(&world.knobs()) {
            let _ = stream.set_zero_linger();
            continue;
        }
        if role == Role::S3 {
            world.journal.count(|stats| stats.connections += 1);
        }
        tokio::spawn(serve(Arc::clone(&world), role, stream));
    }
}

async fn serve(world: Arc<World>, role: Role, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let wire = Wire { stream, reset: Arc::clone(&reset) };
    let service = service_fn(|request| exchange(&world, role, &reset, request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(wire), service);
    let down = async {
        world.panel.until(|knobs| role.is_down(knobs)).await;
        reset.store(true, Ordering::Relaxed);
    };
    tokio::select! {
        _ = connection => {}
        () = down => {}
    }
}

/// One request and its answer. An error ends the connection.
async fn exchange(
    world: &Arc<World>,
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
    let (mut logged, target) = match role {
        Role::S3 => {
            let (logged, target) = s3::read(&request);
            (logged, Some(target))
        }
        _ => (Logged::new(kind(role, &request), request.method().as_str(), &request.uri().to_string()), None),
    };
    let in_flight = world.journal.arrived(logged.kind);
    if let Some(secret) = leak::find(world, role, &request) {
        logged.leak = Some(secret.to_owned());
        world.journal.count(|stats| stats.leaks += 1);
    }
    let knobs = world.knobs();
    let failure = world.panel.draw(logged.kind, &logged.key);
    if let Some(failure) = failure {
        logged.fault = Some(format!("{failure:?}"));
        world.journal.count(|stats| stats.faults += 1);
    }
    let latency = knobs.latency(logged.kind);
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
    let mut answer = match (refusal(failure), target) {
        (Some(refusal), Some(_)) => refuse(world, refusal, &request, &mut logged),
        (Some(refusal), None) => answers::json(refusal.status, &format!(r#"{{"error":"{}"}}"#, refusal.code)),
        (None, Some(target)) => {
            let answer = target.and_then(|target| s3::answer(world, &request, &target, &knobs));
            answer.unwrap_or_else(|refusal| refuse(world, refusal, &request, &mut logged))
        }
        (None, None) => match role {
            Role::Login => login::answer(world, &request, &knobs),
            Role::Daac(index) => daac::answer(world, index, &request, &knobs),
            _ => login::trap(),
        },
    };
    logged.status = answer.status().as_u16();
    finish(world, role, &request, &mut answer, failure);
    if role == Role::S3 {
        answer.body_mut().pace(knobs.bandwidth);
    }
    let meter = world.journal.answered(logged);
    answer.body_mut().tie(meter, Arc::clone(reset), in_flight);
    Ok(answer)
}

fn kind(role: Role, request: &Request<Bytes>) -> Kind {
    match role {
        Role::Login => Kind::Login,
        Role::Daac(_) if request.uri().path() == "/s3credentials" => Kind::Credentials,
        Role::Daac(_) => Kind::Callback,
        _ => Kind::Trap,
    }
}

fn refusal(failure: Option<Failure>) -> Option<Refusal> {
    match failure? {
        Failure::SlowDown => Some(Refusal::new(503, "SlowDown", "Please reduce your request rate.")),
        Failure::InternalError => Some(Refusal::new(500, "InternalError", "We encountered an internal error. Please try again.")),
        Failure::Denied => Some(Refusal::denied()),
        _ => None,
    }
}

fn refuse(world: &World, refusal: Refusal, request: &Request<Bytes>, logged: &mut Logged) -> Response<Payload> {
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
    let hidden = refusal.code == "ExpiredToken" && world.knobs().expired_is_denied;
    let refusal = if hidden { Refusal::denied() } else { refusal };
    logged.code = Some(refusal.code.to_owned());
    refusal.into_answer(request.uri().path())
}

/// What every answer gets, and what a fault does to its body.
fn finish(world: &World, role: Role, request: &Request<Bytes>, answer: &mut Response<Payload>, failure: Option<Failure>) {
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
        Some(Failure::StallBody(at)) => answer.body_mut().cut(at, Ending::Stall),
        Some(Failure::WrongEtag) if answer.headers().contains_key(ETAG) => {
            answer.headers_mut().insert(ETAG, HeaderValue::from_static("\"00000000000000000000000000000000\""));
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

/// A connection that can end with a reset.
struct Wire {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
