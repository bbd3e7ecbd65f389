//! Logins, the credentials that they end in, and secrets at the wrong host.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::client::{ask, key_in, log_in, s3, two_daacs, with_one_object};
use crate::{Knobs, Stats};

#[test]
fn a_login_ends_in_credentials_that_open_the_buckets_of_its_daac_only() {
    let fake_daac = two_daacs();
    fake_daac.put("b", "k", "x");
    fake_daac.put("c", "k", "x");
    for (daac, own, other) in [("PODAAC", "/b/k", "/c/k"), ("ASF", "/c/k", "/b/k")] {
        let answer = log_in(&fake_daac, daac);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let key = key_in(&answer);
        assert_eq!(s3(&fake_daac, &key, "GET", own, &[]).text(), "x");
        assert_eq!(s3(&fake_daac, &key, "GET", other, &[]).status, 403);
        assert!([&key.1, &key.2].iter().all(|secret| fake_daac.secrets().contains(secret)));
    }
    let Stats { issued, authenticated, leaked_secrets, denied, .. } = fake_daac.stats();
    assert_eq!((issued, authenticated, leaked_secrets, denied), (2, 2, 0, 2));
}

#[test]
fn expired_credentials_are_refused_and_counted() {
    let (fake_daac, key) = with_one_object(Knobs::default());
    assert_eq!(s3(&fake_daac, &key, "GET", "/b/k", &[]).status, 200);
    fake_daac.set(|knobs| knobs.clock_shift = 601);
    let answer = s3(&fake_daac, &key, "GET", "/b/k", &[]);
    assert!(answer.status == 400 && answer.text().contains("<Code>ExpiredToken</Code>"));
    assert_eq!(s3(&fake_daac, &key, "HEAD", "/b/k", &[]).status, 400);
    fake_daac.set(|knobs| knobs.expired_is_denied = true);
    assert_eq!(s3(&fake_daac, &key, "GET", "/b/k", &[]).status, 403);
    assert_eq!(fake_daac.stats().expired, 3);
    let (id, secret) = fake_daac.static_keys();
    assert_eq!(s3(&fake_daac, &(id, secret, String::new()), "GET", "/b/k", &[]).status, 200);
}

#[test]
fn a_secret_that_a_request_shows_to_the_wrong_host_is_counted() {
    let fake_daac = two_daacs();
    let endpoint = fake_daac.credentials_url("PODAAC");
    let bearer = format!("Bearer {}", fake_daac.token());
    assert_eq!(ask("GET", &endpoint, &[("authorization", &bearer)], "").status, 200);
    assert_eq!(fake_daac.stats().leaked_secrets, 0);
    let elsewhere = format!("http://{}/oauth/authorize", fake_daac.login_host());
    ask("GET", &elsewhere, &[("authorization", &bearer)], "");
    ask("GET", &endpoint, &[("authorization", "Basic YTpi")], "");
    let first = ask("GET", &endpoint, &[], "").header("location");
    let basic = format!(
        "Basic {}",
        STANDARD.encode(format!("{}:{}", fake_daac.user(), fake_daac.password()))
    );
    let session = ask("GET", &first, &[("authorization", &basic)], "").cookie();
    ask("GET", &endpoint, &[("cookie", &session)], "");
    ask("GET", &format!("{endpoint}?token={}", fake_daac.token()), &[], "");
    let leaked_secrets: Vec<_> =
        fake_daac.log().into_iter().filter_map(|logged| logged.leaked_secret).collect();
    assert_eq!(
        leaked_secrets,
        ["bearer token", "Basic credentials", "cookie of another host", "secret in a URL"]
    );
    assert_eq!(fake_daac.stats().leaked_secrets, 4);
}
