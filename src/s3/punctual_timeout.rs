//! A timeout for S3's answers that does not mistake this machine's lateness for S3's.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

/// A wait has this many parts, and each is compared with the clock by itself.
const PARTS: u32 = 4;
/// How late the timer of a part may be: this, or an eighth of the part. On a machine that keeps up
/// it is hardly 2 ms late.
const PUNCTUAL: Duration = Duration::from_millis(4);
/// On a machine that never keeps up, a wait is at most this many times as long.
const LONGEST: u32 = 4;

/// Waits for `work`, for `limit` of the time in which this process keeps up. Returns `None` when it
/// is not done by then; it can be waited for again.
///
/// A part whose timer fires late is waited for once more: an answer that came in time is as late on
/// its way through this process. To send its request again would fetch bytes twice, and burden the
/// machine further.
pub(super) async fn punctual_timeout<T>(
    limit: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let (mut work, part) = (pin!(work), limit / PARTS);
    let mut punctual = 0;
    for _ in 0..PARTS * LONGEST {
        let began = Instant::now();
        if let Ok(done) = timeout(part, &mut work).await {
            return Some(done);
        }
        punctual += u32::from(began.elapsed() <= part + PUNCTUAL.max(part / 8));
        if punctual == PARTS {
            break;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::runtime::Builder;
    use tokio::time::{advance, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);
    const MILLISECOND: Duration = Duration::from_millis(1);
    /// How long this process runs before it is held up again.
    const TURN: Duration = Duration::from_millis(3);

    /// Work that takes `time`, and then some turns of this process, as an answer of S3 passes
    /// through its connection's task.
    fn work(time: Duration, turns: usize) -> impl Future<Output = bool> {
        let task = tokio::spawn(async move {
            sleep(time).await;
            for _ in 0..turns {
                sleep(TURN + MILLISECOND).await;
            }
        });
        async move { task.await.is_ok() }
    }

    /// Holds this process up for each of these times in turn.
    async fn hold_up(times: Vec<Duration>) {
        for time in times {
            sleep(TURN).await;
            advance(time).await;
        }
        std::future::pending::<()>().await;
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(future)
    }

    async fn held_up(times: Vec<Duration>, work: impl Future<Output = bool>) -> Option<bool> {
        tokio::select! {
            outcome = punctual_timeout(LIMIT, work) => outcome,
            () = hold_up(times) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_is_given_up_after_the_limit() {
        let began = Instant::now();
        assert_eq!(punctual_timeout(LIMIT, std::future::pending::<()>()).await, None);
        let took = began.elapsed();
        assert!(took >= LIMIT && took < LIMIT + 2 * PUNCTUAL, "{took:?}");
    }

    proptest! {
        /// A plain timeout fails this: its timer and the answer's are due at once when the process
        /// runs again.
        #[test]
        fn what_takes_less_than_the_limit_comes_however_often_this_process_is_held_up(
            takes in 0..40_u64,
            turns in 0..8_usize,
            times in prop::collection::vec(40..10_000_u64, 0..20),
        ) {
            let times = times.into_iter().map(Duration::from_millis).collect();
            let takes = Duration::from_millis(takes);
            let outcome = run(async { held_up(times, work(takes, turns)).await });
            prop_assert_eq!(outcome, Some(true));
        }

        #[test]
        fn what_never_comes_is_given_up_on_a_machine_that_never_keeps_up(late in 5..1_000_u64) {
            let times = vec![Duration::from_millis(late) + LIMIT; 1000];
            let waited = run(async {
                let began = Instant::now();
                assert_eq!(held_up(times, std::future::pending()).await, None);
                began.elapsed()
            });
            let longest = (LIMIT * 2 + Duration::from_millis(late)) * PARTS * LONGEST;
            prop_assert!(waited >= LIMIT && waited <= longest, "{waited:?}");
        }
    }
}
