//! Hedging: a GET whose answer is late is sent a second time.

use fake_daac::{Content, Failure, Fault, RequestKind};

use crate::environment::{TestEnvironment, in_time};

const SIZE: u64 = 300 << 20;

/// When a GET hangs, before its headers or in its body, the reader gets the bytes by a second GET.
#[tokio::test]
async fn a_get_that_hangs_is_hedged() {
    let environment = TestEnvironment::new();
    environment.put("f", Content::synthetic(SIZE));
    let filesystem = environment.filesystem();
    let expected = environment.bytes("f");
    let handle =
        filesystem.open(in_time(filesystem.number("f")).await.unwrap()).await.unwrap().handle;
    // The distances differ, since reads at a constant distance would be prefetched.
    let location = |number: u64| (number * number) << 20;
    for number in 0..10 {
        in_time(filesystem.read(handle, location(number), 1000)).await.unwrap();
    }
    // The delay of the last one is an hour.
    let hangs =
        [Failure::Stall, Failure::StallBody(0), Failure::StallBody(500), Failure::Delay(3_600_000)];
    for (number, hang) in (10..).zip(hangs) {
        environment.fake_daac.reset_stats();
        environment.fake_daac.add_fault(Fault::new(hang).on(RequestKind::Get).times(1));
        let bytes =
            in_time(filesystem.read(handle, location(number), 1000)).await.unwrap().concat();
        assert!(bytes == expected[location(number) as usize..][..1000], "{hang:?}");
        assert_eq!(environment.fake_daac.stats().gets, 2, "{hang:?}");
    }
}
