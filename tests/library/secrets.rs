//! Secrets: neither `Debug` output nor an error contains one. `TestEnvironment::error_of` checks
//! the errors of the other tests as well.

use std::fmt::Debug;

use fake_daac::{EndpointAnswer, Failure, Fault, Listing, LoginAnswer, RequestKind};
use granulefs::credentials::Provider;
use granulefs::error::Error;
use granulefs::inodes::ROOT;

use crate::environment::{TestEnvironment, TestIdentity, in_time};

/// No type that holds a secret shows it in its `Debug` output, after a login and some requests.
#[tokio::test]
async fn debug_output_shows_no_secret() {
    let environment = TestEnvironment::with_objects(&["d/f"]);
    let identity = environment.identity(TestIdentity::Both);
    let login = environment.login(TestIdentity::Password);
    let temporary = in_time(login.temporary_credentials()).await.unwrap();
    let provider = Provider::Earthdata(Box::new(environment.login(TestIdentity::Both)));
    let cache = environment.credentials_cache();
    let credentials = in_time(cache.current()).await.unwrap();
    let bucket = environment.bucket_with_cache(cache.clone());
    let filesystem = environment.filesystem_over(bucket.clone(), "", std::time::Duration::ZERO);
    in_time(filesystem.bytes("d/f")).await.unwrap();
    let object = in_time(bucket.head("d/f")).await.unwrap();
    let mut download = bucket.download(&object.id, object.size, 0..3);
    in_time(download.next()).await.unwrap();
    let values: [(&str, &dyn Debug); 9] = [
        ("identity", &identity),
        ("login", &login),
        ("temporary", &temporary),
        ("provider", &provider),
        ("cache", &cache),
        ("credentials", &credentials),
        ("bucket", &bucket),
        ("filesystem", &filesystem),
        ("download", &download),
    ];
    for (what, value) in values {
        for text in [format!("{value:?}"), format!("{value:#?}")] {
            assert!(text.len() > 20, "{what} shows nothing: {text}");
            environment.assert_hides_secrets(&text);
        }
    }
    assert!(environment.fake_daac.secrets().len() >= 3 + 2 * 2, "too few secrets to check");
}

/// The check of these tests finds a secret.
#[test]
#[should_panic(expected = "a secret")]
fn a_shown_secret_is_found() {
    let environment = TestEnvironment::new();
    environment.assert_hides_secrets(&format!("it is {}", environment.fake_daac.password()));
}

/// No failure of S3 or Earthdata shows a secret, neither in the error nor in the cause of a
/// timeout.
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
        let environment = TestEnvironment::with_objects(&["d/f"]);
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
