//! "`granulefs doctor [SOURCE]`: checks, in order, with a line each and what to do about it" (issue
//! 5, item 5), "tried against each failure of `earthdata.md` section 2 and 3".

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fake_daac::{
    BearerAnswer, EndpointAnswer, FakeDaac, Family, Knobs, Listing, LoginAnswer, Setup, Trap,
};

use crate::harness::{Ran, Site, run};

fn doctor(site: &Site, arguments: &[&str]) -> Command {
    site.program(&[&["doctor", "--buckets-file", &site.table(), "--timeout=4"], arguments].concat())
}

fn with_password(command: &mut Command, archive: &FakeDaac) {
    command
        .env_remove("EARTHDATA_TOKEN")
        .env("EARTHDATA_USERNAME", archive.user())
        .env("EARTHDATA_PASSWORD", archive.password());
}

/// State, check and text of every line.
fn lines(site: &Site, ran: &Ran) -> Vec<(String, String, String)> {
    let text = ran.text();
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    let mut secrets = site.archive.secrets();
    secrets.push(STANDARD.encode(format!("{}:{}", site.archive.user(), site.archive.password())));
    for secret in secrets {
        assert!(
            !format!("{text}{}", ran.stderr).contains(&secret),
            "a secret is in {text}{}",
            ran.stderr
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
fn must_find(site: &Site, mut command: Command, check: &str, words: &[&str]) {
    let ran = run(&mut command);
    let lines = lines(site, &ran);
    let failed = lines.iter().filter(|(state, ..)| state == "FAILED").collect::<Vec<_>>();
    assert_eq!((ran.code, failed.len()), (Some(1), 1), "{words:?}: {lines:#?}");
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
        let Some(site) = Site::of_family(family) else { return };
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
            let ran = run(&mut doctor(&site, &[source]));
            let lines = lines(&site, &ran);
            let mut checks = lines.iter().map(|(_, check, _)| check.as_str()).collect::<Vec<_>>();
            if let Some(second) = checks.iter().rposition(|check| *check == twice) {
                checks.remove(second);
            }
            assert_eq!((ran.code, &checks[..]), (Some(0), &whole[..]), "{lines:#?}");
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
    let Some(site) = Site::of_family(Family::Cumulus) else { return };
    for arguments in [&[][..], &["granules"], &["no-such-bucket"]] {
        let ran = run(&mut doctor(&site, arguments));
        let json = run(doctor(&site, arguments).arg("--json"));
        assert_eq!(ran.code, json.code);
        let read: serde_json::Value = serde_json::from_str(&json.text()).unwrap();
        assert_eq!(read["ok"].as_bool(), Some(ran.code == Some(0)));
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
        assert_eq!(checks.collect::<Vec<_>>(), lines(&site, &ran));
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
        let Some(site) = Site::of_family(family) else { return };
        site.archive.set(|knobs| knobs.bearer = bearer);
        must_find(&site, doctor(&site, &["granules"]), "login", &words);
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
        let Some(site) = Site::of_family(family) else { return };
        site.archive.set(|knobs| knobs.login = answer);
        let mut command = doctor(&site, &["granules"]);
        with_password(&mut command, &site.archive);
        must_find(&site, command, "login", &[words, &site.archive.edl_host()]);
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
        (EndpointAnswer::Nonsense, &[Cumulus, Tea], "holds no temporary credentials"),
        (EndpointAnswer::RedirectLoop, &[Cumulus, Tea], "refused the token"),
    ] {
        for family in families {
            let Some(site) = Site::of_family(*family) else { return };
            site.archive.set(|knobs| knobs.endpoint = answer);
            must_find(&site, doctor(&site, &["granules"]), "login", &[words]);
        }
    }
}

/// earthdata.md, section 1: "Send the password only to the configured EDL host", and bound the
/// number of redirects.
#[test]
fn a_login_that_leads_elsewhere_is_told() {
    for family in [Family::Cumulus, Family::Tea] {
        let Some(site) = Site::of_family(family) else { return };
        type Turn = fn(&mut Knobs);
        let rows: [(Turn, &str); 3] = [
            (|knobs| knobs.trap = Trap::Endpoint, "no password was sent"),
            (|knobs| knobs.endpoint = EndpointAnswer::RedirectLoop, "did not end as it should"),
            (|knobs| knobs.endpoint = EndpointAnswer::BadRequest, "answered 400"),
        ];
        for (turn, words) in rows {
            site.archive.set(|knobs| *knobs = Knobs::default());
            site.archive.set(turn);
            let mut command = doctor(&site, &["granules"]);
            with_password(&mut command, &site.archive);
            must_find(&site, command, "login", &[words, "s3credentials"]);
        }
    }
}

/// Who nobody is, and whom nobody reaches.
#[test]
fn a_missing_identity_and_hosts_that_are_down_are_found_before_the_login() {
    let Some(site) = Site::of_family(Family::Cumulus) else { return };
    let mut nobody = doctor(&site, &["granules"]);
    nobody.env_remove("EARTHDATA_TOKEN");
    must_find(
        &site,
        nobody,
        "identity",
        &["EARTHDATA_TOKEN", "machine", &format!("{}/.netrc", home(&site))],
    );
    must_find(
        &site,
        doctor(&site, &["no-such-bucket"]),
        "login",
        &["no-such-bucket", "--credentials-endpoint"],
    );
    must_find(&site, doctor(&site, &["NOAA"]), "source", &["neither a bucket nor a data center"]);
    site.archive.set(|knobs| knobs.daac_down = true);
    must_find(&site, doctor(&site, &["granules"]), "login", &["no answer from"]);
    site.archive.set(|knobs| knobs.edl_down = true);
    let mut by_password = doctor(&site, &["granules"]);
    with_password(&mut by_password, &site.archive);
    must_find(&site, by_password, "earthdata", &[&site.archive.edl_host(), "--earthdata-host"]);
}

/// A token is shown to the data center only, so that a mount needs no login host; and what another
/// data center's how-to left in the environment is told.
#[test]
fn what_a_mount_gets_along_without_or_is_told_by_the_user_is_a_note() {
    let Some(site) = Site::of_family(Family::Tea) else { return };
    site.archive.set(|knobs| knobs.edl_down = true);
    let other = format!("{}?from=elsewhere", site.archive.credentials_url("PODAAC"));
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
        let ran = run(doctor(&site, &["granules"]).env(variable, value));
        let lines = lines(&site, &ran);
        let is_told = |(state, found, text): &(String, String, String)| {
            state == "note" && found == check && text.contains(words)
        };
        assert!(ran.code == Some(0) && lines.iter().any(is_told), "{variable}={value}: {lines:#?}");
    }
}

fn home(site: &Site) -> String {
    std::path::Path::new(&site.table()).parent().unwrap().display().to_string()
}

/// "A token's remaining days": of one that ends, by its own words.
#[test]
fn a_tokens_end_is_told() {
    let Some(site) = Site::of_family(Family::Cumulus) else { return };
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
        let ran = run(doctor(&site, &[]).env("EARTHDATA_TOKEN", token));
        let lines = lines(&site, &ran);
        let told = lines.iter().find(|(_, check, _)| check == "token").unwrap();
        assert_eq!((told.0.as_str(), told.2.starts_with(words)), (state, true), "{told:?}");
        assert_eq!(ran.code, Some(i32::from(state == "FAILED")));
    }
}

/// earthdata.md, section 3: what S3 says is the proof.
#[test]
fn what_s3_refuses_is_found_in_its_own_words() {
    let Some(site) = Site::of_family(Family::Cumulus) else { return };
    let found = |change: fn(&mut Knobs), source: &str, check: &str, words: &[&str]| {
        let before = Knobs::default();
        site.archive.set(|knobs| *knobs = before);
        site.archive.set(change);
        must_find(&site, doctor(&site, &[source]), check, words);
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
    let mut keys = doctor(&site, &["granules", "--aws-credentials"]);
    keys.env("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN").env("AWS_SECRET_ACCESS_KEY", "guess");
    assert_eq!(run(&mut keys).code, Some(0), "there is Earthdata to fall back on");
    keys.env_remove("EARTHDATA_TOKEN");
    must_find(&site, keys, "list", &["InvalidAccessKeyId", "--endpoint-url"]);
    let (key, secret) = site.archive.static_keys();
    let mut keys = doctor(&site, &["granules", "--aws-credentials"]);
    keys.env("AWS_ACCESS_KEY_ID", key)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .env_remove("EARTHDATA_TOKEN");
    assert_eq!(run(&mut keys).code, Some(0));
}

/// earthdata.md, section 3: a bucket elsewhere, none at all, and one that the endpoint's
/// credentials do not belong to.
#[test]
fn a_bucket_that_is_not_where_it_should_be_is_told() {
    let (Some(site), Some(other)) =
        (Site::of_family(Family::Cumulus), Site::of_family(Family::Cumulus))
    else {
        return;
    };
    let endpoint = site.archive.credentials_url("PODAAC");
    let unknown = doctor(&site, &["no-such-bucket", "--credentials-endpoint", &endpoint]);
    must_find(&site, unknown, "list", &["there is no such bucket"]);
    let stranger = doctor(&site, &["granules", "--endpoint-url", &other.archive.s3_url()]);
    must_find(
        &site,
        stranger,
        "list",
        &["does not accept the credentials for s3://granules/", "--endpoint-url"],
    );
    site.archive.set(|knobs| drop(knobs.regions.insert("granules".into(), "us-east-1".into())));
    must_find(
        &site,
        doctor(&site, &["granules"]),
        "list",
        &["the bucket is in us-east-1; mount with --region us-east-1"],
    );
}

/// "Hubs" (item 8): which credentials serve where the role is refused, why it was, and what else
/// would be needed.
#[test]
fn a_role_that_is_refused_is_told_with_what_serves_instead() {
    let Some(site) = Site::of_several() else { return };
    let (key, secret) = site.archive.static_keys_of(&["nsidc-local-protected"]);
    let ask = |source: &str, change: fn(&mut Command)| {
        let mut command = doctor(&site, &[source, "--aws-credentials"]);
        command.env("AWS_ACCESS_KEY_ID", &key).env("AWS_SECRET_ACCESS_KEY", &secret);
        change(&mut command);
        let ran = run(&mut command);
        let told = lines(&site, &ran).into_iter().filter(|(state, check, _)| {
            state == "FAILED" || ["identity", "fallback"].contains(&&**check)
        });
        (
            ran.code.unwrap(),
            told.map(|(state, check, text)| format!("{state} {check}: {text}"))
                .collect::<Vec<_>>()
                .join("\n"),
        )
    };
    let endpoint = site.archive.credentials_url("ASF");
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
    site.archive.set(|knobs| knobs.daac("ASF").bearer = Some(BearerAnswer::Eula));
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
    let Some(site) = Site::of_family(Family::Tea) else { return };
    for (listing, source, states) in [
        (Listing::Under(vec!["folder/".into()]), "granules/folder", &["note", "ok", "ok"][..]),
        (Listing::Under(vec!["folder/".into()]), "granules", &["note", "FAILED"]),
        (Listing::Denied, "granules", &["note", "FAILED"]),
        (Listing::Denied, "granules/folder", &["note", "note", "FAILED"]),
        (Listing::Denied, "s3://granules/folder/one.txt", &["note", "ok"]),
    ] {
        site.archive.set(|knobs| knobs.listing = listing);
        let ran = run(&mut doctor(&site, &[source]));
        let lines = lines(&site, &ran);
        let at_s3 = lines.iter().filter(|(_, check, _)| check == "list" || check == "read");
        assert_eq!(
            (ran.code, at_s3.map(|(state, ..)| state.as_str()).collect::<Vec<_>>()),
            (Some(i32::from(states.contains(&"FAILED"))), states.to_vec()),
            "{lines:#?}"
        );
    }
}

/// A wrong clock is told and does no harm: requests are signed with the server's time.
#[test]
fn a_clock_that_is_wrong_is_told() {
    let Some(site) = Site::of_family(Family::Cumulus) else { return };
    site.archive.set(|knobs| knobs.clock_shift = 3600);
    let ran = run(&mut doctor(&site, &["granules"]));
    let lines = lines(&site, &ran);
    assert_eq!(ran.code, Some(0), "{lines:#?}");
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
    let Some(site) = Site::of_family(Family::Cumulus) else { return };
    for (region, state, words) in [
        ("us-west-2", "ok", "this machine says that it is in us-west-2"),
        (
            "eu-central-1",
            "note",
            "this machine says that it is in eu-central-1, the bucket is in us-west-2",
        ),
    ] {
        let mut command = doctor(&site, &["granules"]);
        command
            .env_remove("AWS_EC2_METADATA_DISABLED")
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", instance_in(region));
        let ran = run(&mut command);
        let told = lines(&site, &ran).into_iter().find(|(_, check, _)| check == "region").unwrap();
        assert_eq!((told.0.as_str(), told.2.as_str(), ran.code), (state, words, Some(0)));
    }
}

/// Several buckets: each endpoint is asked once, and one that is broken touches no other.
#[test]
fn one_broken_endpoint_is_told_beside_those_that_work() {
    let Some(site) = Site::of(Setup::three_daacs()) else { return };
    for bucket in [
        "podaac-local-protected",
        "podaac-local-public",
        "nsidc-local-protected",
        "asf-local-products",
        "asf-local-browse",
    ] {
        site.archive.put(bucket, "a.nc", "a");
    }
    site.archive.set(|knobs| knobs.daac("NSIDC").bearer = Some(BearerAnswer::Refuse));
    let ran = run(&mut doctor(&site, &["earthdata"]));
    let told = lines(&site, &ran);
    let count = |state: &str, check: &str| {
        told.iter().filter(|line| line.0 == state && line.1 == check).count()
    };
    assert_eq!(
        (ran.code, count("ok", "read"), count("FAILED", "login"), count("skipped", "bucket")),
        (Some(1), 4, 1, 1),
        "{told:#?}"
    );
    assert_eq!(["PODAAC", "ASF"].map(|daac| site.archive.daac_stats(daac).issued), [1, 1]);
}
