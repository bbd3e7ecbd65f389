//! Proxies and certificate authorities: one rule for the login and for S3 (README, "The way out").

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{AUTHORITY, BUCKET, MountCommand, Proxy, TestEnvironment, run};

/// Both halves behind the proxy, whose names exist nowhere else.
const ENDPOINT: &str = "https://daac.proxied.invalid/s3credentials";
const S3: &str = "https://s3.proxied.invalid";

fn start() -> Option<(TestEnvironment, Proxy)> {
    let environment = TestEnvironment::with_one_object()?;
    let daac = environment.fake_daac.credentials_url("PODAAC");
    let proxy = Proxy::start(&daac, &environment.fake_daac.s3_url());
    Some((environment, proxy))
}

fn behind_the_proxy(environment: &TestEnvironment) -> MountCommand {
    environment
        .mount_command(BUCKET)
        .env("S3_CREDENTIAL_ENDPOINT", ENDPOINT)
        .env("AWS_ENDPOINT_URL_S3", S3)
}

/// Login and S3 go through the proxy of the environment, and trust what the environment says.
#[test]
fn both_halves_go_through_the_proxy_and_trust_its_authority() {
    let Some((environment, proxy)) = start() else { return };
    for (proxy_variable, authority) in [
        ("https_proxy", "AWS_CA_BUNDLE"),
        ("HTTPS_PROXY", "SSL_CERT_FILE"),
        ("all_proxy", "AWS_CA_BUNDLE"),
        ("ALL_PROXY", "SSL_CERT_FILE"),
    ] {
        let (mount, _) = behind_the_proxy(&environment)
            .env(proxy_variable, proxy.url())
            .env(authority, AUTHORITY)
            .mount_with_warning();
        assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
        assert_eq!(
            proxy.take_asked(),
            [
                "CONNECT daac.proxied.invalid:443 HTTP/1.1",
                "CONNECT granules.s3.proxied.invalid:443 HTTP/1.1"
            ]
        );
    }
}

/// Which hosts are asked directly is decided alike for both: here for one host and each half by
/// itself.
#[test]
fn no_proxy_means_the_same_for_both_halves() {
    let Some((environment, proxy)) = start() else { return };
    let (key, secret) = environment.fake_daac.static_keys();
    let is_direct = |no_proxy: &str, verb: &[&str]| {
        let mut command = environment.granulefs(verb);
        command
            .env("https_proxy", proxy.url())
            .env("NO_PROXY", no_proxy)
            .env("AWS_CA_BUNDLE", AUTHORITY)
            .env("AWS_ENDPOINT_URL_S3", S3)
            .env("AWS_ACCESS_KEY_ID", &key)
            .env("AWS_SECRET_ACCESS_KEY", &secret);
        let output = run(&mut command);
        let text = output.stdout_text() + &output.stderr;
        assert!(text.contains("dns error") || output.code == Some(0), "{no_proxy}: {text}");
        text.contains("dns error")
    };
    let login = ["credentials", BUCKET, "--credentials-endpoint", ENDPOINT];
    let s3 = ["doctor", BUCKET, "--aws-credentials", "--credentials-endpoint", ENDPOINT];
    thread::scope(|scope| {
        let rows = [
            ("", false),
            ("proxied.invalid", true),
            (".proxied.invalid", true),
            ("other.invalid, 10.0.0.0/8", false),
            ("*", true),
        ];
        let tried = rows.map(|(no_proxy, expected)| {
            let is_direct = &is_direct;
            let halves = [&login[..], &s3[..]];
            let halves = halves.map(|half| scope.spawn(move || is_direct(no_proxy, half)));
            (no_proxy, expected, halves)
        });
        for (no_proxy, expected, halves) in tried {
            let found = halves.map(|half| half.join().unwrap());
            assert_eq!(found, [expected; 2], "{no_proxy:?}");
        }
    });
}

/// Plain http is spoken to this machine only, and never through a proxy.
#[test]
fn plain_http_to_this_machine_is_never_proxied() {
    let Some((environment, proxy)) = start() else { return };
    let mut command = environment.mount_command(BUCKET);
    for variable in ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"] {
        command = command.env(variable, proxy.url());
    }
    let mount = command.mount();
    assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
    assert_eq!(proxy.take_asked(), [""; 0]);
}

/// A certificate that nobody here trusts fails a mount within seconds, in either half.
#[test]
fn an_unknown_authority_is_told_within_seconds() {
    let Some((environment, proxy)) = start() else { return };
    let mount = |command: MountCommand| command.env("https_proxy", proxy.url());
    let began = Instant::now();
    let login = environment.mount_command(BUCKET).env("S3_CREDENTIAL_ENDPOINT", ENDPOINT);
    mount(login).must_fail_with(&["no answer from daac.proxied.invalid", "certificate"]);
    let s3 = environment.mount_command(BUCKET).env("AWS_ENDPOINT_URL_S3", S3);
    mount(s3).must_fail_with(&["no answer from S3", "certificate", "UnknownIssuer"]);
    let dead = environment.mount_command(BUCKET).env("AWS_ENDPOINT_URL_S3", S3);
    let dead = dead.env("https_proxy", "http://127.0.0.1:1");
    dead.must_fail_with(&["no answer from S3", "Connection refused"]);
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
}

/// A file of authorities that is none is an error that names it.
#[test]
fn a_bundle_that_cannot_be_used_is_named() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let aws = || environment.mount_command_with_aws_keys(BUCKET);
    for command in [environment.mount_command(BUCKET), aws()] {
        command
            .env("AWS_CA_BUNDLE", "/nowhere/ca.pem")
            .must_fail_with(&["AWS_CA_BUNDLE (/nowhere/ca.pem)", "cannot read"]);
    }
    for command in [environment.mount_command(BUCKET), aws()] {
        command
            .env("AWS_CA_BUNDLE", "/etc/passwd")
            .must_fail_with(&["AWS_CA_BUNDLE (/etc/passwd)", "no usable certificate"]);
    }
    for command in [environment.mount_command(BUCKET), aws()] {
        command
            .env("SSL_CERT_FILE", "/nowhere/ca.pem")
            .must_fail_with(&["SSL_CERT_FILE (/nowhere/ca.pem)", "no usable certificate"]);
    }
}
