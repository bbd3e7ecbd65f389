//! The body of a ranged GET whose answer is what was asked for, and how fast it comes.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use bytes::Bytes;
use tokio::time::Instant;

use super::classify::Failure;
use super::hedger::Hedger;
use super::parse::unquoted;
use super::punctual_timeout::punctual_timeout;
use super::unreadable::{FOREIGN, WEB_PAGE, is_html};
use crate::error::{Error, Problem};
use crate::object::ObjectId;

/// S3 sends a frame every few milliseconds. After a pause this long, the rest is requested over
/// another connection, where the hedger allows it.
const PAUSE: Duration = Duration::from_secs(1);
/// After a pause this long the rest is requested anew in any case.
const STALL: Duration = Duration::from_secs(5);
/// Fewer bytes than this do not end a pause. Hundreds of connections that share the slowest link
/// have more, and a packet nearly has so many.
const LEAST: u64 = 1 << 10;

/// Bytes of one version of an object that are known to lie where they should.
#[derive(Debug)]
pub(super) struct RangedBody {
    stream: ByteStream,
    /// Where the last byte of the answer is followed by others, if there are any.
    pub(super) end: u64,
    /// How long the bytes since the last pause have been waited for, and how many they are.
    waited: Duration,
    bytes: u64,
    /// The hedger has not let the rest be requested anew after [`PAUSE`].
    is_kept: bool,
}

/// Bytes that do not come: what came was less than [`LEAST`] in this time.
#[derive(Debug)]
pub(super) struct Stalled(pub(super) Duration);

impl RangedBody {
    /// Returns the body of `output`, the answer to a GET of `range` of an object of `size` bytes.
    /// It begins there, and may be shorter or longer.
    pub(super) fn of(
        output: GetObjectOutput,
        object: &ObjectId,
        size: u64,
        range: &Range<u64>,
    ) -> Result<Self, Failure> {
        let problem = |words: &'static str| Problem::new(words).about(object.url());
        let fault = |words| Err(Failure::Lasting(Error::transient(problem(words))));
        match output.e_tag() {
            Some(etag) if unquoted(etag) == &*object.etag => {}
            Some(etag) if etag.starts_with("W/") => return fault(FOREIGN),
            // S3 answers 206; a page of somebody else may have an etag as well.
            Some(_) if output.content_range().is_some() => {
                return Err(Failure::Final(Error::Replaced(object.url().into())));
            }
            _ if output.content_type().is_some_and(is_html) => return fault(WEB_PAGE),
            Some(_) => return fault(FOREIGN),
            None => {
                let words = "the store does not say which version it answers with";
                return Err(Failure::Final(Error::store(problem(words))));
            }
        }
        let length = output.content_length().and_then(|length| u64::try_from(length).ok());
        // The whole object, where it is asked for, and nothing that has another length.
        let whole = (length == Some(size)).then_some((0..size, size));
        let answered = output.content_range().map_or(whole, parsed);
        let Some((answered, total)) = answered else {
            return fault("the answer does not say which bytes it holds");
        };
        let is_coded = output.content_encoding().is_some_and(|coding| coding != "identity");
        // S3 gives what was stored in a coding as it was stored, and says its length. A proxy that
        // encodes does not know it yet.
        let is_measured =
            length.map_or(!is_coded, |length| length == answered.end - answered.start);
        if answered.start != range.start || total != size || !is_measured {
            return fault("the answer holds other bytes than it was asked for");
        }
        let (waited, bytes, is_kept) = (Duration::ZERO, 0, false);
        Ok(Self { stream: output.body, end: answered.end, waited, bytes, is_kept })
    }

    /// Returns the next frame, or `None` at the end.
    pub(super) async fn frame(
        &mut self,
        hedger: &Hedger,
    ) -> Result<Option<Result<Bytes, ByteStreamError>>, Stalled> {
        loop {
            let limit = if self.is_kept { STALL } else { PAUSE };
            let began = Instant::now();
            let left = limit.saturating_sub(self.waited);
            let Some(frame) = punctual_timeout(left, self.stream.next()).await else {
                if self.is_kept || hedger.may_hedge() {
                    return Err(Stalled(limit));
                }
                (self.is_kept, self.waited) = (true, PAUSE);
                continue;
            };
            // A longer time is one in which this machine itself was late.
            self.waited += began.elapsed().min(left);
            if let Some(Ok(bytes)) = &frame {
                self.bytes += bytes.len() as u64;
            }
            if self.bytes >= LEAST {
                (self.waited, self.bytes, self.is_kept) = (Duration::ZERO, 0, false);
            }
            return Ok(frame);
        }
    }
}

/// Reads `bytes FIRST-LAST/TOTAL`.
fn parsed(content_range: &str) -> Option<(Range<u64>, u64)> {
    let (range, total) = content_range.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, total) = (number(first)?, number(last)?, number(total)?);
    (first <= last && last < total).then(|| (first..last + 1, total))
}

/// Reads digits, and nothing that `parse` takes besides.
fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_or_refused() {
        assert_eq!(parsed("bytes 5-9/20"), Some((5..10, 20)));
        assert_eq!(parsed("bytes 0-0/1"), Some((0..1, 1)));
        for text in [
            "",
            "bytes */20",
            "bytes 5-9/*",
            "bytes 9-5/20",
            "bytes 5-20/20",
            "bytes +5-9/20",
            "bytes 5-9",
            "items 5-9/20",
            "bytes 5-18446744073709551615/20",
            "bytes 0-18446744073709551615/18446744073709551615",
            "bytes 5-9/20, 11-12/20",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
