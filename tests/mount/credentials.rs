//! "`granulefs credentials SOURCE`: prints working credentials for other programs" (issue 5, item
//! 4). The other program is granulefs itself, which reads AWS credentials with Amazon's own SDK.

use std::fs;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fake_daac::{FakeDaac, Setup};

use crate::harness::{BUCKET, PROGRAM, Plan, Ran, Site, run};

fn ask(site: &Site, source: &str, options: &[&str]) -> Ran {
    site.ask(&[&["credentials", source, "--buckets-file", &site.table()], options].concat())
}

fn with_aws(site: &Site, source: &str) -> Plan {
    let plan = site.plan(source).args(&["--aws-credentials"]);
    ["EARTHDATA_TOKEN", "S3_CREDENTIAL_ENDPOINT", "EARTHDATA_HOST"]
        .into_iter()
        .fold(plan, Plan::without)
}

#[track_caller]
fn must_read(plan: Plan) {
    let mount = plan.mount();
    assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
}

/// `eval "$(granulefs credentials SOURCE)"`: the shell's variables open the bucket.
#[test]
fn a_shell_takes_the_variables_and_they_open_the_bucket() {
    let Some(site) = Site::with_one_object() else { return };
    let script = format!(
        "eval \"$(\"$1\" credentials granules --buckets-file '{}')\"; env -0 | grep -z ^AWS_",
        site.table()
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &script, "-", PROGRAM]);
    site.equip(&mut bash);
    let variables = String::from_utf8(run(&mut bash).success()).unwrap();
    let pairs = variables.split('\0').filter_map(|line| line.split_once('='));
    let plan = pairs.fold(with_aws(&site, BUCKET), |plan, (name, value)| plan.env(name, value));
    assert!(variables.contains("AWS_SESSION_TOKEN=") && variables.contains("AWS_REGION=us-west-2"));
    must_read(plan);
    assert_eq!(site.archive.stats().issued, 1);
}

/// "`process` is what the AWS `credential_process` setting wants": a profile makes Amazon's SDK log
/// in through granulefs. It holds no secret, so a terminal may see it.
#[test]
fn a_profile_makes_the_aws_sdk_log_in_through_granulefs() {
    let Some(site) = Site::with_one_object() else { return };
    let profile =
        String::from_utf8(ask(&site, BUCKET, &["--format", "aws-profile"]).success()).unwrap();
    assert_eq!(site.archive.stats().credentials, 0);
    for secret in secrets(&site.archive) {
        assert!(!profile.contains(&secret), "{profile}");
    }
    assert!(
        profile
            .contains("\n[profile earthdata-granules]\nregion = us-west-2\ncredential_process = "),
        "{profile}"
    );
    let file = format!("{}.profile", site.table());
    fs::write(&file, &profile).unwrap();
    let plan = with_aws(&site, BUCKET)
        .env("AWS_CONFIG_FILE", &file)
        .env("AWS_PROFILE", "earthdata-granules");
    must_read(plan.env("EARTHDATA_TOKEN", site.archive.token()));
    assert_eq!(site.archive.stats().issued, 1);
}

/// The two kinds of JSON have the fields that their readers look for, and end when the archive's
/// credentials do.
#[test]
fn json_has_the_fields_of_aws_or_of_earthdata() {
    let Some(site) = Site::with_one_object() else { return };
    let read = |format: &str| {
        let text = ask(&site, BUCKET, &["--format", format]).success();
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
    let secrets = site.archive.secrets();
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

/// Credentials belong to an endpoint: several buckets behind one are one answer, several endpoints
/// are none.
#[test]
fn a_data_center_with_one_endpoint_is_as_good_as_a_bucket() {
    let Some(site) = Site::of(Setup::three_daacs()) else { return };
    for source in ["podaac", "s3://podaac-local-public/a/x.nc", "asf"] {
        assert_eq!(ask(&site, source, &[]).code, Some(0), "{source}");
    }
    assert_eq!(
        (site.archive.daac_stats("PODAAC").issued, site.archive.daac_stats("ASF").issued),
        (2, 1)
    );
    let several = ask(&site, "earthdata", &[]);
    assert_eq!((several.code, several.text().as_str()), (Some(1), ""));
    assert!(
        several.stderr.contains("one endpoint") && several.stderr.contains("asf-local-products"),
        "{}",
        several.stderr
    );
}

/// "Refuses to print to a terminal without `--show`", before anything is asked.
#[test]
fn a_terminal_sees_secrets_only_with_show() {
    let Some(site) = Site::with_one_object() else { return };
    let on_a_terminal = |options: &str| {
        let command =
            format!("'{PROGRAM}' credentials granules --buckets-file '{}' {options}", site.table());
        let mut script = Command::new("script");
        script.args(["-qec", &command, "/dev/null"]);
        site.equip(&mut script);
        run(&mut script)
    };
    let refused = on_a_terminal("--format json");
    assert_eq!(refused.code, Some(1));
    assert!(refused.text().contains("--show"), "{}", refused.text());
    assert_eq!(site.archive.stats().credentials, 0);
    assert!(on_a_terminal("--format json --show").text().contains("sessionToken"));
    assert!(on_a_terminal("--format aws-profile").text().contains("[profile"));
}

/// The message of a login that fails is the mount's own, on standard error and without a secret.
#[test]
fn a_login_that_fails_is_told_as_a_mount_tells_it() {
    let Some(site) = Site::with_one_object() else { return };
    let mut program = site.program(&[
        "credentials",
        BUCKET,
        "--buckets-file",
        &site.table(),
        "--format",
        "process",
    ]);
    program
        .env_remove("EARTHDATA_TOKEN")
        .env("EARTHDATA_USERNAME", "ada")
        .env("EARTHDATA_PASSWORD", "guess");
    let ran = run(&mut program);
    assert_eq!((ran.code, ran.text().as_str()), (Some(1), ""));
    let plan = site
        .plan(BUCKET)
        .without("EARTHDATA_TOKEN")
        .env("EARTHDATA_USERNAME", "ada")
        .env("EARTHDATA_PASSWORD", "guess");
    assert_eq!(ran.stderr, format!("granulefs: {}\n", plan.refusal()));
    for secret in secrets(&site.archive) {
        assert!(!ran.stderr.contains(&secret));
    }
}

fn secrets(archive: &FakeDaac) -> Vec<String> {
    let mut secrets = archive.secrets();
    secrets.push(STANDARD.encode(format!("{}:{}", archive.user(), archive.password())));
    secrets
}
