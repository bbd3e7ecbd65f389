//! An identity that changes while it is in use, and refusals that pass or are cured.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fake_daac::{BearerAnswer, LoginAnswer};
use granulefs::credentials::{CredentialsCache, Provider};
use granulefs::error::{Error, Refusal};
use granulefs::login::{IdentitySource, Login, SharedIdentity};
use tempfile::TempDir;

use crate::environment::{FAMILIES, TestEnvironment, TestIdentity, in_time};

/// Returns a login with the token of a file, which holds the fake DAAC's, and the file's folder.
fn login_with_token_file(environment: &TestEnvironment) -> (Login, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = token_file(&folder);
    fs::write(&path, environment.fake_daac.token()).unwrap();
    let host = environment.fake_daac.login_host();
    let identity =
        SharedIdentity::read(IdentitySource::new(&host, Some(Path::new(&path)))).unwrap();
    (Login::new(&environment.endpoint(), &host, Arc::new(identity)).unwrap(), folder)
}

fn token_file(folder: &TempDir) -> String {
    folder.path().join("token").display().to_string()
}

/// Returns and resets the requests to /s3credentials and the passwords that were sent.
fn asked(environment: &TestEnvironment) -> [u64; 2] {
    let stats = environment.fake_daac.stats();
    environment.fake_daac.reset_stats();
    assert_eq!(stats.leaked_secrets, 0);
    [stats.credentials, stats.authenticated + stats.rejected]
}

fn is_token_refused<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Refused(Refusal::TokenRefused { .. })))
}

/// The token file is read for each login: a token that replaces another is shown, and the other
/// is not.
#[tokio::test]
async fn a_token_that_is_replaced_in_its_file_is_shown_at_the_next_login() {
    for family in FAMILIES {
        let environment = TestEnvironment::with_family(family, |_| {});
        let (login, folder) = login_with_token_file(&environment);
        in_time(login.temporary_credentials()).await.unwrap();
        let new = environment.fake_daac.add_user("eve");
        fs::write(token_file(&folder), format!("\"{new}\"\r\n")).unwrap();
        environment.fake_daac.set(|knobs| knobs.token_revoked = true);
        asked(&environment);
        in_time(login.temporary_credentials()).await.unwrap();
        assert_eq!(asked(&environment), [1, 0], "{family:?}");
    }
}

/// A file that is being written, or is gone, leaves the token that was read before in use.
#[tokio::test]
async fn a_token_file_without_a_token_leaves_the_old_one_in_use() {
    let environment = TestEnvironment::new();
    let (login, folder) = login_with_token_file(&environment);
    for content in [Some(""), Some("two words"), None] {
        match content {
            Some(content) => fs::write(token_file(&folder), content).unwrap(),
            None => fs::remove_file(token_file(&folder)).unwrap(),
        }
        in_time(login.temporary_credentials()).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_file_that_holds_no_token_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = token_file(&folder);
    for (content, words) in [
        (None, "cannot read the token file"),
        (Some("\n".to_owned()), "the token file is empty"),
        (Some("hush hush".to_owned()), "holds a space"),
        (Some("x".repeat(100_000)), "longer than any token"),
    ] {
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let error = IdentitySource::new("localhost", Some(Path::new(&path))).read().unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with(&path) && message.contains(words), "{message}");
        assert!(matches!(error, Error::Usage(_)) && !message.contains("hush"), "{message}");
    }
}

/// During the pause after a refusal, operations fail without a request until the token is another
/// one, which is shown at once.
#[tokio::test]
async fn another_token_ends_the_pause_after_a_refusal() {
    for family in FAMILIES {
        let environment = TestEnvironment::with_family(family, |k| k.token_revoked = true);
        let (login, folder) = login_with_token_file(&environment);
        let cache = CredentialsCache::new(Provider::Earthdata(Box::new(login)));
        for _ in 0..3 {
            assert!(is_token_refused(&in_time(cache.current()).await));
        }
        assert_eq!(asked(&environment), [1, 0], "{family:?}");
        fs::write(token_file(&folder), environment.fake_daac.add_user("eve")).unwrap();
        let took = tokio::time::Instant::now();
        while in_time(cache.current()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(took.elapsed() < Duration::from_secs(10), "{:?}", took.elapsed());
        assert_eq!(asked(&environment), [1, 0], "{family:?}");
    }
}

/// A token that was refused once, by a fault that passes, is tried again an hour later, although
/// the password has served meanwhile.
#[tokio::test]
async fn a_refused_token_is_tried_again_at_a_later_renewal() {
    for family in FAMILIES {
        let environment =
            TestEnvironment::with_family(family, |knobs| knobs.bearer = BearerAnswer::Refuse);
        let login = environment.login(TestIdentity::Both);
        in_time(login.temporary_credentials()).await.unwrap();
        assert_eq!(asked(&environment), [3, 1], "{family:?}");
        in_time(login.temporary_credentials()).await.unwrap();
        assert_eq!(asked(&environment), [1, 0], "{family:?}");
        environment.fake_daac.set(|knobs| knobs.bearer = BearerAnswer::Accept);
        // The cookie has expired: without the token, this would need the password.
        environment.fake_daac.set(|knobs| knobs.clock_shift = 25 * 3600);
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(3601)).await;
        tokio::time::resume();
        in_time(login.temporary_credentials()).await.unwrap();
        assert_eq!(asked(&environment), [1, 0], "{family:?}");
    }
}

/// Where the password is refused as well, the token is what is left to try.
#[tokio::test]
async fn a_token_without_a_right_password_is_tried_at_every_login() {
    let environment = TestEnvironment::with_knobs(|knobs| {
        knobs.bearer = BearerAnswer::Refuse;
        knobs.login = LoginAnswer::WrongPassword;
    });
    let login = environment.login(TestIdentity::Both);
    for passwords in [1, 0] {
        let error = environment.error_of(in_time(login.temporary_credentials()).await);
        assert!(matches!(error, Error::Refused(Refusal::WrongPassword { .. })), "{error:?}");
        assert_eq!(asked(&environment), [2, passwords]);
    }
    environment.fake_daac.set(|knobs| knobs.bearer = BearerAnswer::Accept);
    in_time(login.temporary_credentials()).await.unwrap();
    assert_eq!(asked(&environment), [1, 0]);
}

/// What was refused is forgotten when the user says that it is cured; a password is not.
#[tokio::test]
async fn a_forgotten_refusal_is_tried_at_once_and_a_refused_password_never() {
    for (refusal, is_cured) in [(LoginAnswer::Eula, true), (LoginAnswer::WrongPassword, false)] {
        let environment = TestEnvironment::with_knobs(|knobs| knobs.login = refusal);
        let cache = environment.credentials_cache();
        for _ in 0..3 {
            environment.error_of(in_time(cache.current()).await);
        }
        assert_eq!(asked(&environment), [1, 1], "{refusal:?}");
        environment.fake_daac.set(|knobs| knobs.login = LoginAnswer::Accept);
        environment.error_of(in_time(cache.current()).await);
        assert_eq!(asked(&environment), [0, 0], "{refusal:?}");
        cache.forget_refusal();
        let outcome = in_time(cache.current()).await;
        assert_eq!(outcome.is_ok(), is_cured, "{refusal:?}");
        assert_eq!(asked(&environment)[1], u64::from(is_cured), "{refusal:?}");
    }
}

/// A renewal that sits out the pause after a failure begins when the refusal is forgotten.
#[tokio::test]
async fn a_forgotten_refusal_wakes_a_renewal_that_waits() {
    let environment = TestEnvironment::with_knobs(|knobs| knobs.daac_down = true);
    let cache = environment.credentials_cache();
    // Each failure doubles the pause: after a few, the next is far away.
    let waiting = tokio::spawn({
        let cache = cache.clone();
        async move { cache.current().await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    environment.fake_daac.set(|knobs| knobs.daac_down = false);
    let began = tokio::time::Instant::now();
    cache.forget_refusal();
    in_time(waiting).await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
