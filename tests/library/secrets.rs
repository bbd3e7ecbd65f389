//! Secrets: issue 2, item 7: `Debug` hides them, and no error's text holds one.
//! `TestEnvironment::error_of` looks through every error of the other tests as well.

use std::fmt::Debug;

use fake_daac::{EndpointAnswer, Failure, Fault, Listing, LoginAnswer, RequestKind};
use granulefs::credentials::Provider;
use granulefs::error::Error;
use granulefs::inodes::ROOT;

use crate::environment::{TestEnvironment, TestIdentity, in_time};

/// After a login and some requests, when everything that can hold a secret does.
#[tokio::test]
async fn debug_shows_no_secret_of_anything_that_holds_one() {
    let environment = TestEnvironment::holding(&["d/f"]);
    let identity = environment.identity(TestIdentity::Both);
    let login = environment.login(TestIdentity::Password);
    let grant = in_time(login.grant()).await.unwrap();
    let source = Provider::Earthdata(Box::new(environment.login(TestIdentity::Both)));
    let store = environment.store();
    let session = in_time(store.current()).await.unwrap();
    let bucket = environment.bucket_of(store.clone());
    let filesystem = environment.filesystem_of(bucket.clone(), "", std::time::Duration::ZERO);
    in_time(filesystem.bytes("d/f")).await.unwrap();
    let object = in_time(bucket.head("d/f")).await.unwrap();
    let mut download = bucket.download(&object.id, 0..3);
    in_time(download.next()).await.unwrap();
    let things: [(&str, &dyn Debug); 9] = [
        ("identity", &identity),
        ("login", &login),
        ("grant", &grant),
        ("source", &source),
        ("store", &store),
        ("session", &session),
        ("bucket", &bucket),
        ("volume", &filesystem),
        ("download", &download),
    ];
    for (what, thing) in things {
        for text in [format!("{thing:?}"), format!("{thing:#?}")] {
            assert!(text.len() > 20, "{what} shows nothing: {text}");
            environment.assert_hides_secrets(&text);
        }
    }
    assert!(environment.fake_daac.secrets().len() >= 2 + 2 * 2, "nothing to look for");
}

/// The search above is able to find one.
#[test]
#[should_panic(expected = "a secret")]
fn a_secret_that_is_shown_is_found() {
    let environment = TestEnvironment::new();
    environment.assert_hides_secrets(&format!("it is {}", environment.fake_daac.password()));
}

/// Every way in which S3 and Earthdata fail, as an error and as what a deadline says.
#[tokio::test]
async fn no_error_of_a_mount_holds_a_secret() {
    type ChangeKnobs = fn(&TestEnvironment);
    let changes: [ChangeKnobs; 9] = [
        |environment| environment.fake_daac.set(|knobs| knobs.listing = Listing::Denied),
        |environment| environment.fake_daac.set(|knobs| knobs.out_of_region = true),
        |environment| environment.fake_daac.set(|knobs| knobs.s3_down = true),
        |environment| environment.fake_daac.set(|knobs| knobs.daac_down = true),
        |environment| environment.fake_daac.set(|knobs| knobs.login = LoginAnswer::Eula),
        |environment| environment.fake_daac.set(|knobs| knobs.login = LoginAnswer::WrongPassword),
        |environment| environment.fake_daac.set(|knobs| knobs.endpoint = EndpointAnswer::Malformed),
        |environment| environment.fake_daac.add_fault(Fault::new(Failure::SlowDown)),
        |environment| {
            environment
                .fake_daac
                .add_fault(Fault::new(Failure::Truncate(100)).on(RequestKind::Credentials))
        },
    ];
    let one = |change: ChangeKnobs| async move {
        let environment = TestEnvironment::holding(&["d/f"]);
        change(&environment);
        let filesystem = environment.filesystem();
        let outcome =
            tokio::time::timeout(std::time::Duration::from_secs(2), filesystem.names("")).await;
        environment.error_of(outcome.unwrap_or_else(|_| Err(filesystem.timeout_cause(ROOT))));
        environment.error_of(Err::<(), Error>(filesystem.timeout_cause(ROOT)));
        environment.assert_hides_secrets(
            &filesystem.xattr(ROOT, "user.granulefs.statistics".as_ref()).unwrap(),
        );
    };
    futures_util::future::join_all(changes.map(one)).await;
}
