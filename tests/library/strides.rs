//! Issue 4: "Read-ahead recognises several forward cursors (also strided)".

use fake_daac::Content;

use crate::environment::{TestEnvironment, soon};

/// Reads at one distance are each fetched once, and from the fourth on before they come.
#[tokio::test]
async fn a_slice_through_a_large_array_is_fetched_before_it_is_read() {
    const DISTANCE: u64 = 20 << 20;
    let environment = TestEnvironment::new();
    environment.put("f", Content::synthetic(4 << 30));
    let tree = environment.tree();
    let handle = tree.open(soon(tree.number("f")).await.unwrap()).unwrap();
    for number in 1..=40 {
        assert_eq!(
            soon(tree.read(handle, number * DISTANCE, 100_000)).await.unwrap().concat().len(),
            100_000
        );
        if number == 4 {
            environment.counts(|stats| stats.gets > 8).await;
        }
    }
    let stats = environment.archive.stats();
    // Two blocks each; the bytes sent count the login and the listing, too.
    assert!(stats.gets <= 40 + 16 && stats.sent < 57 * 2 * (64 << 10), "{stats:?}");
}
