//! Prefetching of reads at a constant distance.

use fake_daac::Content;

use crate::environment::{TestEnvironment, in_time};

/// Reads at a constant distance, as of a slice through a large array, are each fetched once, and
/// from the fifth on before they are requested.
#[tokio::test]
async fn strided_reads_are_fetched_before_they_are_requested() {
    const DISTANCE: u64 = 20 << 20;
    let environment = TestEnvironment::new();
    environment.put("f", Content::synthetic(4 << 30));
    let filesystem = environment.filesystem();
    let handle =
        filesystem.open(in_time(filesystem.number("f")).await.unwrap()).await.unwrap().handle;
    for number in 1..=40 {
        assert_eq!(
            in_time(filesystem.read(handle, number * DISTANCE, 100_000))
                .await
                .unwrap()
                .concat()
                .len(),
            100_000
        );
        if number == 5 {
            environment.wait_for_stats(|stats| stats.gets > 8).await;
        }
    }
    let stats = environment.fake_daac.stats();
    // Each read needs two blocks.
    assert!(stats.gets <= 40 + 16 && stats.sent < 57 * 2 * (64 << 10), "{stats:?}");
}
