//! What `doctor` finds at S3: permissions, regions, and several buckets.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use fake_daac::{BearerAnswer, Family, Knobs, Listing, Setup};

use super::{doctor, lines, must_find};
use crate::harness::{TestEnvironment, run};

/// A refusal of S3 fails the check `list` or `read`, with S3's reason.
#[test]
fn a_refusal_of_s3_is_found_with_its_reason() {
    let Some(environment) = TestEnvironment::with_family(Family::Cumulus) else { return };
    let found = |change: fn(&mut Knobs), source: &str, check: &str, words: &[&str]| {
        let before = Knobs::default();
        environment.fake_daac.set(|knobs| *knobs = before);
        environment.fake_daac.set(change);
        must_find(&environment, doctor(&environment, &[source]), check, words);
    };
    found(
        |knobs| knobs.out_of_region = true,
        "granules",
        "list",
        &["only from inside AWS us-west-2"],
    );
    found(
        |knobs| knobs.unreadable = vec![String::new()],
        "granules",
        "read",
        &["s3://granules/folder/one.txt", "AccessDenied"],
    );
    found(|knobs| knobs.s3_down = true, "granules", "list", &["no answer from S3"]);
    found(|knobs| knobs.ignored_delimiter = true, "granules", "list", &["the delimiter"]);
    found(|_| {}, "granules/fold", "list", &["nothing below s3://granules/fold/"]);
    found(
        |_| {},
        "s3://granules/folder/two.txt",
        "read",
        &["s3://granules/folder/two.txt does not exist"],
    );
    let mut keys = doctor(&environment, &["granules", "--aws-credentials"]);
    keys.env("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN").env("AWS_SECRET_ACCESS_KEY", "guess");
    assert_eq!(run(&mut keys).code, Some(0), "there is Earthdata to fall back on");
    keys.env_remove("EARTHDATA_TOKEN");
    must_find(&environment, keys, "list", &["InvalidAccessKeyId", "--endpoint-url"]);
    let (key, secret) = environment.fake_daac.static_keys();
    let mut keys = doctor(&environment, &["granules", "--aws-credentials"]);
    keys.env("AWS_ACCESS_KEY_ID", key)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .env_remove("EARTHDATA_TOKEN");
    assert_eq!(run(&mut keys).code, Some(0));
}

/// A bucket that does not exist, one in another region, and one in a store that does not accept the
/// endpoint's credentials have different messages.
#[test]
fn a_bucket_that_is_missing_or_elsewhere_is_found() {
    let (Some(environment), Some(other)) = (
        TestEnvironment::with_family(Family::Cumulus),
        TestEnvironment::with_family(Family::Cumulus),
    ) else {
        return;
    };
    let endpoint = environment.fake_daac.credentials_url("PODAAC");
    let unknown = doctor(&environment, &["no-such-bucket", "--credentials-endpoint", &endpoint]);
    must_find(&environment, unknown, "list", &["there is no such bucket"]);
    let stranger = doctor(&environment, &["granules", "--endpoint-url", &other.fake_daac.s3_url()]);
    must_find(
        &environment,
        stranger,
        "list",
        &["does not accept the credentials for s3://granules/", "--endpoint-url"],
    );
    environment
        .fake_daac
        .set(|knobs| drop(knobs.regions.insert("granules".into(), "us-east-1".into())));
    must_find(
        &environment,
        doctor(&environment, &["granules"]),
        "list",
        &["the bucket is in us-east-1; mount with --region us-east-1"],
    );
}

/// When the role is refused, the check `fallback` says why, and which credentials are used instead.
#[test]
fn a_refused_role_is_shown_with_the_fallback() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    let (key, secret) = environment.fake_daac.static_keys_of(&["nsidc-local-protected"]);
    let ask = |source: &str, change: fn(&mut Command)| {
        let mut command = doctor(&environment, &[source, "--aws-credentials"]);
        command.env("AWS_ACCESS_KEY_ID", &key).env("AWS_SECRET_ACCESS_KEY", &secret);
        change(&mut command);
        let output = run(&mut command);
        let shown = lines(&environment, &output).into_iter().filter(|(state, check, _)| {
            state == "FAILED" || ["identity", "fallback"].contains(&&**check)
        });
        (
            output.code.unwrap(),
            shown
                .map(|(state, check, text)| format!("{state} {check}: {text}"))
                .collect::<Vec<_>>()
                .join("\n"),
        )
    };
    let endpoint = environment.fake_daac.credentials_url("ASF");
    let served = ask("asf-local-browse", |_| {});
    for words in [
        "ok identity: to fall back on, a token",
        "note fallback: the environment's credentials were refused (S3 denies",
        &endpoint,
    ] {
        assert!(served.0 == 0 && served.1.contains(words), "{served:?}");
    }
    assert_eq!(
        ask("nsidc-local-protected", |_| {}),
        (0, "ok identity: to fall back on, a token from EARTHDATA_TOKEN".into())
    );
    let alone = ask("nsidc-local-protected", |command| {
        command.env_remove("EARTHDATA_TOKEN");
    });
    assert!(
        alone.0 == 0
            && alone
                .1
                .starts_with("note identity: nothing to fall back on: no Earthdata Login identity"),
        "{alone:?}"
    );
    environment.fake_daac.set(|knobs| knobs.daac("ASF").bearer = Some(BearerAnswer::Eula));
    let neither = ask("asf-local-browse", |_| {});
    assert!(
        neither.0 == 1
            && neither.1.contains("FAILED fallback: ")
            && neither
                .1
                .contains("were tried as well: Earthdata Login wants something from you first"),
        "{neither:?}"
    );
}

/// A listing that is denied is a note. It is a failure only when no object could be read, and only
/// then the exit code is 1.
#[test]
fn a_bucket_that_may_be_listed_in_part_or_not_at_all_is_a_note() {
    let Some(environment) = TestEnvironment::with_family(Family::Tea) else { return };
    for (listing, source, states) in [
        (Listing::Under(vec!["folder/".into()]), "granules/folder", &["note", "ok", "ok"][..]),
        (Listing::Under(vec!["folder/".into()]), "granules", &["note", "FAILED"]),
        (Listing::Denied, "granules", &["note", "FAILED"]),
        (Listing::Denied, "granules/folder", &["note", "note", "FAILED"]),
        (Listing::Denied, "s3://granules/folder/one.txt", &["note", "ok"]),
    ] {
        environment.fake_daac.set(|knobs| knobs.listing = listing);
        let output = run(&mut doctor(&environment, &[source]));
        let lines = lines(&environment, &output);
        let at_s3 = lines.iter().filter(|(_, check, _)| check == "list" || check == "read");
        assert_eq!(
            (output.code, at_s3.map(|(state, ..)| state.as_str()).collect::<Vec<_>>()),
            (Some(i32::from(states.contains(&"FAILED"))), states.to_vec()),
            "{lines:#?}"
        );
    }
}

/// Starts an instance metadata service of a machine in `region`; returns its URL.
fn instance_in(region: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines =
                BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            while lines.next().is_some_and(|header| !header.is_empty()) {}
            let body =
                if request.starts_with("PUT /latest/api/token") { "a-token" } else { region };
            let head =
                "HTTP/1.1 200 OK\r\nX-Aws-Ec2-Metadata-Token-Ttl-Seconds: 60\r\nConnection: close";
            let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    url
}

/// A machine in another region is a note, as long as S3 does not refuse its requests.
#[test]
fn the_region_of_the_machine_is_shown_as_a_note() {
    let Some(environment) = TestEnvironment::with_family(Family::Cumulus) else { return };
    for (region, state, words) in [
        ("us-west-2", "ok", "this machine says that it is in us-west-2"),
        (
            "eu-central-1",
            "note",
            "this machine says that it is in eu-central-1, the bucket is in us-west-2",
        ),
    ] {
        let mut command = doctor(&environment, &["granules"]);
        command
            .env_remove("AWS_EC2_METADATA_DISABLED")
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", instance_in(region));
        let output = run(&mut command);
        let line = lines(&environment, &output)
            .into_iter()
            .find(|(_, check, _)| check == "region")
            .unwrap();
        assert_eq!((line.0.as_str(), line.2.as_str(), output.code), (state, words, Some(0)));
    }
}

/// Of several buckets, each endpoint is asked once, and a failure of one affects no other.
#[test]
fn a_failing_endpoint_is_shown_beside_those_that_work() {
    let Some(environment) = TestEnvironment::with_setup(Setup::three_daacs()) else { return };
    for bucket in [
        "podaac-local-protected",
        "podaac-local-public",
        "nsidc-local-protected",
        "asf-local-products",
        "asf-local-browse",
    ] {
        environment.fake_daac.put(bucket, "a.nc", "a");
    }
    environment.fake_daac.set(|knobs| knobs.daac("NSIDC").bearer = Some(BearerAnswer::Refuse));
    let output = run(&mut doctor(&environment, &["earthdata"]));
    let lines = lines(&environment, &output);
    let count = |state: &str, check: &str| {
        lines.iter().filter(|line| line.0 == state && line.1 == check).count()
    };
    assert_eq!(
        (output.code, count("ok", "read"), count("FAILED", "login"), count("skipped", "bucket")),
        (Some(1), 4, 1, 1),
        "{lines:#?}"
    );
    assert_eq!(["PODAAC", "ASF"].map(|daac| environment.fake_daac.daac_stats(daac).issued), [1, 1]);
}
