//! Fetches of blocks that fail, with every failure in every phase of a fetch and for every kind of
//! read.

use std::time::Duration;

use fake_daac::{Content, Failure, Fault, RequestKind};
use futures_util::future::join_all;

use crate::environment::{TestEnvironment, in_time};
use crate::path_filesystem::PathFilesystem;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const STREAM: u64 = 3 * MIB + 1;
const HUGE: u64 = 4096 * MIB;
/// An offset inside every GET of these reads that is not at the edge of a block.
const WITHIN: u64 = 70_001;
/// The fake DAAC cuts at the latest one byte before the end.
const LAST: u64 = u64::MAX;

/// Failures before the headers, after them, in the middle, and in the last block.
const FAILURES: [Failure; 16] = [
    Failure::SlowDown,
    Failure::InternalError,
    Failure::Reset,
    Failure::Stall,
    Failure::ResetBody(0),
    Failure::ResetBody(WITHIN),
    Failure::ResetBody(LAST),
    Failure::Truncate(0),
    Failure::Truncate(WITHIN),
    Failure::Truncate(LAST),
    Failure::StallBody(0),
    Failure::StallBody(WITHIN),
    Failure::StallBody(LAST),
    Failure::PauseBody { at: WITHIN, millis: 700 },
    Failure::PauseBody { at: LAST, millis: 700 },
    Failure::Delay(700),
];

/// Reads of one file, and the byte whose first GET fails.
#[derive(Clone, Debug)]
struct Reads {
    what: &'static str,
    name: &'static str,
    size: u64,
    reads: Vec<(u64, u64)>,
    at: u64,
}

fn rows() -> Vec<Reads> {
    let stream: Vec<_> =
        (0..STREAM).step_by(128 * 1024).map(|offset| (offset, 128 * KIB)).collect();
    let scattered =
        [900, 17, 3000, 1500, 40, 2222, 800].map(|number| (number * MIB + 123_457, 4 * KIB));
    let row =
        |what, name, size, reads: &[_], at| Reads { what, name, size, reads: reads.to_vec(), at };
    vec![
        row("the first GET of a stream", "f", STREAM, &stream, 0),
        row("a middle GET of a stream", "f", STREAM, &stream, STREAM / 2),
        row("the last GET of a stream", "f", STREAM, &stream, STREAM - 1),
        row("a single read", "f", 80 * MIB, &[(40 * MIB, 128 * KIB)], 40 * MIB),
        row(
            "a random read that is not cached",
            "f",
            HUGE,
            &[&scattered[..], &[(333 * MIB + 17, 400_000)]].concat(),
            333 * MIB + 17,
        ),
        row("a small file, fetched whole", "f", MIB - 1, &[(300_000, 4 * KIB), (0, MIB)], MIB - 2),
        row(
            "a dense file, fetched whole",
            "f",
            6 * MIB,
            &[(MIB, 128 * KIB), (4 * MIB, 128 * KIB), (0, 6 * MIB)],
            5 * MIB,
        ),
        row(
            "a tail, fetched for the file's extension",
            "f.nc",
            30 * MIB,
            // All of the tail: where the second read comes so late that the stalled tail was given
            // up, it fetches the same bytes.
            &[(0, 4 * KIB), (30 * MIB - 128 * KIB, 128 * KIB)],
            30 * MIB - 1,
        ),
    ]
}

/// The GETs and bytes sent for a key, and the bytes that the cache counts afterwards.
#[derive(Debug)]
struct Cost {
    gets: u64,
    sent: u64,
    cached_bytes: u64,
}

/// Waits until the bytes of the cache have not changed for a while, and returns them.
async fn settled(filesystem: &PathFilesystem) -> u64 {
    let (mut before, mut same) = (filesystem.cached_bytes(), 0);
    while same < 25 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = filesystem.cached_bytes();
        same = if now == before { same + 1 } else { 0 };
        before = now;
    }
    before
}

/// Does the reads with or without the failure, checks every byte, and waits until the cache counts
/// `cached_bytes`.
async fn cost(
    environment: &TestEnvironment,
    row: &Reads,
    failure: Option<Failure>,
    cached_bytes: Option<u64>,
) -> Cost {
    let what = format!("{failure:?} on {}", row.what);
    let key = format!("{what}/{}", row.name)
        .replace(|letter: char| !letter.is_alphanumeric() && !"/.".contains(letter), "_");
    environment.put(&key, Content::synthetic(row.size));
    if let Some(failure) = failure {
        environment.fake_daac.add_fault(
            Fault::new(failure).on(RequestKind::Get).containing(&key).covering(row.at).times(1),
        );
    }
    let (filesystem, object) = (environment.filesystem(), environment.expected(&key));
    let handle =
        filesystem.open(in_time(filesystem.number(&key)).await.unwrap()).await.unwrap().handle;
    for (offset, size) in &row.reads {
        let read = in_time(filesystem.read(handle, *offset, u32::try_from(*size).unwrap())).await;
        let read = read.unwrap_or_else(|error| panic!("{what}: {error}")).concat();
        assert!(
            read == object.read(*offset..(offset + size).min(row.size)).unwrap()[..],
            "{what}: wrong bytes at {offset}"
        );
    }
    filesystem.release(handle);
    if let Some(cached_bytes) = cached_bytes {
        let settles = async {
            while filesystem.cached_bytes() != cached_bytes {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let is_settled = tokio::time::timeout(Duration::from_secs(15), settles).await.is_ok();
        assert!(
            is_settled,
            "{what}: {} bytes held rather than {cached_bytes}",
            filesystem.cached_bytes()
        );
    }
    let cached_bytes = settled(&filesystem).await;
    let log = environment
        .fake_daac
        .log()
        .into_iter()
        .filter(|request| request.kind == RequestKind::Get && request.key == key);
    let log: Vec<_> = log.collect();
    assert_eq!(
        log.iter().filter(|get| get.fault.is_some()).count(),
        usize::from(failure.is_some()),
        "{what}"
    );
    assert!(log.iter().all(|get| get.if_match.is_some()), "{what}");
    Cost { gets: log.len() as u64, sent: log.iter().map(|get| get.sent).sum(), cached_bytes }
}

/// After a failure the reads return the right bytes without an error, with at most one request more
/// for the failure and one for hedging. Only bytes that a broken connection lost are fetched twice,
/// and the cache counts as many bytes as after the same reads without a failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_fails_in_any_phase_is_resumed_and_leaks_no_memory() {
    let environment = TestEnvironment::new();
    let (environment, rows) = (&environment, rows());
    join_all(rows.iter().map(|row| async move {
        let healthy = cost(environment, row, None, None).await;
        let healthy = &healthy;
        join_all(FAILURES.map(|failure| async move {
            let cost = cost(environment, row, Some(failure), Some(healthy.cached_bytes)).await;
            let what = format!("{failure:?} on {}: {cost:?}, healthy: {healthy:?}", row.what);
            assert!(
                cost.gets <= healthy.gets + 2
                    && cost.sent <= healthy.sent + MIB
                    && cost.cached_bytes == healthy.cached_bytes,
                "{what}"
            );
        }))
        .await;
    }))
    .await;
}
