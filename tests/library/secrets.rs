//! Secrets: issue 2, item 7: `Debug` hides them, and no error's text holds one.
//! `TestEnvironment::error_of` looks through every error of the other tests as well.

use std::fmt::Debug;

use fake_daac::{EndpointAnswer, Failure, Fault, Kind, Listing, LoginAnswer};
use granulefs::credentials::Provider;
use granulefs::error::Error;
use granulefs::inodes::ROOT;

use crate::environment::{Shows, TestEnvironment, soon};

/// After a login and some requests, when everything that can hold a secret does.
#[tokio::test]
async fn debug_shows_no_secret_of_anything_that_holds_one() {
    let environment = TestEnvironment::holding(&["d/f"]);
    let identity = environment.identity(Shows::Both);
    let login = environment.login(Shows::Password);
    let grant = soon(login.temporary_credentials()).await.unwrap();
    let source = Provider::Earthdata(Box::new(environment.login(Shows::Both)));
    let store = environment.store();
    let session = soon(store.current()).await.unwrap();
    let bucket = environment.bucket_of(store.clone());
    let tree = environment.tree_of(bucket.clone(), "", std::time::Duration::ZERO);
    soon(tree.bytes("d/f")).await.unwrap();
    let object = soon(bucket.head("d/f")).await.unwrap();
    let mut download = bucket.download(&object.id, 0..3);
    soon(download.next()).await.unwrap();
    let things: [(&str, &dyn Debug); 9] = [
        ("identity", &identity),
        ("login", &login),
        ("grant", &grant),
        ("source", &source),
        ("store", &store),
        ("session", &session),
        ("bucket", &bucket),
        ("volume", &tree),
        ("download", &download),
    ];
    for (what, thing) in things {
        for text in [format!("{thing:?}"), format!("{thing:#?}")] {
            assert!(text.len() > 20, "{what} shows nothing: {text}");
            environment.assert_hides_secrets(&text);
        }
    }
    assert!(environment.archive.secrets().len() >= 2 + 2 * 2, "nothing to look for");
}

/// The search above is able to find one.
#[test]
#[should_panic(expected = "a secret")]
fn a_secret_that_is_shown_is_found() {
    let environment = TestEnvironment::new();
    environment.assert_hides_secrets(&format!("it is {}", environment.archive.password()));
}

/// Every way in which S3 and Earthdata fail, as an error and as what a deadline says.
#[tokio::test]
async fn no_error_of_a_mount_holds_a_secret() {
    type Turn = fn(&TestEnvironment);
    let turns: [Turn; 9] = [
        |environment| environment.archive.set(|knobs| knobs.listing = Listing::Denied),
        |environment| environment.archive.set(|knobs| knobs.out_of_region = true),
        |environment| environment.archive.set(|knobs| knobs.s3_down = true),
        |environment| environment.archive.set(|knobs| knobs.daac_down = true),
        |environment| environment.archive.set(|knobs| knobs.login = LoginAnswer::Eula),
        |environment| environment.archive.set(|knobs| knobs.login = LoginAnswer::WrongPassword),
        |environment| environment.archive.set(|knobs| knobs.endpoint = EndpointAnswer::Nonsense),
        |environment| environment.archive.fault(Fault::new(Failure::SlowDown)),
        |environment| {
            environment.archive.fault(Fault::new(Failure::Truncate(100)).on(Kind::Credentials))
        },
    ];
    let one = |turn: Turn| async move {
        let environment = TestEnvironment::holding(&["d/f"]);
        turn(&environment);
        let tree = environment.tree();
        let outcome = tokio::time::timeout(std::time::Duration::from_secs(2), tree.names("")).await;
        environment.error_of(outcome.unwrap_or_else(|_| Err(tree.timeout_cause(ROOT))));
        environment.error_of(Err::<(), Error>(tree.timeout_cause(ROOT)));
        environment
            .assert_hides_secrets(&tree.xattr(ROOT, "user.granulefs.statistics".as_ref()).unwrap());
    };
    futures_util::future::join_all(turns.map(one)).await;
}
