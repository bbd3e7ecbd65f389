//! The current knobs: servers read them while tests change them.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::fault::Failure;
use crate::knobs::Knobs;
use crate::request_log::LoggedRequest;

/// The current knobs, and a notification of every change.
#[derive(Debug)]
pub(crate) struct LiveKnobs {
    knobs: Mutex<Arc<Knobs>>,
    changed: watch::Sender<()>,
}

impl LiveKnobs {
    pub(crate) fn new(knobs: Knobs) -> Self {
        Self { knobs: Mutex::new(Arc::new(knobs)), changed: watch::Sender::new(()) }
    }

    pub(crate) fn read(&self) -> Arc<Knobs> {
        Arc::clone(&self.knobs.lock())
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Knobs)) {
        change(Arc::make_mut(&mut self.knobs.lock()));
        self.changed.send_replace(());
    }

    /// Waits until `condition` holds.
    pub(crate) async fn until(&self, condition: impl Fn(&Knobs) -> bool) {
        let mut changed = self.changed.subscribe();
        while !condition(&self.read()) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Returns the failure that happens to this request, if any, and counts the fault down.
    pub(crate) fn next_failure(&self, request: &LoggedRequest) -> Option<Failure> {
        let mut knobs = self.knobs.lock();
        let index = knobs.faults.iter().position(|fault| fault.happens_to(request))?;
        let fault = &mut Arc::make_mut(&mut knobs).faults[index];
        if let Some(remaining) = &mut fault.remaining {
            *remaining -= 1;
        }
        Some(fault.failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use crate::request_log::RequestKind;

    fn request(kind: RequestKind, key: &str) -> LoggedRequest {
        LoggedRequest {
            key: key.into(),
            bucket: "b".into(),
            daac: Some("ASF".into()),
            ..LoggedRequest::new(kind, "GET", "/")
        }
    }

    #[test]
    fn a_fault_with_a_count_happens_to_that_many_matching_requests() {
        let fault = Fault::new(Failure::SlowDown).on(RequestKind::Get).containing("x").times(2);
        let live_knobs = LiveKnobs::new(Knobs { faults: vec![fault], ..Knobs::default() });
        let failed: Vec<_> = [
            (RequestKind::Get, "x"),
            (RequestKind::Get, "y"),
            (RequestKind::List, "x"),
            (RequestKind::Get, "ax"),
            (RequestKind::Get, "x"),
        ]
        .map(|(kind, key)| live_knobs.next_failure(&request(kind, key)).is_some())
        .into();
        assert_eq!(failed, [true, false, false, true, false]);
    }

    #[test]
    fn a_fault_of_one_daac_or_bucket_happens_only_there() {
        let fault = || Fault::new(Failure::Reset);
        for (fault, happens) in [
            (fault().of_daac("ASF"), true),
            (fault().of_daac("NSIDC"), false),
            (fault().in_bucket("b"), true),
            (fault().in_bucket("c"), false),
            (fault().of_daac("ASF").in_bucket("c"), false),
        ] {
            let live_knobs =
                LiveKnobs::new(Knobs { faults: vec![fault.clone()], ..Knobs::default() });
            assert_eq!(
                live_knobs.next_failure(&request(RequestKind::Get, "k")).is_some(),
                happens,
                "{fault:?}"
            );
        }
    }
}
