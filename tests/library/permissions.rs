//! Permissions: semantics.md, "Permissions that allow only part", and the denials of "Errors".

use fake_daac::{Kind, Listing};
use granulefs::error::{Error, Refusal};

use crate::environment::{TestEnvironment, soon};

fn is_forbidden<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Refused(Refusal::Forbidden { .. })))
}

/// "Listing denied, reading allowed: a path given in full still opens (HEAD), directories along it
/// are assumed."
#[tokio::test]
async fn without_listing_a_path_given_in_full_opens() {
    let environment = TestEnvironment::holding(&["a/b/c/f", "a/g"]);
    environment.archive.set(|knobs| knobs.listing = Listing::Denied);
    let tree = environment.tree();
    assert_eq!(soon(tree.bytes("a/b/c/f")).await.unwrap(), b"a/b/c/f");
    assert_eq!(soon(tree.bytes("a/g")).await.unwrap(), b"a/g");
    for (path, is_directory) in [("a", true), ("a/b", true), ("a/b/c", true), ("a/b/c/f", false)] {
        assert_eq!(
            soon(tree.find(path)).await.unwrap().unwrap().1.is_directory,
            is_directory,
            "{path}"
        );
    }
    assert_eq!(environment.archive.stats().issued, 1);
}

/// "`ls` on an ancestor shows what is known (the prefixes mounted or named) and otherwise says
/// EACCES."
#[tokio::test]
async fn without_listing_a_directory_shows_what_was_named_and_nothing_is_eacces() {
    let environment = TestEnvironment::holding(&["a/b/c/f", "a/g"]);
    environment.archive.set(|knobs| knobs.listing = Listing::Denied);
    let tree = environment.tree();
    let nothing = soon(tree.names("")).await;
    assert!(is_forbidden(&nothing), "{nothing:?}");
    assert_eq!(environment.error_of(nothing).errno(), 13);
    soon(tree.bytes("a/b/c/f")).await.unwrap();
    soon(tree.bytes("a/g")).await.unwrap();
    assert_eq!(soon(tree.names("")).await.unwrap(), ["a/"]);
    assert_eq!(soon(tree.names("a")).await.unwrap(), ["b/", "g"]);
    assert_eq!(soon(tree.names("a/b/c")).await.unwrap(), ["f"]);
}

/// "Listing allowed only under some prefixes: their ancestors are traversable."
#[tokio::test]
async fn ancestors_of_an_allowed_prefix_can_be_passed() {
    let environment = TestEnvironment::holding(&["a/b/x/f", "a/b/y", "a/other/z", "q"]);
    environment.archive.set(|knobs| knobs.listing = Listing::Under(vec!["a/b/".into()]));
    let tree = environment.tree();
    assert!(is_forbidden(&soon(tree.names("")).await));
    assert_eq!(soon(tree.names("a/b")).await.unwrap(), ["x/", "y"]);
    assert_eq!(soon(tree.bytes("a/b/x/f")).await.unwrap(), b"a/b/x/f");
    assert_eq!(soon(tree.names("a")).await.unwrap(), ["b/"]);
    // A whole listing says what is not there, whatever HEAD says.
    assert_eq!(soon(tree.find("a/b/none")).await.unwrap(), None);
    // And what is outside opens all the same.
    assert_eq!(soon(tree.bytes("a/other/z")).await.unwrap(), b"a/other/z");
    assert_eq!(soon(tree.names("a")).await.unwrap(), ["b/", "other/"]);
}

/// "No such key and no such prefix: ENOENT", where HEAD says 403 for both and the listing tells
/// them apart.
#[tokio::test]
async fn under_an_allowed_prefix_what_does_not_exist_is_told_from_what_may_not_be_read() {
    let environment = TestEnvironment::holding(&["a/f", "a/secret", "b/f"]);
    environment.archive.set(|knobs| {
        knobs.listing = Listing::Under(vec!["a/".into()]);
        knobs.unreadable = vec!["a/secret".into()];
    });
    let tree = environment.tree();
    soon(tree.find("a")).await.unwrap();
    environment.archive.reset_stats();
    for none in ["a/none", "a/secre", "a/f.aux.xml"] {
        assert_eq!(soon(tree.find(none)).await.unwrap(), None, "{none}");
    }
    assert_eq!(environment.archive.stats().s3_requests(), 9);
    let (_, attributes) = soon(tree.find("a/secret")).await.unwrap().unwrap();
    assert!(!attributes.is_directory);
    assert!(is_forbidden(&soon(tree.bytes("a/secret")).await));
    assert!(soon(tree.find("a/f")).await.unwrap().is_some());
}

/// facts, 3: "`prefix=X/` works, `prefix=X` is 403": a lookup of what is there asks with the slash,
/// and with nothing else.
#[tokio::test]
async fn a_lookup_never_lists_without_the_last_slash() {
    let environment = TestEnvironment::holding(&["a/b/x"]);
    environment.archive.set(|knobs| knobs.listing = Listing::Under(vec!["a/".into()]));
    let tree = environment.tree_at("a", std::time::Duration::from_secs(60));
    assert_eq!(soon(tree.bytes("b/x")).await.unwrap(), b"a/b/x");
    let lists: Vec<_> = environment
        .archive
        .log()
        .into_iter()
        .filter(|request| request.kind == Kind::List)
        .collect();
    assert!(
        lists.iter().all(|list| list.key.ends_with('/') && list.status == 200) && lists.len() == 2,
        "{lists:?}"
    );
}

/// "403 that renewing the credentials did not cure: EACCES": objects that may be seen and not read.
#[tokio::test]
async fn what_may_be_listed_and_not_read_is_eacces_on_read() {
    let environment = TestEnvironment::holding(&["open/f", "closed/f"]);
    environment.archive.set(|knobs| knobs.unreadable = vec!["closed/".into()]);
    let tree = environment.tree();
    assert_eq!(soon(tree.names("closed")).await.unwrap(), ["f"]);
    assert!(is_forbidden(&soon(tree.bytes("closed/f")).await));
    assert_eq!(soon(tree.bytes("open/f")).await.unwrap(), b"open/f");
}

/// facts, 3: out of region is told from other denials, in words that help.
#[tokio::test]
async fn out_of_region_says_where_the_credentials_work() {
    let environment = TestEnvironment::holding(&["f"]);
    environment.archive.set(|knobs| knobs.out_of_region = true);
    let error = environment.error_of(soon(environment.tree().names("")).await);
    assert!(matches!(error, Error::Refused(Refusal::OutOfRegion { .. })), "{error:?}");
    assert!(error.to_string().contains("us-west-2"));
}
