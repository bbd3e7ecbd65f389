//! Fetches that go wrong, in every phase and for every kind of read: issue 4, "Done when", second
//! item: "fault tests (reset, truncation, stall, 503 in every phase of a flight)".

use std::time::Duration;

use fake_daac::{Content, Failure, Fault, Kind};
use futures_util::future::join_all;

use crate::environment::{TestEnvironment, soon};
use crate::tree::Tree;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const STREAM: u64 = 3 * MIB + 1;
const HUGE: u64 = 4096 * MIB;
/// Inside of every GET of these reads, and not at an edge of a block.
const WITHIN: u64 = 70_001;
/// What the archive cuts one byte before the end.
const LAST: u64 = u64::MAX;

/// Before the headers, after them, in the middle, and in the last block.
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
    Failure::Late(700),
];

/// Reads of one file, and the byte whose first GET goes wrong.
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
        row("a middle one", "f", STREAM, &stream, STREAM / 2),
        row("the last one", "f", STREAM, &stream, STREAM - 1),
        row("a read of its own", "f", 80 * MIB, &[(40 * MIB, 128 * KIB)], 40 * MIB),
        row(
            "a read for nobody else",
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
            "a tail, fetched for its name",
            "f.nc",
            30 * MIB,
            &[(0, 4 * KIB), (30 * MIB - 4 * KIB, 4 * KIB)],
            30 * MIB - 1,
        ),
    ]
}

/// GETs and bytes sent for a key, and bytes that the budget counts when all is over.
#[derive(Debug)]
struct Cost {
    gets: u64,
    sent: u64,
    held: u64,
}

/// What the budget counts, when that has not changed for a while.
async fn settled(tree: &Tree) -> u64 {
    let (mut before, mut same) = (tree.held(), 0);
    while same < 25 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = tree.held();
        same = if now == before { same + 1 } else { 0 };
        before = now;
    }
    before
}

/// Does the reads with or without the failure, checks every byte, and that the budget comes to
/// count `held`.
async fn cost(
    environment: &TestEnvironment,
    row: &Reads,
    failure: Option<Failure>,
    held: Option<u64>,
) -> Cost {
    let what = format!("{failure:?} on {}", row.what);
    let key = format!("{what}/{}", row.name)
        .replace(|letter: char| !letter.is_alphanumeric() && !"/.".contains(letter), "_");
    environment.put(&key, Content::synthetic(row.size));
    if let Some(failure) = failure {
        environment
            .archive
            .fault(Fault::new(failure).on(Kind::Get).containing(&key).covering(row.at).next(1));
    }
    let (tree, object) = (environment.tree(), environment.expected(&key));
    let handle = tree.open(soon(tree.number(&key)).await.unwrap()).unwrap();
    for (offset, size) in &row.reads {
        let read = soon(tree.read(handle, *offset, u32::try_from(*size).unwrap())).await;
        let read = read.unwrap_or_else(|error| panic!("{what}: {error}")).concat();
        assert!(
            read == object.read(*offset..(offset + size).min(row.size)).unwrap()[..],
            "{what}: wrong bytes at {offset}"
        );
    }
    tree.release(handle);
    if let Some(held) = held {
        let settles = async {
            while tree.held() != held {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let is_settled = tokio::time::timeout(Duration::from_secs(15), settles).await.is_ok();
        assert!(is_settled, "{what}: {} bytes held rather than {held}", tree.held());
    }
    let held = settled(&tree).await;
    let log = environment
        .archive
        .log()
        .into_iter()
        .filter(|request| request.kind == Kind::Get && request.key == key);
    let log: Vec<_> = log.collect();
    assert_eq!(
        log.iter().filter(|get| get.fault.is_some()).count(),
        usize::from(failure.is_some()),
        "{what}"
    );
    assert!(log.iter().all(|get| get.if_match.is_some()), "{what}");
    Cost { gets: log.len() as u64, sent: log.iter().map(|get| get.sent).sum(), held }
}

/// Right bytes, no error, one request more for the fault (and one where it was late), no byte twice
/// but those that a broken connection lost, and a budget that counts what the healthy reads left in
/// it and nothing more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flight_that_fails_in_any_phase_goes_on_and_leaves_nothing_behind() {
    let environment = TestEnvironment::new();
    let (environment, rows) = (&environment, rows());
    join_all(rows.iter().map(|row| async move {
        let healthy = cost(environment, row, None, None).await;
        let healthy = &healthy;
        join_all(FAILURES.map(|failure| async move {
            let cost = cost(environment, row, Some(failure), Some(healthy.held)).await;
            let what = format!("{failure:?} on {}: {cost:?}, healthy: {healthy:?}", row.what);
            assert!(
                cost.gets <= healthy.gets + 2
                    && cost.sent <= healthy.sent + MIB
                    && cost.held == healthy.held,
                "{what}"
            );
        }))
        .await;
    }))
    .await;
}
