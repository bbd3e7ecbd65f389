//! Injected faults, delays and limits.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::client::{End, SOON, s3, s3_on, with_one_object};
use crate::{Content, Failure, Fault, Knobs, Lie, RequestKind};

#[test]
fn each_failure_ends_the_answer_as_described_and_only_once() {
    let (fake_daac, key) = with_one_object(Knobs::default());
    for (failure, status, length, end) in [
        (Failure::SlowDown, 503, None, End::Whole),
        (Failure::InternalError, 500, None, End::Whole),
        (Failure::Denied, 403, None, End::Whole),
        (Failure::WrongEtag, 200, Some(100_000), End::Whole),
        (Failure::Truncate(70_001), 200, Some(70_001), End::Short),
        (Failure::Truncate(u64::MAX), 200, Some(99_999), End::Short),
        (Failure::StallBody(10), 200, Some(10), End::Silence),
        (Failure::ResetBody(10), 200, Some(10), End::Reset),
        (Failure::ResetBody(0), 200, Some(0), End::Reset),
        (Failure::StallBody(0), 200, Some(0), End::Silence),
        (Failure::Truncate(0), 200, Some(0), End::Short),
        (Failure::Reset, 0, Some(0), End::Reset),
        (Failure::Stall, 0, Some(0), End::Silence),
    ] {
        fake_daac.reset_stats();
        fake_daac.add_fault(Fault::new(failure).on(RequestKind::Get).containing("k").times(1));
        let answer = s3(&fake_daac, &key, "GET", "/b/k", &[]);
        assert_eq!((answer.status, answer.end), (status, end), "{failure:?}");
        assert!(
            length.is_none_or(|length| answer.body.len() == length),
            "{failure:?} {}",
            answer.body.len()
        );
        let whole = s3(&fake_daac, &key, "GET", "/b/k", &[]);
        assert_eq!(whole.body, fake_daac.expected("b", "k").unwrap().read(0..u64::MAX).unwrap());
        assert_eq!(
            whole.header("etag") == answer.header("etag"),
            length.is_some() && status == 200 && failure != Failure::WrongEtag
        );
        let log = fake_daac.log();
        assert_eq!(
            (log[0].fault.is_some(), log[0].status, log[1].sent),
            (true, status, 100_000),
            "{failure:?}"
        );
        assert!(
            fake_daac.wait_for(|stats| stats.in_flight == 0 && stats.faults == 1, SOON),
            "{failure:?}"
        );
    }
}

/// [`Fault::covering`] counts bytes of the object, includes both ends of a range, and matches every
/// GET without a range.
#[test]
fn a_fault_that_covers_a_byte_happens_to_every_get_of_that_byte() {
    let (fake_daac, key) = with_one_object(Knobs::default());
    fake_daac.add_fault(Fault::new(Failure::SlowDown).on(RequestKind::Get).covering(5_000));
    for (range, status) in [
        (None, 503),
        (Some("bytes=0-4999"), 206),
        (Some("bytes=0-5000"), 503),
        (Some("bytes=5000-5000"), 503),
        (Some("bytes=5001-5999"), 206),
        (Some("bytes=5000-"), 503),
        (Some("bytes=5001-"), 206),
    ] {
        let headers: Vec<_> = range.iter().map(|range| ("range", *range)).collect();
        assert_eq!(s3(&fake_daac, &key, "GET", "/b/k", &headers).status, status, "{range:?}");
    }
    assert_eq!(fake_daac.stats().faults, 4);
}

#[test]
fn a_delayed_or_paused_answer_is_complete_in_the_end() {
    let (fake_daac, key) = with_one_object(Knobs { bandwidth: 1_000_000, ..Knobs::default() });
    for failure in [
        Failure::Delay(300),
        Failure::PauseBody { at: 0, millis: 300 },
        Failure::PauseBody { at: 50_000, millis: 300 },
        Failure::PauseBody { at: u64::MAX, millis: 300 },
    ] {
        fake_daac.add_fault(Fault::new(failure).times(1));
        let started = Instant::now();
        let answer = s3(&fake_daac, &key, "GET", "/b/k", &[]);
        // The pause is added to the 100 milliseconds that the bandwidth takes.
        assert!(
            started.elapsed() >= Duration::from_millis(395),
            "{failure:?} {:?}",
            started.elapsed()
        );
        assert_eq!(
            (answer.status, answer.body.len(), answer.end),
            (200, 100_000, End::Whole),
            "{failure:?}"
        );
    }
    fake_daac.add_fault(Fault::new(Failure::PauseBody { at: 50_000, millis: 60_000 }).times(1));
    let answer = s3(&fake_daac, &key, "GET", "/b/k", &[]);
    assert_eq!((answer.body.len(), answer.end), (50_000, End::Silence));
}

#[test]
fn a_server_that_is_down_resets_open_and_new_connections_until_it_is_up() {
    let (fake_daac, key) = with_one_object(Knobs::default());
    let url = fake_daac.s3_url();
    let host = url.strip_prefix("http://").unwrap();
    let mut open = TcpStream::connect(host).unwrap();
    assert_eq!(s3_on(&mut open, host, &key, "GET", "/b/k", &[]).status, 200);
    fake_daac.set(|knobs| knobs.s3_down = true);
    assert_eq!(open.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(s3(&fake_daac, &key, "GET", "/b/k", &[]).end, End::Reset);
    fake_daac.set(|knobs| knobs.s3_down = false);
    assert_eq!(s3(&fake_daac, &key, "GET", "/b/k", &[]).status, 200);
}

#[test]
fn bandwidth_is_kept_on_average() {
    let (fake_daac, key) = with_one_object(Knobs { bandwidth: 5_000_000, ..Knobs::default() });
    fake_daac.put("b", "big", Content::synthetic(5_000_000));
    let took = |_| {
        let started = Instant::now();
        assert_eq!(s3(&fake_daac, &key, "GET", "/b/big", &[]).body.len(), 5_000_000);
        let taken = started.elapsed().as_secs_f64();
        assert!(taken >= 1.0, "{taken}");
        taken
    };
    // A machine that is busy with other things may be late once, but not always.
    assert!((0..5).map(took).any(|taken| taken < 1.3));
}

#[test]
fn a_slow_request_delays_no_other_request() {
    let (fake_daac, key) =
        with_one_object(Knobs { list_latency: Duration::from_secs(1), ..Knobs::default() });
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                assert_eq!(s3(&fake_daac, &key, "GET", "/b?list-type=2", &[]).status, 200)
            });
        }
        assert!(fake_daac.wait_for(|stats| stats.lists == 8, SOON));
        assert_eq!(s3(&fake_daac, &key, "HEAD", "/b/k", &[]).status, 200);
        assert!(fake_daac.stats().in_flight >= 8, "it waited for the others");
    });
    assert_eq!(fake_daac.stats().most_in_flight, 9);
}

#[test]
fn a_lie_changes_what_an_answer_says_of_itself() {
    let (fake_daac, key) = with_one_object(Knobs::default());
    let part = "bytes 10-109/100000";
    for (lie, status, range, length, has_id) in [
        (Lie::CompressedPart, 206, part, 50, true),
        (Lie::PartOfCompressed, 206, "bytes 10-59/60", 50, true),
        (Lie::CompressedWhole, 200, "", 50, true),
        (Lie::Transformed, 203, part, 100, true),
        (Lie::ShiftedRange, 206, "bytes 11-110/100001", 100, true),
        (Lie::PartAsWhole, 200, part, 100, true),
        (Lie::OneByte, 206, "bytes 10-10/100000", 1, true),
        (Lie::PageWithOwnEtag, 200, "", 42, false),
        (Lie::NotFound, 404, "", 0, false),
    ] {
        fake_daac.add_fault(Fault::new(Failure::Lie(lie)).on(RequestKind::Get).times(1));
        let answer = s3(&fake_daac, &key, "GET", "/b/k", &[("range", "bytes=10-109")]);
        assert_eq!((answer.status, answer.body.len()), (status, length), "{lie:?}");
        assert_eq!(answer.header("content-range"), range, "{lie:?}");
        assert_eq!(!answer.header("x-amz-request-id").is_empty(), has_id, "{lie:?}");
    }
}

#[test]
fn gets_under_way_are_counted_apart_from_other_requests() {
    let (fake_daac, key) = with_one_object(Knobs {
        first_byte_latency: Duration::from_secs(1),
        list_latency: Duration::from_secs(1),
        ..Knobs::default()
    });
    std::thread::scope(|scope| {
        for path in ["/b/k", "/b/k", "/b?list-type=2"] {
            let (fake_daac, key) = (&fake_daac, &key);
            scope.spawn(move || s3(fake_daac, key, "GET", path, &[]));
        }
        assert!(fake_daac.wait_for(|stats| stats.most_in_flight == 3, SOON));
        assert_eq!(fake_daac.stats().most_gets_in_flight, 2);
    });
    fake_daac.reset_stats();
    assert_eq!(fake_daac.stats().most_gets_in_flight, 0);
}
