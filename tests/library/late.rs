//! Issue 4: "a stalled one is abandoned for a second one (hedged, within a few percent of extra
//! requests)."

use fake_daac::{Content, Failure, Fault, Kind};

use crate::environment::{TestEnvironment, soon};

const SIZE: u64 = 300 << 20;

/// Whatever hangs, before its headers or in its body, the reader gets its bytes by another request,
/// which is counted.
#[tokio::test]
async fn a_get_that_hangs_is_overtaken_by_a_second_one() {
    let environment = TestEnvironment::new();
    environment.put("f", Content::synthetic(SIZE));
    let tree = environment.tree();
    let right = environment.bytes("f");
    let handle = tree.open(soon(tree.number("f")).await.unwrap()).unwrap();
    // No two at the same distance, which would be fetched before they are asked for.
    let place = |number: u64| (number * number) << 20;
    for number in 0..10 {
        soon(tree.read(handle, place(number), 1000)).await.unwrap();
    }
    // An hour, which nobody waits for.
    let hangs =
        [Failure::Stall, Failure::StallBody(0), Failure::StallBody(500), Failure::Late(3_600_000)];
    for (number, hang) in (10..).zip(hangs) {
        environment.archive.reset_stats();
        environment.archive.fault(Fault::new(hang).on(Kind::Get).next(1));
        let bytes = soon(tree.read(handle, place(number), 1000)).await.unwrap().concat();
        assert!(bytes == right[place(number) as usize..][..1000], "{hang:?}");
        assert_eq!(environment.archive.stats().gets, 2, "{hang:?}");
    }
}
