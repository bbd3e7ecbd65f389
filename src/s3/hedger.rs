//! How long S3 takes to answer requests of a kind, and when one takes so long that another is sent.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::{Either, select};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::punctual_timeout::punctual_timeout;

/// How many answer times are kept for the median.
const REMEMBERED: usize = 64;
/// With fewer answer times there is no median yet.
const MIN_TIMES: usize = 8;
/// An answer is late after so many times the median. A few percent of S3's answers are.
const LATE_FACTOR: u32 = 3;
/// An answer is not late before this: waiting less is not worth another request.
const SHORTEST_DELAY: Duration = Duration::from_millis(60);
/// For HEADs and listings. People wait for them, and do not notice less.
const SHORTEST_METADATA_DELAY: Duration = Duration::from_millis(200);
/// When an answer is late while no median is known.
const INITIAL_DELAY: Duration = Duration::from_secs(3);
/// How many hedges each answered request earns.
const HEDGES_PER_REQUEST: f64 = 0.03;
/// How many hedges may be saved up.
const MAX_CREDIT: f64 = 4.0;

/// Sends a request a second time where its answer is late, within a small share of all requests.
#[derive(Debug)]
pub(super) struct Hedger {
    shortest_delay: Duration,
    state: Mutex<State>,
}

/// One for each kind of request.
#[derive(Debug)]
pub(super) struct Hedgers {
    pub(super) list: Hedger,
    pub(super) head: Hedger,
    pub(super) get: Hedger,
}

impl Default for Hedgers {
    fn default() -> Self {
        Self {
            list: Hedger::new(SHORTEST_METADATA_DELAY),
            head: Hedger::new(SHORTEST_METADATA_DELAY),
            get: Hedger::new(SHORTEST_DELAY),
        }
    }
}

#[derive(Debug)]
struct State {
    times: VecDeque<Duration>,
    /// How many hedges may be sent.
    credit: f64,
}

impl Hedger {
    /// Returns a hedger for which no answer is late before `shortest_delay`.
    fn new(shortest_delay: Duration) -> Self {
        let state = Mutex::new(State { times: VecDeque::new(), credit: MAX_CREDIT });
        Self { shortest_delay, state }
    }

    /// Sends a request and, where its answer is late, the same once more. Returns what comes first,
    /// and a failure only where both fail, or where it `is_answer`.
    pub(super) async fn send<T, E, F>(
        &self,
        send: impl Fn() -> F,
        is_answer: impl Fn(&E) -> bool,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let began = Instant::now();
        let answer = self.race(send, is_answer).await;
        self.record(began.elapsed());
        answer
    }

    async fn race<T, E, F>(
        &self,
        send: impl Fn() -> F,
        is_answer: impl Fn(&E) -> bool,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        // The futures of the SDK are large.
        let mut first = Box::pin(send());
        if let Some(answer) = punctual_timeout(self.delay(), &mut first).await {
            return answer;
        }
        if !self.may_hedge() {
            return first.await;
        }
        tracing::debug!("S3 is late: sending the request once more");
        match select(first, Box::pin(send())).await {
            Either::Left((Err(error), other)) if !is_answer(&error) => other.await,
            Either::Right((Err(error), other)) if !is_answer(&error) => other.await,
            Either::Left((answer, _)) | Either::Right((answer, _)) => answer,
        }
    }

    /// Returns whether another request may be sent for one that hangs, and counts it if so.
    pub(super) fn may_hedge(&self) -> bool {
        let mut state = self.state.lock();
        let may = state.credit >= 1.0;
        if may {
            state.credit -= 1.0;
        }
        may
    }

    /// How long to wait for an answer before it is late.
    fn delay(&self) -> Duration {
        let state = self.state.lock();
        if state.times.len() < MIN_TIMES {
            return INITIAL_DELAY;
        }
        let mut times: Vec<Duration> = state.times.iter().copied().collect();
        drop(state);
        let middle = times.len() / 2;
        (*times.select_nth_unstable(middle).1 * LATE_FACTOR).max(self.shortest_delay)
    }

    fn record(&self, took: Duration) {
        let mut state = self.state.lock();
        state.credit = (state.credit + HEDGES_PER_REQUEST).min(MAX_CREDIT);
        if state.times.len() == REMEMBERED {
            state.times.pop_front();
        }
        state.times.push_back(took);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const USUAL_TIME: Duration = Duration::from_millis(30);
    /// A failure that takes so long is an answer.
    const REFUSAL_TIME: Duration = Duration::from_millis(31);

    /// Requests take `times` in turn, and the usual time after that; an `Err` fails when its time
    /// is over.
    async fn ask(hedger: &Hedger, times: &[Result<Duration, Duration>]) -> (Result<u32, ()>, u32) {
        let sent = AtomicU32::new(0);
        let send = || {
            let number = sent.fetch_add(1, Ordering::Relaxed);
            let time = times.get(number as usize).copied().unwrap_or(Ok(USUAL_TIME));
            async move {
                tokio::time::sleep(time.unwrap_or_else(|until| until)).await;
                time.map(|_| number)
            }
        };
        let answer = hedger.send(send, |until| *until == REFUSAL_TIME).await;
        (answer.map_err(drop), sent.into_inner())
    }

    async fn with_median() -> Hedger {
        let hedger = Hedger::new(SHORTEST_DELAY);
        for _ in 0..MIN_TIMES {
            assert_eq!(ask(&hedger, &[]).await, (Ok(0), 1));
        }
        hedger
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_is_overtaken_and_a_usual_one_is_not() {
        let hedger = with_median().await;
        assert_eq!(ask(&hedger, &[Ok(USUAL_TIME * 2)]).await, (Ok(0), 1));
        let began = Instant::now();
        assert_eq!(ask(&hedger, &[Ok(Duration::from_secs(9))]).await, (Ok(1), 2));
        assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
        // The first one may still win, and a failure of one is none.
        assert_eq!(ask(&hedger, &[Ok(USUAL_TIME * 4), Ok(USUAL_TIME * 9)]).await, (Ok(0), 2));
        assert_eq!(ask(&hedger, &[Ok(USUAL_TIME * 9), Err(USUAL_TIME)]).await, (Ok(0), 2));
        assert_eq!(ask(&hedger, &[Err(USUAL_TIME * 4), Ok(USUAL_TIME * 2)]).await, (Ok(1), 2));
        assert_eq!(
            ask(&with_median().await, &[Err(USUAL_TIME * 4), Err(USUAL_TIME * 2)]).await,
            (Err(()), 2)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_an_answer_and_other_failures_are_not() {
        let (hedger, began) = (with_median().await, Instant::now());
        let late = Ok(Duration::from_secs(9));
        assert_eq!(ask(&hedger, &[late, Err(REFUSAL_TIME)]).await, (Err(()), 2));
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(ask(&hedger, &[late, Err(USUAL_TIME)]).await, (Ok(0), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn few_requests_are_sent_twice_however_late_all_are() {
        let hedger = with_median().await;
        let mut sent = 0;
        for _ in 0..400 {
            sent += ask(&hedger, &[Ok(Duration::from_secs(2)), Ok(Duration::from_secs(2))]).await.1;
        }
        assert!((401..=420).contains(&sent), "{sent}");
    }

    /// If every third answer is late, the median stays low.
    #[tokio::test(start_paused = true)]
    async fn few_requests_are_sent_twice_however_many_are_late() {
        let hedger = with_median().await;
        let mut sent = 0;
        for number in 0..400 {
            let time = if number % 3 == 0 { USUAL_TIME * 9 } else { USUAL_TIME };
            sent += ask(&hedger, &[Ok(time)]).await.1;
        }
        assert!((410..=417).contains(&sent), "{sent}");
    }
}
