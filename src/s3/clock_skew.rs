//! How far the store's clock is ahead of this machine's, as far as refusals have shown.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};

/// Seconds. S3 refuses what was signed 15 minutes off; a smaller error explains no refusal.
const EXPLAINS_REFUSAL: u64 = 4 * 60;

/// Seconds by which the store's clock is ahead.
#[derive(Debug, Default)]
pub(super) struct ClockSkew(AtomicI64);

impl ClockSkew {
    pub(super) fn ahead(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns whether the clock may be why a request was refused at `date`, the store's time, that
    /// was sent when the store was thought to be `assumed` seconds ahead. The answer to a HEAD has
    /// no body to say so. The SDK signs by the store's clock from the same answer on.
    pub(super) fn explains(&self, assumed: i64, date: Option<DateTime>) -> bool {
        let Some(date) = date else { return false };
        let ahead = date.secs() - DateTime::from(SystemTime::now()).secs();
        self.0.store(ahead, Ordering::Relaxed);
        ahead.abs_diff(assumed) > EXPLAINS_REFUSAL
    }
}

/// Returns what the store's clock said when it answered.
pub(super) fn date_of(answer: &HttpResponse) -> Option<DateTime> {
    DateTime::from_str(answer.headers().get("date")?, DateTimeFormat::HttpDate).ok()
}
