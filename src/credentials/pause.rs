//! The pause after a refusal or a failure, and what ends it early.

use super::CredentialsCache;
use super::cache::since_boot;

impl CredentialsCache {
    /// Lets the next request log in at once, whatever was refused: the user has done something
    /// about it. A password that was refused stays so.
    pub fn forget_refusal(&self) {
        self.provider.forget_refusal();
        self.state.lock().end_pause();
        self.pause_ended.notify_waiters();
    }

    /// Returns whether the user has another identity than the one that was refused, which is then
    /// tried without a pause.
    pub(super) async fn has_new_identity(&self) -> bool {
        let is_new = self.provider.has_new_identity().await;
        if is_new {
            self.state.lock().end_pause();
            self.pause_ended.notify_waiters();
        }
        is_new
    }

    /// Waits as long as the last failure asks for, or until somebody ends that pause.
    pub(super) async fn sit_out_pause(&self) {
        let ended = self.pause_ended.notified();
        let pause = self.state.lock().not_before.saturating_sub(since_boot());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = ended => {}
        }
    }
}
