//! Logins that fail: every answer of Earthdata Login and of `/s3credentials` has its own error.

use fake_daac::{
    BearerAnswer, EndpointAnswer, Failure, Family, Fault, Knobs, LoginAnswer, PasswordMethod,
    RequestKind,
};
use granulefs::error::{Error, Refusal};

use crate::environment::{FAMILIES, TestEnvironment, TestIdentity, in_time};

type ChangeKnobs = fn(&mut Knobs);

pub(crate) type Check = fn(&TestEnvironment, &Error) -> bool;

/// The failure, the server families and the identity that it concerns, the knob that causes it, the
/// expected error, and the number of passwords sent.
type Row = (&'static str, &'static [Family], TestIdentity, ChangeKnobs, Check, u64);

fn is_transient(_: &TestEnvironment, error: &Error) -> bool {
    matches!(error, Error::Transient(_))
}

fn is_token_refused(environment: &TestEnvironment, error: &Error) -> bool {
    let Error::Refused(Refusal::TokenRefused { endpoint, .. }) = error else { return false };
    **endpoint == environment.endpoint()
}

fn is_wrong_password(_: &TestEnvironment, error: &Error) -> bool {
    let Error::Refused(Refusal::WrongPassword { origin, .. }) = error else { return false };
    &**origin == "~/.netrc"
}

fn is_no_data(_: &TestEnvironment, error: &Error) -> bool {
    matches!(error, Error::Refused(Refusal::NoData { .. }))
}

pub(crate) fn is_failed_conversation(_: &TestEnvironment, error: &Error) -> bool {
    matches!(error, Error::Refused(Refusal::Conversation { .. }))
}

/// Returns whether the error names this page as the one that resolves it.
fn resolves_at(environment: &TestEnvironment, error: &Error, page: &str) -> bool {
    let url = format!("http://{}/{page}", environment.fake_daac.login_host());
    let Error::Refused(Refusal::Resolution { resolution_url, .. }) = error else { return false };
    resolution_url.starts_with(&url) && error.to_string().contains(&url)
}

/// Every answer that refuses a login has its own error, and no password is sent twice.
#[tokio::test]
async fn each_answer_has_its_own_error_and_no_password_is_sent_twice() {
    use Family::{Cumulus, Tea};
    const ALL: &[Family] = &FAMILIES;
    let rows: [Row; 22] = [
        ("a wrong password", ALL, TestIdentity::WrongPassword, |_| {}, is_wrong_password, 1),
        (
            "a locked account",
            ALL,
            TestIdentity::Password,
            |k| k.login = LoginAnswer::WrongPassword,
            is_wrong_password,
            1,
        ),
        (
            "a wrong password by Basic",
            ALL,
            TestIdentity::WrongPassword,
            |k| k.password_method = PasswordMethod::BasicOr405,
            is_wrong_password,
            1,
        ),
        (
            "an agreement",
            ALL,
            TestIdentity::Password,
            |k| k.login = LoginAnswer::Eula,
            |environment, error| resolves_at(environment, error, "users/ada/unaccepted_eulas"),
            1,
        ),
        (
            "the profile",
            ALL,
            TestIdentity::Password,
            |k| k.login = LoginAnswer::Profile,
            |environment, error| resolves_at(environment, error, "profile"),
            1,
        ),
        (
            "an agreement, bearer",
            &[Tea],
            TestIdentity::Token,
            |k| k.bearer = BearerAnswer::Eula,
            |environment, error| resolves_at(environment, error, "approve_app?"),
            0,
        ),
        (
            "an agreement, bearer",
            &[Cumulus],
            TestIdentity::Token,
            |k| k.bearer = BearerAnswer::Eula,
            is_token_refused,
            0,
        ),
        (
            "a refused token",
            ALL,
            TestIdentity::Token,
            |k| k.bearer = BearerAnswer::Refuse,
            is_token_refused,
            0,
        ),
        (
            "a redirected token",
            ALL,
            TestIdentity::Token,
            |k| k.bearer = BearerAnswer::Redirect,
            is_token_refused,
            0,
        ),
        (
            "STS failed",
            ALL,
            TestIdentity::Password,
            |k| k.endpoint = EndpointAnswer::FailedDependency,
            is_transient,
            1,
        ),
        (
            "STS failed, bearer",
            ALL,
            TestIdentity::Token,
            |k| k.endpoint = EndpointAnswer::FailedDependency,
            is_transient,
            0,
        ),
        (
            "500",
            ALL,
            TestIdentity::Password,
            |k| k.endpoint = EndpointAnswer::InternalError,
            is_transient,
            1,
        ),
        (
            "500, bearer",
            ALL,
            TestIdentity::Token,
            |k| k.endpoint = EndpointAnswer::InternalError,
            is_transient,
            0,
        ),
        (
            "switched off",
            ALL,
            TestIdentity::Password,
            |k| k.endpoint = EndpointAnswer::Unavailable,
            is_transient,
            0,
        ),
        (
            "no groups",
            ALL,
            TestIdentity::Password,
            |k| k.endpoint = EndpointAnswer::NoPermission,
            is_no_data,
            1,
        ),
        (
            "no groups, bearer",
            ALL,
            TestIdentity::Token,
            |k| k.endpoint = EndpointAnswer::NoPermission,
            is_no_data,
            0,
        ),
        (
            "400",
            ALL,
            TestIdentity::Password,
            |k| k.endpoint = EndpointAnswer::BadRequest,
            is_failed_conversation,
            0,
        ),
        (
            "a page instead of credentials",
            ALL,
            TestIdentity::Password,
            |k| k.endpoint = EndpointAnswer::Malformed,
            is_transient,
            1,
        ),
        (
            "a loop",
            ALL,
            TestIdentity::Password,
            |k| k.endpoint = EndpointAnswer::RedirectLoop,
            is_failed_conversation,
            1,
        ),
        (
            "a loop, bearer",
            ALL,
            TestIdentity::Token,
            |k| k.endpoint = EndpointAnswer::RedirectLoop,
            is_token_refused,
            0,
        ),
        (
            "Earthdata Login is down",
            ALL,
            TestIdentity::Password,
            |k| k.login_down = true,
            is_transient,
            0,
        ),
        ("the DAAC is down", ALL, TestIdentity::Password, |k| k.daac_down = true, is_transient, 0),
    ];
    for (what, families, identity, change, check, passwords) in rows {
        for family in families {
            let what = format!("{family:?}, {what}");
            let environment = TestEnvironment::with_family(*family, change);
            let outcome = in_time(environment.login(identity).temporary_credentials()).await;
            let stats = environment.fake_daac.stats();
            assert_eq!(
                (stats.authenticated + stats.rejected, stats.leaked_secrets),
                (passwords, 0),
                "{what}"
            );
            let error = environment.error_of(outcome);
            assert!(check(&environment, &error), "{what}: {error:?}");
        }
    }
}

/// A fault of any request of a login is a transient error, and the password is not sent by another
/// method because of it.
#[tokio::test]
async fn a_fault_of_any_request_of_a_login_is_transient() {
    for family in FAMILIES {
        for (kind, passwords) in
            [(RequestKind::Credentials, 0), (RequestKind::Login, 1), (RequestKind::Callback, 1)]
        {
            for failure in [Failure::SlowDown, Failure::InternalError, Failure::Reset] {
                let what = format!("{family:?} {kind:?} {failure:?}");
                let environment = TestEnvironment::with_family(family, |knobs| {
                    knobs.faults.push(Fault::new(failure).on(kind))
                });
                let login = environment.login(TestIdentity::Password);
                let error = environment.error_of(in_time(login.temporary_credentials()).await);
                assert!(is_transient(&environment, &error), "{what}: {error:?}");
                let log = environment.fake_daac.log();
                // After a reset the client repeats the request once, since the connection may have
                // been an idle one.
                let posts = log.iter().filter(|request| request.method == "POST").count();
                assert!(posts == passwords || failure == Failure::Reset, "{what}: {log:?}");
                assert!(
                    log.iter()
                        .all(|request| request.kind != RequestKind::Login
                            || request.method == "POST"),
                    "{what}: {log:?}"
                );
                environment.fake_daac.set(|knobs| knobs.faults.clear());
                in_time(login.temporary_credentials())
                    .await
                    .unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        }
    }
}
