//! Walks through trees of any shape cost about a LIST per thousand keys.

use std::time::Duration;

use fake_daac::SyntheticObjects;
use futures_util::future::join;

use crate::environment::{BUCKET, TestEnvironment, in_time};
use crate::path_filesystem::PathFilesystem;

fn environment_with(patterns: &[&str]) -> TestEnvironment {
    let environment = TestEnvironment::new();
    for pattern in patterns {
        let objects = SyntheticObjects { pattern: (*pattern).into(), size: 10 };
        environment.fake_daac.put_synthetic(BUCKET, &objects).unwrap();
    }
    environment
}

/// Lists the directories below `path` as find(1) does, each one before those in it, until `most`
/// names were seen. Returns how many were.
async fn walk(filesystem: &PathFilesystem, path: &str, most: usize) -> usize {
    let mut count = 0;
    let mut stack = vec![path.to_owned()];
    while let Some(path) = stack.pop().filter(|_| count < most) {
        let listed = in_time(filesystem.list(&path)).await.unwrap();
        count += listed.len();
        let directories = listed.iter().rev().filter(|listed| listed.entry.is_directory());
        stack.extend(directories.map(|listed| format!("{path}/{}", listed.name)));
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_costs_about_a_list_per_thousand_keys_whatever_the_shape() {
    // The patterns of the keys, the names that a walk sees, and the LISTs that it may cost.
    for (patterns, names, most) in [
        (&["t/{40:02}/{25:02}/{15:02}/f.nc"][..], 40 + 1000 + 15_000 * 2, 15 + 40 + 12),
        (&["t/{20:03}/{1000:04}.nc"], 20 + 20_000, 20 + 8),
        (&["t/a{5}/{2500:04}.nc", "t/b{300:03}/{10}.nc", "t/c{2}/{4000:04}.nc"], 23_807, 24 + 22),
        (&["t/{3000:06}/{5}.nc"], 18_000, 3 + 15 + 8),
    ] {
        let environment = environment_with(patterns);
        let filesystem = environment.filesystem();
        assert_eq!(walk(&filesystem, "t", usize::MAX).await, names, "{patterns:?}");
        let lists = environment.fake_daac.stats().lists;
        assert!(lists <= most, "{patterns:?}: {lists} lists");
        environment.fake_daac.reset_stats();
        assert_eq!(walk(&filesystem, "t", usize::MAX).await, names, "{patterns:?}");
        let lists = environment.fake_daac.stats().lists;
        assert!(lists <= 9, "{patterns:?}: {lists} lists the second time");
    }
}

/// A walk in less memory than the tree takes sees all names, and costs no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_in_little_memory_costs_no_more() {
    let environment = environment_with(&["t/{40:02}/{25:02}/{15:02}/f.nc"]);
    let filesystem = environment.filesystem_with_metadata(512 << 10, Duration::from_secs(3600));
    assert_eq!(walk(&filesystem, "t", usize::MAX).await, 31_040);
    let lists = environment.fake_daac.stats().lists;
    assert!(lists <= 15 + 40 + 20, "{lists}");
    assert!(filesystem.name_bytes() < 768 << 10);
}

/// A walk that leaves costs a page or two more than it has seen, and two walks at once share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_that_leaves_fetches_no_more_and_two_at_once_share() {
    let environment = environment_with(&["t/{20000:06}/{10}.nc"]);
    let filesystem = environment.filesystem();
    let (one, other) = join(walk(&filesystem, "t", 25_000), walk(&filesystem, "t", 25_000)).await;
    assert!(one >= 25_000 && other >= 25_000);
    tokio::time::sleep(Duration::from_millis(300)).await;
    // The directory itself has 20 pages, and 5,000 names lie below its first 500 directories.
    let lists = environment.fake_daac.stats().lists;
    assert!(lists <= 1 + 22 + 5 + 8, "{lists}");
}
