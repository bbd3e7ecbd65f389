//! "`granulefs doctor [SOURCE]`: checks, in order, with a line each and what to do about it" (issue
//! 5, item 5), "tried against each failure of `earthdata.md` section 2 and 3".

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fake_daac::{
    BearerAnswer, EndpointAnswer, FakeDaac, Family, ForeignRedirect, Knobs, Listing, LoginAnswer,
    Setup,
};

use crate::harness::{CommandOutput, TestEnvironment, run};

fn doctor(environment: &TestEnvironment, arguments: &[&str]) -> Command {
    environment.granulefs(
        &[
            &["doctor", "--buckets-file", &environment.buckets_file_path(), "--timeout=4"],
            arguments,
        ]
        .concat(),
    )
}

fn with_password(command: &mut Command, fake_daac: &FakeDaac) {
    command
        .env_remove("EARTHDATA_TOKEN")
        .env("EARTHDATA_USERNAME", fake_daac.user())
        .env("EARTHDATA_PASSWORD", fake_daac.password());
}

/// State, check and text of every line.
fn lines(environment: &TestEnvironment, output: &CommandOutput) -> Vec<(String, String, String)> {
    let text = output.stdout_text();
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    let mut secrets = environment.fake_daac.secrets();
    secrets.push(STANDARD.encode(format!(
        "{}:{}",
        environment.fake_daac.user(),
        environment.fake_daac.password()
    )));
    for secret in secrets {
        assert!(
            !format!("{text}{}", output.stderr).contains(&secret),
            "a secret is in {text}{}",
            output.stderr
        );
    }
    let line = |line: &str| {
        let (state, rest) = line.split_once(' ').unwrap();
        let (check, text) = rest.trim_start().split_once(' ').unwrap();
        (state.to_owned(), check.to_owned(), text.trim_start().to_owned())
    };
    text.lines().map(line).collect()
}

/// The failure is told in exactly one line, of that check and with those words, and nothing before
/// it is in doubt.
#[track_caller]
fn must_find(environment: &TestEnvironment, mut command: Command, check: &str, words: &[&str]) {
    let output = run(&mut command);
    let lines = lines(environment, &output);
    let failed = lines.iter().filter(|(state, ..)| state == "FAILED").collect::<Vec<_>>();
    assert_eq!((output.code, failed.len()), (Some(1), 1), "{words:?}: {lines:#?}");
    assert_eq!(failed[0].1, check, "{lines:#?}");
    for word in words {
        assert!(failed[0].2.contains(word), "no {word:?} in {:?}", failed[0].2);
    }
}

/// A healthy set-up: every check in the order in which a mount needs it, exit code 0, and nothing
/// but reads.
#[test]
fn all_is_well_where_all_is_well() {
    for family in [Family::Cumulus, Family::Tea] {
        let Some(environment) = TestEnvironment::with_family(family) else { return };
        let whole = [
            "fuse",
            "fusermount3",
            "identity",
            "token",
            "earthdata",
            "clock",
            "source",
            "login",
            "region",
            "list",
            "read",
        ];
        for (source, twice) in
            [("granules", ""), ("granules/folder", "list"), ("s3://granules/folder/one.txt", "")]
        {
            let output = run(&mut doctor(&environment, &[source]));
            let lines = lines(&environment, &output);
            let mut checks = lines.iter().map(|(_, check, _)| check.as_str()).collect::<Vec<_>>();
            if let Some(second) = checks.iter().rposition(|check| *check == twice) {
                checks.remove(second);
            }
            assert_eq!((output.code, &checks[..]), (Some(0), &whole[..]), "{lines:#?}");
            assert!(lines.iter().all(|(state, ..)| state == "ok" || state == "note"), "{lines:#?}");
            assert!(
                lines.last().unwrap().2.contains("s3://granules/folder/one.txt can be read"),
                "{lines:#?}"
            );
        }
    }
}

/// Without a source there is no endpoint to ask, and nothing has failed; as JSON it is the same.
#[test]
fn json_says_the_same_as_the_lines() {
    let Some(environment) = TestEnvironment::with_family(Family::Cumulus) else { return };
    for arguments in [&[][..], &["granules"], &["no-such-bucket"]] {
        let output = run(&mut doctor(&environment, arguments));
        let json = run(doctor(&environment, arguments).arg("--json"));
        assert_eq!(output.code, json.code);
        let read: serde_json::Value = serde_json::from_str(&json.stdout_text()).unwrap();
        assert_eq!(read["ok"].as_bool(), Some(output.code == Some(0)));
        let field =
            |check: &serde_json::Value, name: &str| check[name].as_str().unwrap().to_owned();
        let checks = read["checks"].as_array().unwrap().iter();
        let checks = checks.map(|check| {
            (
                field(check, "state").replace("failed", "FAILED"),
                field(check, "check"),
                field(check, "text"),
            )
        });
        assert_eq!(checks.collect::<Vec<_>>(), lines(&environment, &output));
    }
}

/// earthdata.md, section 2, the token's way.
#[test]
fn a_refused_token_and_a_missing_agreement_are_found_at_the_login() {
    for (family, bearer, words) in [
        (
            Family::Cumulus,
            BearerAnswer::Refuse,
            ["refused the token from EARTHDATA_TOKEN", "/profile"],
        ),
        (Family::Tea, BearerAnswer::Refuse, ["refused the token from EARTHDATA_TOKEN", "/profile"]),
        (
            Family::Tea,
            BearerAnswer::Redirect,
            ["refused the token from EARTHDATA_TOKEN", "/profile"],
        ),
        (Family::Tea, BearerAnswer::Eula, ["EULA Acceptance Failure", "/approve_app?client_id="]),
        (Family::Cumulus, BearerAnswer::Eula, ["an agreement is missing", "/profile"]),
    ] {
        let Some(environment) = TestEnvironment::with_family(family) else { return };
        environment.fake_daac.set(|knobs| knobs.bearer = bearer);
        must_find(&environment, doctor(&environment, &["granules"]), "login", &words);
    }
}

/// earthdata.md, section 2, the password's way: "EULA and profile (with the URL to open)".
#[test]
fn a_wrong_password_an_eula_and_a_profile_are_told_apart() {
    for (family, answer, words) in [Family::Cumulus, Family::Tea].into_iter().flat_map(|family| {
        [
            (
                family,
                LoginAnswer::WrongPassword,
                "refused the user name or password from EARTHDATA_USERNAME",
            ),
            (family, LoginAnswer::Eula, "/users/ada/unaccepted_eulas in a browser"),
            (family, LoginAnswer::Profile, "/profile in a browser"),
        ]
    }) {
        let Some(environment) = TestEnvironment::with_family(family) else { return };
        environment.fake_daac.set(|knobs| knobs.login = answer);
        let mut command = doctor(&environment, &["granules"]);
        with_password(&mut command, &environment.fake_daac);
        must_find(&environment, command, "login", &[words, &environment.fake_daac.login_host()]);
    }
}

/// earthdata.md, section 2, the endpoint's own troubles.
#[test]
fn an_endpoint_that_gives_nothing_is_found_at_the_login() {
    use Family::{Cumulus, Tea};
    for (answer, families, words) in [
        (EndpointAnswer::NoPermission, &[Cumulus, Tea][..], "may not access any of its data"),
        (EndpointAnswer::FailedDependency, &[Cumulus], "424"),
        (EndpointAnswer::InternalError, &[Cumulus, Tea], "500"),
        (EndpointAnswer::Unavailable, &[Cumulus, Tea], "503"),
        (EndpointAnswer::BadRequest, &[Cumulus, Tea], "refused the token"),
        (EndpointAnswer::Malformed, &[Cumulus, Tea], "holds no temporary credentials"),
        (EndpointAnswer::RedirectLoop, &[Cumulus, Tea], "refused the token"),
    ] {
        for family in families {
            let Some(environment) = TestEnvironment::with_family(*family) else { return };
            environment.fake_daac.set(|knobs| knobs.endpoint = answer);
            must_find(&environment, doctor(&environment, &["granules"]), "login", &[words]);
        }
    }
}

/// earthdata.md, section 1: "Send the password only to the configured EDL host", and bound the
/// number of redirects.
#[test]
fn a_login_that_leads_elsewhere_is_told() {
    for family in [Family::Cumulus, Family::Tea] {
        let Some(environment) = TestEnvironment::with_family(family) else { return };
        type ChangeKnobs = fn(&mut Knobs);
        let rows: [(ChangeKnobs, &str); 3] = [
            (|knobs| knobs.foreign_redirect = ForeignRedirect::Endpoint, "no password was sent"),
            (|knobs| knobs.endpoint = EndpointAnswer::RedirectLoop, "did not end as it should"),
            (|knobs| knobs.endpoint = EndpointAnswer::BadRequest, "answered 400"),
        ];
        for (change, words) in rows {
            environment.fake_daac.set(|knobs| *knobs = Knobs::default());
            environment.fake_daac.set(change);
            let mut command = doctor(&environment, &["granules"]);
            with_password(&mut command, &environment.fake_daac);
            must_find(&environment, command, "login", &[words, "s3credentials"]);
        }
    }
}

/// Who nobody is, and whom nobody reaches.
#[test]
fn a_missing_identity_and_hosts_that_are_down_are_found_before_the_login() {
    let Some(environment) = TestEnvironment::with_family(Family::Cumulus) else { return };
    let mut nobody = doctor(&environment, &["granules"]);
    nobody.env_remove("EARTHDATA_TOKEN");
    must_find(
        &environment,
        nobody,
        "identity",
        &["EARTHDATA_TOKEN", "machine", &format!("{}/.netrc", home(&environment))],
    );
    must_find(
        &environment,
        doctor(&environment, &["no-such-bucket"]),
        "login",
        &["no-such-bucket", "--credentials-endpoint"],
    );
    must_find(
        &environment,
        doctor(&environment, &["NOAA"]),
        "source",
        &["neither a bucket nor a data center"],
    );
    environment.fake_daac.set(|knobs| knobs.daac_down = true);
    must_find(&environment, doctor(&environment, &["granules"]), "login", &["no answer from"]);
    environment.fake_daac.set(|knobs| knobs.login_down = true);
    let mut by_password = doctor(&environment, &["granules"]);
    with_password(&mut by_password, &environment.fake_daac);
    must_find(
        &environment,
        by_password,
        "earthdata",
        &[&environment.fake_daac.login_host(), "--earthdata-host"],
    );
}

/// A token is shown to the data center only, so that a mount needs no login host; and what another
/// data center's how-to left in the environment is told.
#[test]
fn what_a_mount_gets_along_without_or_is_told_by_the_user_is_a_note() {
    let Some(environment) = TestEnvironment::with_family(Family::Tea) else { return };
    environment.fake_daac.set(|knobs| knobs.login_down = true);
    let other = format!("{}?from=elsewhere", environment.fake_daac.credentials_url("PODAAC"));
    for (variable, value, check, words) in [
        ("UNUSED", "", "earthdata", "no answer"),
        ("S3_CREDENTIAL_ENDPOINT", "", "earthdata", "no answer"),
        (
            "S3_CREDENTIAL_ENDPOINT",
            &other,
            "source",
            "names another endpoint for granules than the table",
        ),
    ] {
        let output = run(doctor(&environment, &["granules"]).env(variable, value));
        let lines = lines(&environment, &output);
        let is_told = |(state, found, text): &(String, String, String)| {
            state == "note" && found == check && text.contains(words)
        };
        assert!(
            output.code == Some(0) && lines.iter().any(is_told),
            "{variable}={value}: {lines:#?}"
        );
    }
}

fn home(environment: &TestEnvironment) -> String {
    std::path::Path::new(&environment.buckets_file_path()).parent().unwrap().display().to_string()
}

/// "A token's remaining days": of one that ends, by its own words.
#[test]
fn a_tokens_end_is_told() {
    let Some(environment) = TestEnvironment::with_family(Family::Cumulus) else { return };
    let days = |days: i64| {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs().cast_signed();
        let claims = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{}}}", now + days * 86_400 + 3600));
        format!("eyJ0eXAiOiJKV1QifQ.{claims}.c2ln")
    };
    for (token, state, words) in [
        (days(40), "ok", "it ends in 40 days"),
        (days(3), "note", "it ends in 3 days; make a new one at https://"),
        (days(-1), "FAILED", "it has expired; make a new one at https://"),
    ] {
        let output = run(doctor(&environment, &[]).env("EARTHDATA_TOKEN", token));
        let lines = lines(&environment, &output);
        let told = lines.iter().find(|(_, check, _)| check == "token").unwrap();
        assert_eq!((told.0.as_str(), told.2.starts_with(words)), (state, true), "{told:?}");
        assert_eq!(output.code, Some(i32::from(state == "FAILED")));
    }
}

/// earthdata.md, section 3: what S3 says is the proof.
#[test]
fn what_s3_refuses_is_found_in_its_own_words() {
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
    found(|knobs| knobs.s3_down = true, "granules", "list", &["no answer within"]);
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

/// earthdata.md, section 3: a bucket elsewhere, none at all, and one that the endpoint's
/// credentials do not belong to.
#[test]
fn a_bucket_that_is_not_where_it_should_be_is_told() {
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

/// "Hubs" (item 8): which credentials serve where the role is refused, why it was, and what else
/// would be needed.
#[test]
fn a_role_that_is_refused_is_told_with_what_serves_instead() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    let (key, secret) = environment.fake_daac.static_keys_of(&["nsidc-local-protected"]);
    let ask = |source: &str, change: fn(&mut Command)| {
        let mut command = doctor(&environment, &[source, "--aws-credentials"]);
        command.env("AWS_ACCESS_KEY_ID", &key).env("AWS_SECRET_ACCESS_KEY", &secret);
        change(&mut command);
        let output = run(&mut command);
        let told = lines(&environment, &output).into_iter().filter(|(state, check, _)| {
            state == "FAILED" || ["identity", "fallback"].contains(&&**check)
        });
        (
            output.code.unwrap(),
            told.map(|(state, check, text)| format!("{state} {check}: {text}"))
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

/// "Partial permissions" (item 7) are worth a note, and no failure where something could be read
/// all the same: "exit code 0 only when everything needed works".
#[test]
fn a_bucket_that_may_be_listed_in_part_or_not_at_all_can_be_used() {
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

/// A wrong clock is told and does no harm: requests are signed with the server's time.
#[test]
fn a_clock_that_is_wrong_is_told() {
    let Some(environment) = TestEnvironment::with_family(Family::Cumulus) else { return };
    environment.fake_daac.set(|knobs| knobs.clock_shift = 3600);
    let output = run(&mut doctor(&environment, &["granules"]));
    let lines = lines(&environment, &output);
    assert_eq!(output.code, Some(0), "{lines:#?}");
    let clock = lines.iter().find(|(_, check, _)| check == "clock").unwrap();
    assert!(
        clock.0 == "note"
            && (clock.2.contains("59 minutes behind") || clock.2.contains("60 minutes behind")),
        "{clock:?}"
    );
}

/// An instance metadata service of a machine in `region`; returns its URL.
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

/// "Region (instance metadata as a hint, S3's own words as proof)": a machine elsewhere is a note,
/// as long as S3 does not refuse it.
#[test]
fn what_the_machine_says_of_its_region_is_a_hint() {
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
        let told = lines(&environment, &output)
            .into_iter()
            .find(|(_, check, _)| check == "region")
            .unwrap();
        assert_eq!((told.0.as_str(), told.2.as_str(), output.code), (state, words, Some(0)));
    }
}

/// Several buckets: each endpoint is asked once, and one that is broken touches no other.
#[test]
fn one_broken_endpoint_is_told_beside_those_that_work() {
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
    let told = lines(&environment, &output);
    let count = |state: &str, check: &str| {
        told.iter().filter(|line| line.0 == state && line.1 == check).count()
    };
    assert_eq!(
        (output.code, count("ok", "read"), count("FAILED", "login"), count("skipped", "bucket")),
        (Some(1), 4, 1, 1),
        "{told:#?}"
    );
    assert_eq!(["PODAAC", "ASF"].map(|daac| environment.fake_daac.daac_stats(daac).issued), [1, 1]);
}
