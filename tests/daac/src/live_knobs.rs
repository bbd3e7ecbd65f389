//! The knobs as they stand, for servers to read while tests turn them.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::fault::Failure;
use crate::journal::Logged;
use crate::knobs::Knobs;

/// The knobs as they stand, and word of every turn.
#[derive(Debug)]
pub(crate) struct LiveKnobs {
    knobs: Mutex<Arc<Knobs>>,
    turned: watch::Sender<()>,
}

impl LiveKnobs {
    pub(crate) fn new(knobs: Knobs) -> Self {
        Self { knobs: Mutex::new(Arc::new(knobs)), turned: watch::Sender::new(()) }
    }

    pub(crate) fn read(&self) -> Arc<Knobs> {
        Arc::clone(&self.knobs.lock())
    }

    pub(crate) fn turn(&self, change: impl FnOnce(&mut Knobs)) {
        change(Arc::make_mut(&mut self.knobs.lock()));
        self.turned.send_replace(());
    }

    /// Resolves once `condition` holds; at once if it does already.
    pub(crate) async fn until(&self, condition: impl Fn(&Knobs) -> bool) {
        let mut turned = self.turned.subscribe();
        while !condition(&self.read()) {
            if turned.changed().await.is_err() {
                return;
            }
        }
    }

    /// Decides whether something goes wrong with this request, and counts it down.
    pub(crate) fn draw(&self, request: &Logged) -> Option<Failure> {
        let mut knobs = self.knobs.lock();
        let index = knobs.faults.iter().position(|fault| fault.happens(request))?;
        let fault = &mut Arc::make_mut(&mut knobs).faults[index];
        if let Some(next) = &mut fault.next {
            *next -= 1;
        }
        Some(fault.failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use crate::journal::Kind;

    fn request(kind: Kind, key: &str) -> Logged {
        Logged {
            key: key.into(),
            bucket: "b".into(),
            daac: Some("ASF".into()),
            ..Logged::new(kind, "GET", "/")
        }
    }

    #[test]
    fn a_fault_for_the_next_n_requests_happens_to_n_that_fit() {
        let fault = Fault::new(Failure::SlowDown).on(Kind::Get).containing("x").next(2);
        let panel = LiveKnobs::new(Knobs { faults: vec![fault], ..Knobs::default() });
        let drawn: Vec<_> = [
            (Kind::Get, "x"),
            (Kind::Get, "y"),
            (Kind::List, "x"),
            (Kind::Get, "ax"),
            (Kind::Get, "x"),
        ]
        .map(|(kind, key)| panel.draw(&request(kind, key)).is_some())
        .into();
        assert_eq!(drawn, [true, false, false, true, false]);
    }

    #[test]
    fn a_fault_of_one_daac_or_bucket_happens_to_no_other() {
        let fault = || Fault::new(Failure::Reset);
        for (fault, happens) in [
            (fault().at("ASF"), true),
            (fault().at("NSIDC"), false),
            (fault().in_bucket("b"), true),
            (fault().in_bucket("c"), false),
            (fault().at("ASF").in_bucket("c"), false),
        ] {
            let panel = LiveKnobs::new(Knobs { faults: vec![fault.clone()], ..Knobs::default() });
            assert_eq!(panel.draw(&request(Kind::Get, "k")).is_some(), happens, "{fault:?}");
        }
    }
}
