//! `granulefs doctor [SOURCE]` checks in order what a mount needs, and prints a line for each
//! check.

mod login;
mod mounted;
mod s3;

use std::process::Command;

use fake_daac::{FakeDaac, Family};

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

/// Returns state, check and text of every line.
fn lines(environment: &TestEnvironment, output: &CommandOutput) -> Vec<(String, String, String)> {
    let text = output.stdout_text();
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    for secret in environment.fake_daac.secrets() {
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

/// Runs a `doctor` that must fail in exactly one line, the one of `check`, with these words.
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

/// With healthy servers every check passes, in the order in which a mount needs them, and the exit
/// code is 0.
#[test]
fn every_check_passes_with_healthy_servers() {
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

/// The JSON has the same checks as the lines, with and without a source, and after a failure.
#[test]
fn json_has_the_same_checks_as_the_lines() {
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
