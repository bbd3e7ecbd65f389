//! How long S3 takes to answer GETs, and when one takes so long that another is sent.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::Instant;

/// Answers that are remembered; fewer than the least say nothing.
const REMEMBERED: usize = 64;
const LEAST: usize = 8;
/// An answer is late after so many times the median. Of S3's answers some percent are.
const LATE: u32 = 3;
/// Waiting less than this is not worth another request.
const SHORTEST_PATIENCE: Duration = Duration::from_millis(60);
/// While nothing is known.
const FIRST_PATIENCE: Duration = Duration::from_secs(3);
/// Second requests, as a part of all; and how many may be saved up.
const SECONDS_PART: f64 = 0.03;
const MOST_SAVED: f64 = 4.0;

#[derive(Debug)]
pub(super) struct Hedger {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    answers: VecDeque<Duration>,
    /// Second requests that may be sent.
    saved: f64,
}

impl Default for Hedger {
    fn default() -> Self {
        Self { state: Mutex::new(State { answers: VecDeque::new(), saved: MOST_SAVED }) }
    }
}

impl Hedger {
    /// Sends a request, and where its answer is late, once more. Answers what comes first; a
    /// failure only where both fail.
    pub(super) async fn hurried<T, E, F>(&self, send: impl Fn() -> F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let began = Instant::now();
        let answer = self.race(send).await;
        self.note(began.elapsed());
        answer
    }

    async fn race<T, E, F>(&self, send: impl Fn() -> F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        // The futures of the SDK are large.
        let mut first = Box::pin(send());
        if let Ok(answer) = tokio::time::timeout(self.patience(), &mut first).await {
            return answer;
        }
        if !self.may_ask_twice() {
            return first.await;
        }
        tracing::debug!("S3 is late: asking once more");
        match select(first, Box::pin(send())).await {
            Either::Left((Err(_), other)) => other.await,
            Either::Right((Err(_), other)) => other.await,
            Either::Left((answer, _)) | Either::Right((answer, _)) => answer,
        }
    }

    /// Whether another request may be sent for one that hangs. Counts it.
    pub(super) fn may_ask_twice(&self) -> bool {
        let mut state = self.state();
        let may = state.saved >= 1.0;
        if may {
            state.saved -= 1.0;
        }
        may
    }

    fn patience(&self) -> Duration {
        let state = self.state();
        if state.answers.len() < LEAST {
            return FIRST_PATIENCE;
        }
        let mut answers: Vec<Duration> = state.answers.iter().copied().collect();
        drop(state);
        let middle = answers.len() / 2;
        (*answers.select_nth_unstable(middle).1 * LATE).max(SHORTEST_PATIENCE)
    }

    fn note(&self, took: Duration) {
        let mut state = self.state();
        state.saved = (state.saved + SECONDS_PART).min(MOST_SAVED);
        if state.answers.len() == REMEMBERED {
            state.answers.pop_front();
        }
        state.answers.push_back(took);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const USUAL: Duration = Duration::from_millis(30);

    /// Requests take `times` in turn, and the usual time after that; an `Err` fails when its time
    /// is over.
    async fn ask(hedger: &Hedger, times: &[Result<Duration, Duration>]) -> (Result<u32, ()>, u32) {
        let sent = AtomicU32::new(0);
        let answer = hedger.hurried(|| {
            let number = sent.fetch_add(1, Ordering::Relaxed);
            let time = times.get(number as usize).copied().unwrap_or(Ok(USUAL));
            async move {
                tokio::time::sleep(time.unwrap_or_else(|until| until)).await;
                time.map(|_| number).map_err(drop)
            }
        });
        let answer = answer.await;
        (answer, sent.into_inner())
    }

    async fn practised() -> Hedger {
        let hedger = Hedger::default();
        for _ in 0..LEAST {
            assert_eq!(ask(&hedger, &[]).await, (Ok(0), 1));
        }
        hedger
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_is_overtaken_and_a_usual_one_is_not() {
        let hedger = practised().await;
        assert_eq!(ask(&hedger, &[Ok(USUAL * 2)]).await, (Ok(0), 1));
        let began = Instant::now();
        assert_eq!(ask(&hedger, &[Ok(Duration::from_secs(9))]).await, (Ok(1), 2));
        assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
        // The first one may still win, and a failure of one is none.
        assert_eq!(ask(&hedger, &[Ok(USUAL * 4), Ok(USUAL * 9)]).await, (Ok(0), 2));
        assert_eq!(ask(&hedger, &[Ok(USUAL * 9), Err(USUAL)]).await, (Ok(0), 2));
        assert_eq!(ask(&hedger, &[Err(USUAL * 4), Ok(USUAL * 2)]).await, (Ok(1), 2));
        assert_eq!(ask(&practised().await, &[Err(USUAL * 4), Err(USUAL * 2)]).await, (Err(()), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn few_requests_are_sent_twice_however_late_all_are() {
        let hedger = practised().await;
        let mut sent = 0;
        for _ in 0..400 {
            sent += ask(&hedger, &[Ok(Duration::from_secs(2)), Ok(Duration::from_secs(2))]).await.1;
        }
        assert!((401..=420).contains(&sent), "{sent}");
    }

    /// Where every third is, the median says so of none.
    #[tokio::test(start_paused = true)]
    async fn few_requests_are_sent_twice_however_many_are_late() {
        let hedger = practised().await;
        let mut sent = 0;
        for number in 0..400 {
            let time = if number % 3 == 0 { USUAL * 9 } else { USUAL };
            sent += ask(&hedger, &[Ok(time)]).await.1;
        }
        assert!((410..=417).contains(&sent), "{sent}");
    }
}
