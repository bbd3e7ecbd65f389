//! Bodies of answers: limited in their rate, counted, and cut where a fault says so.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::content::{FRAME, Object};
use crate::request_log::{ByteCounter, InFlightGuard};

/// The time that hyper needs to write out what it has before a body is cut.
const FLUSH: Duration = Duration::from_millis(20);

/// The smallest chunk of a body with a limited rate, in bytes. A chunk is the bytes of two
/// milliseconds, so that a high rate needs few timers, and at least this many, since timers have a
/// resolution of a millisecond; but at most the bytes of 50 milliseconds, so that a low rate is
/// steady.
const MIN_CHUNK: u64 = 64 * 1024;

/// The resolution of timers. Bytes that are due within it are sent at once; otherwise a small body
/// would take two steps of the timer.
const TIMER_STEP: Duration = Duration::from_millis(1);

/// What happens where a body is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutMode {
    Close,
    Reset,
    Stall,
    /// The rest of the body comes after this time.
    Pause(Duration),
}

/// The error with which a body or a handler makes hyper end the connection.
#[derive(Debug)]
pub(crate) struct ConnectionCut;

impl fmt::Display for ConnectionCut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the connection was cut on purpose")
    }
}

impl std::error::Error for ConnectionCut {}

/// What a body yields: a frame, its end, or the end of the connection.
type Next = Option<Result<Frame<Bytes>, ConnectionCut>>;

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    source: Source,
    sent: u64,
    length: u64,
    cut: Option<(u64, CutMode)>,
    flushed: bool,
    rate_limit: Option<RateLimit>,
    timer: Option<Pin<Box<Sleep>>>,
    byte_counter: Option<ByteCounter>,
    reset: Arc<AtomicBool>,
    _in_flight: Option<InFlightGuard>,
}

#[derive(Debug)]
enum Source {
    Bytes(Bytes),
    Object { object: Object, start: u64 },
}

#[derive(Debug)]
struct RateLimit {
    start: Instant,
    /// Bytes per second.
    rate: u64,
    scheduled: u64,
}

impl ResponseBody {
    pub(crate) fn empty() -> Self {
        Bytes::new().into()
    }

    /// Returns a body of `length` bytes of an object, from `start` on.
    pub(crate) fn object(object: Object, start: u64, length: u64) -> Self {
        Self::new(Source::Object { object, start }, length)
    }

    fn new(source: Source, length: u64) -> Self {
        Self {
            source,
            sent: 0,
            length,
            cut: None,
            flushed: false,
            rate_limit: None,
            timer: None,
            byte_counter: None,
            reset: Arc::default(),
            _in_flight: None,
        }
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Cuts the body after `at` bytes, and at the latest one byte before its end.
    pub(crate) fn cut(&mut self, at: u64, mode: CutMode) {
        if self.length > 0 {
            self.cut = Some((at.min(self.length - 1), mode));
        }
    }

    /// Leaves out what comes after `length` bytes.
    pub(crate) fn shorten(&mut self, length: u64) {
        self.length = self.length.min(length);
    }

    pub(crate) fn limit_rate(&mut self, rate: u64) {
        self.rate_limit =
            (rate > 0).then(|| RateLimit { start: Instant::now(), rate, scheduled: 0 });
    }

    /// Attaches the counter of the body's bytes, the reset flag of its connection, and the guard
    /// that marks the request as under way.
    pub(crate) fn attach(
        &mut self,
        byte_counter: ByteCounter,
        reset: Arc<AtomicBool>,
        in_flight: Option<InFlightGuard>,
    ) {
        self.byte_counter = Some(byte_counter);
        self.reset = reset;
        self._in_flight = in_flight;
    }

    fn chunk_length(&self, limit: u64) -> u64 {
        let limited =
            |rate: u64| (rate / 500).max(MIN_CHUNK).min(rate.div_ceil(20)).min(FRAME as u64);
        let most =
            self.rate_limit.as_ref().map_or(FRAME as u64, |rate_limit| limited(rate_limit.rate));
        most.min(limit - self.sent)
    }

    fn read(&self, length: u64) -> Result<Bytes, ConnectionCut> {
        match &self.source {
            Source::Bytes(bytes) => {
                Ok(bytes.slice(self.sent as usize..(self.sent + length) as usize))
            }
            // Files are read on this thread: the page cache is faster than a change of threads.
            Source::Object { object, start } => object
                .read(start + self.sent..start + self.sent + length)
                .map_err(|_| ConnectionCut),
        }
    }

    fn finish(&mut self) -> Option<Poll<Next>> {
        match self.cut {
            None => Some(Poll::Ready(None)),
            Some((_, CutMode::Stall)) => Some(Poll::Pending),
            Some((_, CutMode::Pause(time))) => {
                self.cut = None;
                self.timer = Some(Box::pin(sleep(time)));
                // The schedule moves by the pause, so that no burst makes up for it.
                if let Some(rate_limit) = &mut self.rate_limit {
                    rate_limit.start += time;
                }
                None
            }
            Some(_) if !self.flushed => {
                self.flushed = true;
                self.timer = Some(Box::pin(sleep(FLUSH)));
                None
            }
            Some((_, mode)) => {
                self.reset.store(mode == CutMode::Reset, Ordering::Relaxed);
                Some(Poll::Ready(Some(Err(ConnectionCut))))
            }
        }
    }
}

impl<T: Into<Bytes>> From<T> for ResponseBody {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        Self::new(Source::Bytes(bytes), length)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ConnectionCut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Next> {
        let this = &mut *self;
        loop {
            let limit = this.cut.map_or(this.length, |(at, _)| at);
            if let Some(timer) = &mut this.timer {
                ready!(timer.as_mut().poll(context));
                this.timer = None;
            }
            if this.sent == limit {
                match this.finish() {
                    Some(end) => return end,
                    None => continue,
                }
            }
            let length = this.chunk_length(limit);
            if let Some(rate_limit) = this
                .rate_limit
                .as_mut()
                .filter(|rate_limit| rate_limit.scheduled < this.sent + length)
            {
                // Due times count from the start, so that delays of timers do not add up.
                rate_limit.scheduled = this.sent + length;
                let due = rate_limit.start
                    + Duration::from_secs_f64(rate_limit.scheduled as f64 / rate_limit.rate as f64);
                if due > Instant::now() + TIMER_STEP {
                    this.timer = Some(Box::pin(sleep_until(due)));
                    continue;
                }
            }
            let bytes = this.read(length)?;
            this.sent += length;
            if let Some(byte_counter) = &this.byte_counter {
                byte_counter.add(length);
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_none() && self.sent == self.length
    }
}
