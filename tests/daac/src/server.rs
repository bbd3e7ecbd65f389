//! Listeners and their connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::dispatch::dispatch;
use crate::knobs::Knobs;
use crate::resettable_stream::ResettableStream;
use crate::state::ServerState;

/// The server that a listener plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Login,
    Daac(usize),
    S3,
    Cmr,
    ForeignHost,
    Control,
}

impl Role {
    fn is_down(self, state: &ServerState, knobs: &Knobs) -> bool {
        match self {
            Self::Login => knobs.login_down,
            Self::Daac(daac) => knobs.for_daac(state.daac_name(daac)).daac_down,
            Self::S3 => knobs.s3_down,
            Self::Cmr => knobs.cmr_down,
            Self::ForeignHost | Self::Control => false,
        }
    }
}

/// Serves a listener until the runtime ends.
pub(crate) async fn listen(state: Arc<ServerState>, role: Role, listener: TcpListener) {
    loop {
        // Accepting fails when file descriptors run out, which passes.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        if role.is_down(&state, &state.knobs()) {
            let _ = stream.set_zero_linger();
            continue;
        }
        if role == Role::S3 {
            state.request_log.update(|stats| stats.connections += 1);
        }
        tokio::spawn(serve(Arc::clone(&state), role, stream));
    }
}

async fn serve(state: Arc<ServerState>, role: Role, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let wire = ResettableStream { stream, reset: Arc::clone(&reset) };
    let service = service_fn(|request| dispatch(&state, role, &reset, request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(wire), service);
    let down = async {
        state.live_knobs.until(|knobs| role.is_down(&state, knobs)).await;
        reset.store(true, Ordering::Relaxed);
    };
    tokio::select! {
        _ = connection => {}
        () = down => {}
    }
}
