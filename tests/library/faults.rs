//! Faults on the way to S3: semantics.md, "Errors": a transient fault is never an error within the
//! deadline, and never ENOENT.

use std::time::Duration;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use fake_daac::{Content, Failure, Fault, Kind};
use futures_util::future::join_all;
use granulefs::credentials::{CredentialsCache, Provider};
use granulefs::error::Error;
use granulefs::object::Prefix;
use granulefs::s3::Position;
use granulefs::s3::{Bucket, BucketLocation};

use crate::environment::{TestEnvironment, soon};
use crate::tree::Tree;

const SIZE: u64 = 500_001;

/// A directory of 30 files in pages of 7 names, and a file of eight blocks.
fn environment() -> TestEnvironment {
    let environment = TestEnvironment::with(|knobs| knobs.page_size = 7);
    for number in 0..30 {
        environment.put(&format!("d/{number:02}"), "small");
    }
    environment.put("d/big", Content::synthetic(SIZE));
    environment
}

fn all_names() -> Vec<String> {
    (0..30).map(|number| format!("{number:02}")).chain(["big".to_owned()]).collect()
}

/// Does what sends requests of `kind`, and checks all that comes of it.
async fn operate(environment: &TestEnvironment, tree: &Tree, kind: Kind) -> Result<(), Error> {
    match kind {
        Kind::List => assert_eq!(tree.names("d").await?, all_names()),
        Kind::Head => {
            let attributes = tree
                .find("d/big")
                .await?
                .map(|(_, attributes)| (attributes.is_directory, attributes.size));
            assert_eq!(attributes, Some((false, SIZE)));
            assert_eq!(tree.find("d/none").await?, None);
        }
        _ => assert!(tree.bytes("d/big").await? == environment.bytes("d/big"), "wrong bytes"),
    }
    Ok(())
}

/// Every fault that passes, on every kind of request, twice in a row: the operation takes longer
/// and is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_that_passes_is_never_seen() {
    const ALL: [Kind; 3] = [Kind::List, Kind::Head, Kind::Get];
    const WITH_BODY: [Kind; 2] = [Kind::List, Kind::Get];
    let rows: [(Failure, &[Kind], u64); 10] = [
        (Failure::SlowDown, &ALL, 5),
        (Failure::InternalError, &ALL, 3),
        (Failure::Reset, &ALL, 3),
        (Failure::Truncate(0), &WITH_BODY, 2),
        (Failure::Truncate(500), &WITH_BODY, 2),
        (Failure::ResetBody(300), &WITH_BODY, 2),
        (Failure::Truncate(300_000), &[Kind::Get], 1),
        (Failure::ResetBody(270_000), &[Kind::Get], 1),
        (Failure::StallBody(400), &WITH_BODY, 1),
        (Failure::Stall, &ALL, 1),
    ];
    let check = |failure: Failure, kind: Kind, times: u64| async move {
        let environment = environment();
        let tree = environment.tree();
        // The way there, so that the fault meets the operation itself.
        let parent = if kind == Kind::Get { "d/big" } else { "d" };
        soon(tree.find(parent)).await.unwrap();
        environment.archive.fault(Fault::new(failure).on(kind).next(times));
        let outcome = soon(operate(&environment, &tree, kind)).await;
        outcome.unwrap_or_else(|error| panic!("{failure:?} on {kind:?}: {error}"));
        assert_eq!(environment.archive.stats().faults, times, "{failure:?} on {kind:?}");
    };
    join_all(rows.iter().flat_map(|(failure, kinds, times)| {
        kinds.iter().map(|kind| check(*failure, *kind, *times))
    }))
    .await;
}

/// "Done when" of issue 3 asks for it too: faults at random all over, and everything is right in
/// the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_day_at_s3_changes_nothing_but_the_time() {
    let environment = environment();
    let failures = [
        Failure::SlowDown,
        Failure::InternalError,
        Failure::Reset,
        Failure::ResetBody(200),
        Failure::Truncate(100),
    ];
    for failure in failures {
        for kind in [Kind::List, Kind::Head, Kind::Get] {
            environment.archive.fault(Fault::new(failure).on(kind).probability(0.1));
        }
    }
    for kind in [Kind::List, Kind::Head, Kind::Get] {
        for _ in 0..5 {
            soon(operate(&environment, &environment.tree(), kind)).await.unwrap();
        }
    }
    assert!(environment.archive.stats().faults > 10);
}

/// Principle 9: a page that is cut without saying where it goes on is no listing.
#[tokio::test]
async fn a_truncated_page_without_a_token_is_never_a_whole_listing() {
    let environment = environment();
    let tree = environment.tree();
    soon(tree.find("d")).await.unwrap();
    environment.archive.set(|knobs| knobs.tokenless_pages = true);
    let names = tree.names("d");
    assert!(
        tokio::time::timeout(Duration::from_secs(1), names).await.is_err(),
        "a part was taken for the whole"
    );
    environment.archive.set(|knobs| knobs.tokenless_pages = false);
    assert_eq!(soon(tree.names("d")).await.unwrap(), all_names());
}

/// Principle 9, when the cut is in the document and the connection knows nothing of it.
#[tokio::test]
async fn a_page_that_ends_in_the_middle_is_never_a_whole_listing() {
    let head = "<ListBucketResult><KeyCount>2</KeyCount><IsTruncated>false</IsTruncated>";
    let one = "<Contents><Key>d/a</Key><ETag>&quot;e&quot;</ETag><Size>1</Size></Contents>";
    for page in [
        String::new(),
        "<ListBucketResult>".into(),
        head.into(),
        format!("{head}{one}"),
        format!("{head}{one}<Contents>"),
    ] {
        let url = canned(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{page}",
            page.len()
        ));
        let provider =
            SharedCredentialsProvider::new(Credentials::new("A", "s", None, None, "test"));
        let place = BucketLocation {
            bucket: "granules".into(),
            region: "us-west-2".into(),
            endpoint_url: Some(url),
            path_style: true,
        };
        let bucket =
            Bucket::new(place, CredentialsCache::new(Provider::Environment(provider))).unwrap();
        let prefix = Prefix::new("d");
        let listed = tokio::time::timeout(
            Duration::from_millis(300),
            bucket.page(&prefix, &Position::Start),
        )
        .await;
        assert!(listed.is_err(), "{page}: {listed:?}");
    }
}

/// Short pages and empty ones that say that more is to come.
#[tokio::test]
async fn short_and_empty_pages_are_followed_to_the_end() {
    let environment = environment();
    environment.archive.set(|knobs| knobs.short_pages = true);
    for _ in 0..10 {
        let tree = environment.tree();
        assert_eq!(soon(tree.names("d")).await.unwrap(), all_names());
    }
}

/// Principle 9: absence is only ever concluded from an answer that says so, never from an empty
/// page that is not the last.
#[tokio::test]
async fn an_empty_page_is_not_the_absence_of_a_directory() {
    for tokenless in [false, true] {
        let environment = TestEnvironment::holding(&["d/x/f"]);
        environment.archive.set(|knobs| {
            knobs.page_size = 0;
            knobs.tokenless_pages = tokenless;
        });
        let tree = environment.tree();
        let found = soon(tree.find("d"));
        let more = async {
            environment.counts(|stats| stats.lists > 2).await;
            environment.archive.set(|knobs| knobs.page_size = 1000);
        };
        let (found, ()) = futures_util::future::join(found, more).await;
        assert!(
            found.unwrap().is_some_and(|(_, attributes)| attributes.is_directory),
            "tokenless: {tokenless}"
        );
    }
}

/// Principle 4: everyone who waits for a flight shares its failure, and it is not kept.
#[tokio::test]
async fn a_failed_flight_is_shared_and_not_kept() {
    let environment = environment();
    let tree = environment.tree();
    let handle = tree.open(soon(tree.number("d/big")).await.unwrap()).unwrap();
    environment.archive.set(|knobs| knobs.first_byte_latency = Duration::from_millis(200));
    environment.archive.fault(Fault::new(Failure::Denied).on(Kind::Get).next(1));
    environment.archive.reset_stats();
    let outcomes = soon(join_all((0..16).map(|_| tree.read(handle, 0, 1000)))).await;
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, Err(Error::Refused(_)))),
        "{outcomes:?}"
    );
    assert_eq!(environment.archive.stats().gets, 1);
    assert_eq!(
        soon(tree.read(handle, 0, 1000)).await.unwrap().concat(),
        environment.bytes("d/big")[..1000]
    );
}

/// "Absence is only ever concluded from an answer that says so", nor a directory from one denial:
/// the listing tells.
#[tokio::test]
async fn a_denied_head_is_made_good_by_the_listing() {
    let environment = environment();
    let tree = environment.tree();
    environment.archive.fault(Fault::new(Failure::Denied).on(Kind::Head).next(1));
    let (_, attributes) = soon(tree.find("d/05")).await.unwrap().unwrap();
    assert_eq!(
        (attributes.is_directory, attributes.size),
        (false, environment.bytes("d/05").len() as u64)
    );
}

fn canned(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            BufReader::new(&stream)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .for_each(drop);
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    url
}
