//! `granulefs credentials SOURCE` prints credentials for other programs. In these tests the other
//! program is granulefs itself, which reads AWS credentials with the AWS SDK.

use std::fs;
use std::process::Command;

use fake_daac::Setup;

use crate::harness::{BUCKET, CommandOutput, MountCommand, PROGRAM, TestEnvironment, run};

fn ask(environment: &TestEnvironment, source: &str, options: &[&str]) -> CommandOutput {
    environment.run_granulefs(
        &[&["credentials", source, "--buckets-file", &environment.buckets_file_path()], options]
            .concat(),
    )
}

fn with_aws(environment: &TestEnvironment, source: &str) -> MountCommand {
    let mount_command = environment.mount_command(source).args(&["--aws-credentials"]);
    ["EARTHDATA_TOKEN", "S3_CREDENTIAL_ENDPOINT", "EARTHDATA_HOST"]
        .into_iter()
        .fold(mount_command, MountCommand::without_env)
}

#[track_caller]
fn must_read(mount_command: MountCommand) {
    let mount = mount_command.mount();
    assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
}

/// After `eval "$(granulefs credentials SOURCE)"` the shell's variables open the bucket.
#[test]
fn the_shell_variables_open_the_bucket() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let script = format!(
        "eval \"$(\"$1\" credentials granules --buckets-file '{}')\"; env -0 | grep -z ^AWS_",
        environment.buckets_file_path()
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &script, "-", PROGRAM]);
    environment.set_variables(&mut bash);
    let variables = String::from_utf8(run(&mut bash).must_succeed()).unwrap();
    let pairs = variables.split('\0').filter_map(|line| line.split_once('='));
    let mount_command = pairs
        .fold(with_aws(&environment, BUCKET), |mount_command, (name, value)| {
            mount_command.env(name, value)
        });
    assert!(variables.contains("AWS_SESSION_TOKEN=") && variables.contains("AWS_REGION=us-west-2"));
    must_read(mount_command);
    assert_eq!(environment.fake_daac.stats().issued, 1);
}

/// The format `process` is the one of AWS's setting `credential_process`, so that a profile makes
/// the AWS SDK log in through granulefs. The profile holds no secret.
#[test]
fn a_profile_makes_the_aws_sdk_log_in_through_granulefs() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let profile =
        String::from_utf8(ask(&environment, BUCKET, &["--format", "aws-profile"]).must_succeed())
            .unwrap();
    assert_eq!(environment.fake_daac.stats().credentials, 0);
    for secret in environment.fake_daac.secrets() {
        assert!(!profile.contains(&secret), "{profile}");
    }
    assert!(
        profile
            .contains("\n[profile earthdata-granules]\nregion = us-west-2\ncredential_process = "),
        "{profile}"
    );
    let file = format!("{}.profile", environment.buckets_file_path());
    fs::write(&file, &profile).unwrap();
    let mount_command = with_aws(&environment, BUCKET)
        .env("AWS_CONFIG_FILE", &file)
        .env("AWS_PROFILE", "earthdata-granules");
    must_read(mount_command.env("EARTHDATA_TOKEN", environment.fake_daac.token()));
    assert_eq!(environment.fake_daac.stats().issued, 1);
}

/// The formats `process` and `json` have the fields of AWS and of `/s3credentials`.
#[test]
fn json_has_the_fields_of_aws_or_of_s3credentials() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let read = |format: &str| {
        let text = ask(&environment, BUCKET, &["--format", format]).must_succeed();
        serde_json::from_slice::<serde_json::Map<_, _>>(&text).unwrap()
    };
    let fields = |json: &serde_json::Map<String, serde_json::Value>| {
        json.keys().cloned().collect::<Vec<_>>()
    };
    let process = read("process");
    assert_eq!(
        fields(&process),
        ["AccessKeyId", "Expiration", "SecretAccessKey", "SessionToken", "Version"]
    );
    assert_eq!(process["Version"], 1);
    let json = read("json");
    assert_eq!(
        fields(&json),
        ["accessKeyId", "expiration", "region", "secretAccessKey", "sessionToken"]
    );
    let secrets = environment.fake_daac.secrets();
    for value in [
        &process["SecretAccessKey"],
        &process["SessionToken"],
        &json["secretAccessKey"],
        &json["sessionToken"],
    ] {
        assert!(secrets.iter().any(|secret| value == secret));
    }
    assert_ne!(process["AccessKeyId"], json["accessKeyId"]);
}

/// Credentials belong to an endpoint: a source of several buckets behind one endpoint has
/// credentials, a source of several endpoints is an error.
#[test]
fn a_data_center_with_one_endpoint_has_credentials() {
    let Some(environment) = TestEnvironment::with_setup(Setup::three_daacs()) else { return };
    for source in ["podaac", "s3://podaac-local-public/a/x.nc", "asf"] {
        assert_eq!(ask(&environment, source, &[]).code, Some(0), "{source}");
    }
    assert_eq!(
        (
            environment.fake_daac.daac_stats("PODAAC").issued,
            environment.fake_daac.daac_stats("ASF").issued
        ),
        (2, 1)
    );
    let several = ask(&environment, "earthdata", &[]);
    assert_eq!((several.code, several.stdout_text().as_str()), (Some(1), ""));
    assert!(
        several.stderr.contains("one endpoint") && several.stderr.contains("asf-local-products"),
        "{}",
        several.stderr
    );
}

/// Without `--show` secrets are not printed to a terminal, and no request is sent.
#[test]
fn secrets_are_printed_to_a_terminal_only_with_show() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let on_a_terminal = |options: &str| {
        let command = format!(
            "'{PROGRAM}' credentials granules --buckets-file '{}' {options}",
            environment.buckets_file_path()
        );
        let mut script = Command::new("script");
        script.args(["-qec", &command, "/dev/null"]);
        environment.set_variables(&mut script);
        run(&mut script)
    };
    let refused = on_a_terminal("--format json");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stdout_text().contains("--show"), "{}", refused.stdout_text());
    assert_eq!(environment.fake_daac.stats().credentials, 0);
    assert!(on_a_terminal("--format json --show").stdout_text().contains("sessionToken"));
    assert!(on_a_terminal("--format aws-profile").stdout_text().contains("[profile"));
}

/// A failed login has the same message as at a mount, on standard error and without a secret.
#[test]
fn a_failed_login_has_the_message_of_a_mount() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let mut program = environment.granulefs(&[
        "credentials",
        BUCKET,
        "--buckets-file",
        &environment.buckets_file_path(),
        "--format",
        "process",
    ]);
    program
        .env_remove("EARTHDATA_TOKEN")
        .env("EARTHDATA_USERNAME", "ada")
        .env("EARTHDATA_PASSWORD", "guess");
    let output = run(&mut program);
    assert_eq!((output.code, output.stdout_text().as_str()), (Some(1), ""));
    let mount_command = environment
        .mount_command(BUCKET)
        .without_env("EARTHDATA_TOKEN")
        .env("EARTHDATA_USERNAME", "ada")
        .env("EARTHDATA_PASSWORD", "guess");
    assert_eq!(output.stderr, format!("granulefs: {}\n", mount_command.must_fail()));
    for secret in environment.fake_daac.secrets() {
        assert!(!output.stderr.contains(&secret));
    }
}
