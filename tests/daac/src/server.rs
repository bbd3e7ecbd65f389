//! Listeners and connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::exchange::exchange;
use crate::knobs::Knobs;
use crate::state::ServerState;
use crate::wire::Wire;

/// Whom a listener plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Login,
    Daac(usize),
    S3,
    Cmr,
    Trap,
    Control,
}

impl Role {
    fn is_down(self, world: &ServerState, knobs: &Knobs) -> bool {
        match self {
            Self::Login => knobs.edl_down,
            Self::Daac(daac) => knobs.of_daac(world.daac_name(daac)).daac_down,
            Self::S3 => knobs.s3_down,
            Self::Cmr => knobs.cmr_down,
            Self::Trap | Self::Control => false,
        }
    }
}

/// Serves a listener for ever.
pub(crate) async fn listen(world: Arc<ServerState>, role: Role, listener: TcpListener) {
    loop {
        // Accepting fails when file descriptors run out; they come back.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        if role.is_down(&world, &world.knobs()) {
            let _ = stream.set_zero_linger();
            continue;
        }
        if role == Role::S3 {
            world.journal.count(|stats| stats.connections += 1);
        }
        tokio::spawn(serve(Arc::clone(&world), role, stream));
    }
}

async fn serve(world: Arc<ServerState>, role: Role, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let wire = Wire { stream, reset: Arc::clone(&reset) };
    let service = service_fn(|request| exchange(&world, role, &reset, request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(wire), service);
    let down = async {
        world.panel.until(|knobs| role.is_down(&world, knobs)).await;
        reset.store(true, Ordering::Relaxed);
    };
    tokio::select! {
        _ = connection => {}
        () = down => {}
    }
}
