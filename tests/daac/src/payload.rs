//! Bodies: paced, metered, and cut where a fault says so.

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
use crate::journal::{InFlight, Meter};

/// Long enough for hyper to write out what it holds before a body ends too early.
const FLUSH: Duration = Duration::from_millis(20);

/// The piece that a paced body sends at a time: two milliseconds' worth, so that a fast pace is not
/// all timers, and this much at least, since the timer's millisecond is coarse; but never more than
/// 50 milliseconds' worth, so that a slow pace trickles.
const PIECE: u64 = 64 * 1024;

/// What is due within the timer's millisecond goes at once, or a small body would take two of them.
const TICK: Duration = Duration::from_millis(1);

/// How a body that is cut ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Close,
    Reset,
    Stall,
    /// Not an end: the rest comes after this time.
    Pause(Duration),
}

/// The connection must end here.
#[derive(Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the connection was cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// What a body yields: a frame, its end, or the connection's.
type Next = Option<Result<Frame<Bytes>, Cut>>;

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct Payload {
    source: Source,
    sent: u64,
    length: u64,
    cut: Option<(u64, Ending)>,
    flushed: bool,
    pace: Option<Pace>,
    timer: Option<Pin<Box<Sleep>>>,
    meter: Option<Meter>,
    reset: Arc<AtomicBool>,
    _in_flight: Option<InFlight>,
}

#[derive(Debug)]
enum Source {
    Bytes(Bytes),
    Object { object: Object, start: u64 },
}

#[derive(Debug)]
struct Pace {
    start: Instant,
    /// Bytes per second.
    rate: u64,
    paid: u64,
}

impl Payload {
    pub(crate) fn empty() -> Self {
        Bytes::new().into()
    }

    /// `length` bytes of an object, from `start` on.
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
            pace: None,
            timer: None,
            meter: None,
            reset: Arc::default(),
            _in_flight: None,
        }
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Ends or interrupts the body after `at` bytes, one before its end at the latest.
    pub(crate) fn cut(&mut self, at: u64, ending: Ending) {
        if self.length > 0 {
            self.cut = Some((at.min(self.length - 1), ending));
        }
    }

    pub(crate) fn pace(&mut self, rate: u64) {
        self.pace = (rate > 0).then(|| Pace { start: Instant::now(), rate, paid: 0 });
    }

    /// Ties the body to what counts its bytes and to its connection's reset flag.
    pub(crate) fn tie(
        &mut self,
        meter: Meter,
        reset: Arc<AtomicBool>,
        in_flight: Option<InFlight>,
    ) {
        self.meter = Some(meter);
        self.reset = reset;
        self._in_flight = in_flight;
    }

    fn piece(&self, limit: u64) -> u64 {
        let paced = |rate: u64| (rate / 500).max(PIECE).min(rate.div_ceil(20)).min(FRAME as u64);
        let most = self.pace.as_ref().map_or(FRAME as u64, |pace| paced(pace.rate));
        most.min(limit - self.sent)
    }

    fn read(&self, length: u64) -> Result<Bytes, Cut> {
        match &self.source {
            Source::Bytes(bytes) => {
                Ok(bytes.slice(self.sent as usize..(self.sent + length) as usize))
            }
            // Files are read in place: this machine's page cache is quicker than a thread hop.
            Source::Object { object, start } => {
                object.read(start + self.sent..start + self.sent + length).map_err(|_| Cut)
            }
        }
    }

    fn end(&mut self) -> Option<Poll<Next>> {
        match self.cut {
            None => Some(Poll::Ready(None)),
            Some((_, Ending::Stall)) => Some(Poll::Pending),
            Some((_, Ending::Pause(time))) => {
                self.cut = None;
                self.timer = Some(Box::pin(sleep(time)));
                // What is due stays away as long, so that no burst makes up for the pause.
                if let Some(pace) = &mut self.pace {
                    pace.start += time;
                }
                None
            }
            Some(_) if !self.flushed => {
                self.flushed = true;
                self.timer = Some(Box::pin(sleep(FLUSH)));
                None
            }
            Some((_, ending)) => {
                self.reset.store(ending == Ending::Reset, Ordering::Relaxed);
                Some(Poll::Ready(Some(Err(Cut))))
            }
        }
    }
}

impl<T: Into<Bytes>> From<T> for Payload {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        Self::new(Source::Bytes(bytes), length)
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Next> {
        let this = &mut *self;
        loop {
            let limit = this.cut.map_or(this.length, |(at, _)| at);
            if let Some(timer) = &mut this.timer {
                ready!(timer.as_mut().poll(context));
                this.timer = None;
            }
            if this.sent == limit {
                match this.end() {
                    Some(end) => return end,
                    None => continue,
                }
            }
            let length = this.piece(limit);
            if let Some(pace) = this.pace.as_mut().filter(|pace| pace.paid < this.sent + length) {
                // Due times count from the start, so that late timers do not add up.
                pace.paid = this.sent + length;
                let due = pace.start + Duration::from_secs_f64(pace.paid as f64 / pace.rate as f64);
                if due > Instant::now() + TICK {
                    this.timer = Some(Box::pin(sleep_until(due)));
                    continue;
                }
            }
            let bytes = this.read(length)?;
            this.sent += length;
            if let Some(meter) = &this.meter {
                meter.add(length);
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_none() && self.sent == self.length
    }
}
