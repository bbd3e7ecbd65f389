//! Users who may list or read only a part of a bucket (docs/semantics.md, "Permissions that allow
//! only part" and "Errors").

use fake_daac::{Listing, RequestKind};
use granulefs::error::{Error, Refusal};

use crate::environment::{TestEnvironment, in_time};

fn is_forbidden<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Refused(Refusal::Forbidden { .. })))
}

/// When listing is denied and reading is allowed, a full path opens (HEAD), and the directories on
/// it are assumed.
#[tokio::test]
async fn without_listing_a_full_path_opens() {
    let environment = TestEnvironment::with_objects(&["a/b/c/f", "a/g"]);
    environment.fake_daac.set(|knobs| knobs.listing = Listing::Denied);
    let filesystem = environment.filesystem();
    assert_eq!(in_time(filesystem.bytes("a/b/c/f")).await.unwrap(), b"a/b/c/f");
    assert_eq!(in_time(filesystem.bytes("a/g")).await.unwrap(), b"a/g");
    for (path, is_directory) in [("a", true), ("a/b", true), ("a/b/c", true), ("a/b/c/f", false)] {
        assert_eq!(
            in_time(filesystem.find(path)).await.unwrap().unwrap().1.is_directory,
            is_directory,
            "{path}"
        );
    }
    assert_eq!(environment.fake_daac.stats().issued, 1);
}

/// When listing is denied, a directory shows the names that were looked up in it, and is EACCES
/// when there are none.
#[tokio::test]
async fn without_listing_a_directory_shows_looked_up_names_or_is_eacces() {
    let environment = TestEnvironment::with_objects(&["a/b/c/f", "a/g"]);
    environment.fake_daac.set(|knobs| knobs.listing = Listing::Denied);
    let filesystem = environment.filesystem();
    let nothing = in_time(filesystem.names("")).await;
    assert!(is_forbidden(&nothing), "{nothing:?}");
    assert_eq!(environment.error_of(nothing).errno(), 13);
    in_time(filesystem.bytes("a/b/c/f")).await.unwrap();
    in_time(filesystem.bytes("a/g")).await.unwrap();
    assert_eq!(in_time(filesystem.names("")).await.unwrap(), ["a/"]);
    assert_eq!(in_time(filesystem.names("a")).await.unwrap(), ["b/", "g"]);
    assert_eq!(in_time(filesystem.names("a/b/c")).await.unwrap(), ["f"]);
}

/// When only some prefixes may be listed, their ancestors can be traversed.
#[tokio::test]
async fn ancestors_of_an_allowed_prefix_are_traversable() {
    let environment = TestEnvironment::with_objects(&["a/b/x/f", "a/b/y", "a/other/z", "q"]);
    environment.fake_daac.set(|knobs| knobs.listing = Listing::Under(vec!["a/b/".into()]));
    let filesystem = environment.filesystem();
    assert!(is_forbidden(&in_time(filesystem.names("")).await));
    assert_eq!(in_time(filesystem.names("a/b")).await.unwrap(), ["x/", "y"]);
    assert_eq!(in_time(filesystem.bytes("a/b/x/f")).await.unwrap(), b"a/b/x/f");
    assert_eq!(in_time(filesystem.names("a")).await.unwrap(), ["b/"]);
    // A complete listing proves an absence, whatever HEAD answers.
    assert_eq!(in_time(filesystem.find("a/b/none")).await.unwrap(), None);
    // A full path outside of the allowed prefix opens as well.
    assert_eq!(in_time(filesystem.bytes("a/other/z")).await.unwrap(), b"a/other/z");
    assert_eq!(in_time(filesystem.names("a")).await.unwrap(), ["b/", "other/"]);
}

/// Below an allowed prefix HEAD answers 403 both for an absent key and for one that may not be
/// read; the listing tells them apart, and the absent key is ENOENT.
#[tokio::test]
async fn under_an_allowed_prefix_absent_and_unreadable_keys_are_distinguished() {
    let environment = TestEnvironment::with_objects(&["a/f", "a/secret", "b/f"]);
    environment.fake_daac.set(|knobs| {
        knobs.listing = Listing::Under(vec!["a/".into()]);
        knobs.unreadable = vec!["a/secret".into()];
    });
    let filesystem = environment.filesystem();
    in_time(filesystem.find("a")).await.unwrap();
    environment.fake_daac.reset_stats();
    // Those that follow an absence are listed with what is behind them.
    for (none, requests) in [("a/none", 3), ("a/secre", 4), ("a/f.aux.xml", 5)] {
        assert_eq!(in_time(filesystem.find(none)).await.unwrap(), None, "{none}");
        assert_eq!(environment.fake_daac.stats().s3_requests(), requests);
    }
    let (_, attributes) = in_time(filesystem.find("a/secret")).await.unwrap().unwrap();
    assert!(!attributes.is_directory);
    assert!(is_forbidden(&in_time(filesystem.bytes("a/secret")).await));
    assert!(in_time(filesystem.find("a/f")).await.unwrap().is_some());
}

/// A policy may allow `prefix=X/` and deny `prefix=X`, so a lookup of an existing name lists only
/// with the last slash.
#[tokio::test]
async fn a_lookup_never_lists_without_the_last_slash() {
    let environment = TestEnvironment::with_objects(&["a/b/x"]);
    environment.fake_daac.set(|knobs| knobs.listing = Listing::Under(vec!["a/".into()]));
    let filesystem = environment.filesystem_at("a", std::time::Duration::from_secs(60));
    assert_eq!(in_time(filesystem.bytes("b/x")).await.unwrap(), b"a/b/x");
    let lists: Vec<_> = environment
        .fake_daac
        .log()
        .into_iter()
        .filter(|request| request.kind == RequestKind::List)
        .collect();
    assert!(
        lists.iter().all(|list| list.key.ends_with('/') && list.status == 200) && lists.len() == 2,
        "{lists:?}"
    );
}

/// An object that may be listed and not read is EACCES when it is read.
#[tokio::test]
async fn an_object_that_may_be_listed_and_not_read_is_eacces_on_read() {
    let environment = TestEnvironment::with_objects(&["open/f", "closed/f"]);
    environment.fake_daac.set(|knobs| knobs.unreadable = vec!["closed/".into()]);
    let filesystem = environment.filesystem();
    assert_eq!(in_time(filesystem.names("closed")).await.unwrap(), ["f"]);
    assert!(is_forbidden(&in_time(filesystem.bytes("closed/f")).await));
    assert_eq!(in_time(filesystem.bytes("open/f")).await.unwrap(), b"open/f");
}

/// A refusal outside the region differs from other denials and names the region.
#[tokio::test]
async fn a_refusal_outside_the_region_names_the_region() {
    let environment = TestEnvironment::with_objects(&["f"]);
    environment.fake_daac.set(|knobs| knobs.out_of_region = true);
    let error = environment.error_of(in_time(environment.filesystem().names("")).await);
    assert!(matches!(error, Error::Refused(Refusal::OutOfRegion { .. })), "{error:?}");
    assert!(error.to_string().contains("us-west-2"));
}
