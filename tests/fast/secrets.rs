//! Secrets: issue 2, item 7: `Debug` hides them, and no error's text holds one. `House::error_of` looks through every error of the other
//! tests as well.

use std::fmt::Debug;

use archive::{EndpointAnswer, Failure, Fault, Kind, Listing, LoginAnswer};
use granulefs::credentials::Source;
use granulefs::error::Error;
use granulefs::inodes::ROOT;

use crate::house::{House, Shows, soon};

/// After a login and some requests, when everything that can hold a secret does.
#[tokio::test]
async fn debug_shows_no_secret_of_anything_that_holds_one() {
    let house = House::holding(&["d/f"]);
    let identity = house.identity(Shows::Both);
    let login = house.login(Shows::Password);
    let grant = soon(login.grant()).await.unwrap();
    let source = Source::Earthdata(Box::new(house.login(Shows::Both)));
    let store = house.store();
    let session = soon(store.session()).await.unwrap();
    let bucket = house.bucket_of(store.clone());
    let tree = house.tree_of(bucket.clone(), "", std::time::Duration::ZERO);
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
            house.assert_hides_secrets(&text);
        }
    }
    assert!(house.archive.secrets().len() >= 2 + 2 * 2, "nothing to look for");
}

/// The search above is able to find one.
#[test]
#[should_panic(expected = "a secret")]
fn a_secret_that_is_shown_is_found() {
    let house = House::new();
    house.assert_hides_secrets(&format!("it is {}", house.archive.password()));
}

/// Every way in which S3 and Earthdata fail, as an error and as what a deadline says.
#[tokio::test]
async fn no_error_of_a_mount_holds_a_secret() {
    type Turn = fn(&House);
    let turns: [Turn; 9] = [
        |house| house.archive.set(|knobs| knobs.listing = Listing::Denied),
        |house| house.archive.set(|knobs| knobs.out_of_region = true),
        |house| house.archive.set(|knobs| knobs.s3_down = true),
        |house| house.archive.set(|knobs| knobs.daac_down = true),
        |house| house.archive.set(|knobs| knobs.login = LoginAnswer::Eula),
        |house| house.archive.set(|knobs| knobs.login = LoginAnswer::WrongPassword),
        |house| house.archive.set(|knobs| knobs.endpoint = EndpointAnswer::Nonsense),
        |house| house.archive.fault(Fault::new(Failure::SlowDown)),
        |house| house.archive.fault(Fault::new(Failure::Truncate(100)).on(Kind::Credentials)),
    ];
    let one = |turn: Turn| async move {
        let house = House::holding(&["d/f"]);
        turn(&house);
        let tree = house.tree();
        let outcome = tokio::time::timeout(std::time::Duration::from_secs(2), tree.names("")).await;
        house.error_of(outcome.unwrap_or_else(|_| Err(tree.trouble(ROOT))));
        house.error_of(Err::<(), Error>(tree.trouble(ROOT)));
        house.assert_hides_secrets(&tree.xattr(ROOT, "user.granulefs.statistics".as_ref()).unwrap());
    };
    futures_util::future::join_all(turns.map(one)).await;
}
