//! The signals that a mount acts on.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Problem};

/// SIGTERM and SIGINT, which end a mount, and SIGHUP, which refreshes it. SIGHUP is listened for
/// from the start: a terminal that closes sends one, and its default action would leave a dead
/// mount behind.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, Error> {
        let listen = |kind| {
            let failed = |e| Error::store(Problem::new("cannot listen for signals").caused_by(e));
            signal(kind).map_err(failed)
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT, and calls `at_hangup` at each SIGHUP meanwhile.
    pub(super) async fn end(&mut self, at_hangup: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => at_hangup(),
            }
        }
    }
}
