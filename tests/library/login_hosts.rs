//! Hosts of a login: secrets are sent only to the configured hosts, over https or on loopback.

use fake_daac::ForeignRedirect;
use granulefs::error::{Error, Refusal};
use granulefs::login::Login;
use granulefs::s3::{Bucket, BucketLocation};

use crate::canned_server::{CannedServer, redirect};
use crate::environment::{FAMILIES, TestEnvironment, TestIdentity, in_time};
use crate::login_refusals::{Check, is_failed_conversation};

/// The password is sent only to Earthdata Login, and the token only to its endpoint.
#[tokio::test]
async fn a_redirect_to_a_foreign_host_gets_no_secret() {
    for family in FAMILIES {
        for (foreign_redirect, identity, visits) in [
            (ForeignRedirect::Endpoint, TestIdentity::Password, 0),
            (ForeignRedirect::Login, TestIdentity::Password, 1),
            (ForeignRedirect::Callback, TestIdentity::Password, 1),
            // The token is refused, so that the password is used.
            (ForeignRedirect::Endpoint, TestIdentity::BadTokenAndPassword, 0),
            (ForeignRedirect::Login, TestIdentity::BadTokenAndPassword, 1),
        ] {
            let environment = TestEnvironment::with_family(family, |knobs| {
                knobs.foreign_redirect = foreign_redirect
            });
            let error = environment
                .error_of(in_time(environment.login(identity).temporary_credentials()).await);
            let stats = environment.fake_daac.stats();
            assert_eq!(
                (stats.leaked_secrets, stats.foreign_requests),
                (0, visits),
                "{family:?} {foreign_redirect:?}"
            );
            let is_named = matches!(error, Error::Refused(Refusal::ForeignLogin { .. }));
            assert_eq!(is_named, foreign_redirect == ForeignRedirect::Endpoint, "{error:?}");
        }
    }
}

/// A password is sent only to the configured Earthdata Login; the error names the one that the
/// endpoint redirects to.
#[tokio::test]
async fn another_earthdata_login_than_the_configured_one_gets_no_request() {
    let environment = TestEnvironment::new();
    let login = Login::new(
        &environment.endpoint(),
        "urs.earthdata.nasa.gov",
        environment.identity(TestIdentity::Password),
    )
    .unwrap();
    let error = environment.error_of(in_time(login.temporary_credentials()).await);
    let Error::Refused(Refusal::ForeignLogin { host, configured, .. }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (&**host, &**configured),
        (&*environment.fake_daac.login_host(), "urs.earthdata.nasa.gov")
    );
    assert!(error.to_string().contains("--earthdata-host"));
    assert_eq!(environment.fake_daac.stats().logins, 0);
}

/// An endpoint must be https, or http on loopback.
#[test]
fn an_endpoint_that_is_not_encrypted_is_refused_before_any_connection() {
    let environment = TestEnvironment::new();
    for (url, is_allowed) in [
        ("http://192.0.2.1/s3credentials", false),
        ("http://archive.podaac.earthdata.nasa.gov/s3credentials", false),
        ("http://localhost.example.org/s3credentials", false),
        ("https://archive.podaac.earthdata.nasa.gov/s3credentials", true),
    ] {
        let login =
            Login::new(url, "urs.earthdata.nasa.gov", environment.identity(TestIdentity::Password));
        assert_eq!(login.is_ok(), is_allowed, "{url}");
        if !is_allowed {
            assert!(matches!(
                environment.error_of(login),
                Error::Refused(Refusal::Unencrypted { .. })
            ));
        }
    }
    let with_password = Login::new(
        "https://ada:hush@a.org/s3credentials",
        "urs",
        environment.identity(TestIdentity::Token),
    );
    let error = environment.error_of(with_password);
    assert!(
        matches!(&error, Error::Usage(words) if !words.to_string().contains("hush")),
        "{error:?}"
    );
}

/// The URL of S3 must be https, or http on loopback, since each request has the session token in a
/// header.
#[test]
fn an_s3_that_is_not_encrypted_is_refused_before_any_connection() {
    let environment = TestEnvironment::new();
    for (url, is_allowed) in [
        ("http://192.0.2.1:9000", false),
        ("http://s3.us-west-2.amazonaws.com", false),
        ("https://minio.example.org", true),
    ] {
        let location = BucketLocation {
            bucket: "b".into(),
            region: "r".into(),
            endpoint_url: Some(url.into()),
            path_style: true,
        };
        let bucket = Bucket::new(location, environment.credentials_cache());
        assert_eq!(bucket.is_ok(), is_allowed, "{url}");
        assert!(
            is_allowed
                || matches!(
                    environment.error_of(bucket),
                    Error::Refused(Refusal::Unencrypted { .. })
                )
        );
    }
}

/// The number of redirects of a login is bounded, and none may lead to an unencrypted host.
#[tokio::test]
async fn redirects_are_bounded_and_encrypted() {
    let rows: [(&str, Check, std::ops::RangeInclusive<usize>); 4] = [
        ("/s3credentials", is_failed_conversation, 2..=20),
        ("/elsewhere", is_failed_conversation, 2..=20),
        ("", is_failed_conversation, 1..=1),
        (
            "http://192.0.2.1/oauth/authorize",
            |_, error| {
                matches!(
                    error,
                    Error::Refused(Refusal::Unencrypted { .. } | Refusal::ForeignLogin { .. })
                )
            },
            1..=1,
        ),
    ];
    for (location, check, requests) in rows {
        let environment = TestEnvironment::new();
        let server = CannedServer::new(move |_| redirect(location));
        let login = Login::new(
            &server.endpoint,
            &environment.fake_daac.login_host(),
            environment.identity(TestIdentity::Password),
        )
        .unwrap();
        let error = environment.error_of(in_time(login.temporary_credentials()).await);
        assert!(check(&environment, &error), "{location}: {error:?}");
        assert!(requests.contains(&server.heads().len()), "{location}: {:?}", server.heads());
        assert_eq!(environment.fake_daac.stats().logins, 0);
    }
}
