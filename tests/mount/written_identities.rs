//! Identities as people, editors and other programs write them: each logs in, or the message says
//! what is wrong, with the line.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::harness::{BUCKET, MountCommand, TIMEOUT, TestEnvironment, eventually, run};

fn must_read(mount_command: MountCommand) -> String {
    let mount = mount_command.mount();
    assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
    mount.log()
}

/// Writes a netrc that only its owner can read.
fn write_netrc(home: &Path, content: &[u8]) {
    let path = home.join(".netrc");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn with_netrc(environment: &TestEnvironment, content: &[u8]) -> MountCommand {
    let command = environment.mount_command(BUCKET).without_env("EARTHDATA_TOKEN");
    write_netrc(command.directory().home(), content);
    command
}

/// A byte order mark, bytes outside UTF-8 in other entries, line ends of Windows, `default` before
/// or after the entry, and a port in the entry or not.
#[test]
fn a_netrc_logs_in_whatever_stands_around_the_entry() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let fake_daac = &environment.fake_daac;
    let host = fake_daac.login_host();
    let entry = |machine: &str| {
        let (user, password) = (fake_daac.user(), fake_daac.password());
        format!("machine {machine} login {user} password \"{password}\"\n").into_bytes()
    };
    let default = &b"default login anonymous password guest\n"[..];
    let name = entry("localhost");
    for (what, content) in [
        ("a byte order mark", [b"\xef\xbb\xbf", &name[..]].concat()),
        ("Latin-1 elsewhere", [b"machine a login caf\xe9 password \xff\n", &name[..]].concat()),
        ("default before", [default, &name].concat()),
        ("default after", [&name, default].concat()),
        ("the port, default before", [default, &entry(&host)].concat()),
        (
            "the port, the name before",
            [&entry("localhost")[..22], b" password x\n", &entry(&host)].concat(),
        ),
        ("Windows", [b"machine a\r\nlogin b\r\npassword c\r\n", &name[..]].concat()),
    ] {
        let log = must_read(with_netrc(&environment, &content));
        assert!(!log.contains("WARN"), "{what}: {log}");
        let stats = fake_daac.stats();
        assert_eq!((stats.rejected, stats.leaked_secrets), (0, 0), "{what}");
    }
}

/// A mistake in the netrc is named with its line, and where to get a token is said.
#[test]
fn a_netrc_that_does_not_log_in_says_what_is_wrong_with_which_line() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let host = environment.fake_daac.login_host();
    for (content, words) in [
        (&b"machine a login b password hush"[..], "has no entry for localhost:"),
        (b"\nmachine localhost username ada password hush", "\"username\" on line 2 where"),
        (b"machine a login b password hushmachine localhost login c password d", "line 1"),
        (b"machine localhost login ada password hush\xe9", "on line 1 that is not UTF-8"),
        (b"\xff\xfem\0a\0c\0h\0i\0n\0e\0", "is UTF-16"),
    ] {
        let command = with_netrc(&environment, content);
        let path = command.directory().home().join(".netrc").display().to_string();
        let message = command.must_fail();
        let token = format!("https://{host}/ (\"Generate Token\")");
        for part in ["no Earthdata Login identity found", words, &path, &token] {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
        assert!(!message.contains("hush"), "{message}");
    }
    let command = environment.mount_command(BUCKET).without_env("EARTHDATA_TOKEN");
    command.must_fail_with(&["found (there is no /", ".netrc): set EARTHDATA_TOKEN"]);
    assert_eq!(environment.fake_daac.stats().logins, 0);
}

/// A wrong password names its line, as the next one may be right.
#[test]
fn a_wrong_password_of_a_netrc_is_named_with_its_line() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let command = with_netrc(&environment, b"\ndefault login ada password guess");
    command.must_fail_with(&["refused the user name or password", "/.netrc, line 2;"]);
}

/// Where others can read the netrc, the log and `doctor` say so.
#[test]
fn a_netrc_that_others_can_read_is_a_warning() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let (user, password) = (environment.fake_daac.user(), environment.fake_daac.password());
    let content = format!("machine localhost login {user} password \"{password}\"\n");
    let command = with_netrc(&environment, content.as_bytes());
    let path = command.directory().home().join(".netrc");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut doctor = environment.granulefs(&["doctor"]);
    let output = run(doctor.env_remove("EARTHDATA_TOKEN").env("NETRC", &path));
    let words = "others can read it (mode 0644): chmod 600 it";
    let log = must_read(command);
    for text in [log, output.stdout_text()] {
        assert!(text.contains(words) && !text.contains(password), "{text}");
    }
}

/// Quotes and line ends that an env file or an editor leaves are no part of a token, a user name
/// and a password.
#[test]
fn a_token_and_a_password_log_in_with_whatever_was_left_around_them() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let fake_daac = &environment.fake_daac;
    let token = fake_daac.token();
    for value in [format!("\"{token}\""), format!("'{token}'\r"), format!(" {token}\r\n")] {
        must_read(environment.mount_command(BUCKET).env("EARTHDATA_TOKEN", value));
    }
    let command = environment.mount_command(BUCKET).without_env("EARTHDATA_TOKEN");
    must_read(
        command
            .env("EARTHDATA_USERNAME", format!("\"{}\"", fake_daac.user()))
            .env("EARTHDATA_PASSWORD", format!("\"{}\"\r\n", fake_daac.password())),
    );
    let quoted = environment.mount_command(BUCKET).without_env("EARTHDATA_TOKEN");
    quoted
        .env("EARTHDATA_USERNAME", fake_daac.user())
        .env("EARTHDATA_PASSWORD", "\"hush\"")
        .must_fail_with(&["refused the user name", "with the quotes around it", "env file"]);
    let bytes = environment.mount_command(BUCKET).without_env("EARTHDATA_TOKEN");
    bytes
        .env("EARTHDATA_USERNAME", fake_daac.user())
        .env("EARTHDATA_PASSWORD", std::ffi::OsString::from_vec(b"hush\xe9".into()))
        .must_fail_with(&["EARTHDATA_PASSWORD holds bytes that are not UTF-8"]);
}

/// The log tells the end of a token days before it comes, once for all renewals of a day.
#[test]
fn a_token_that_ends_soon_is_a_warning() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let fake_daac = &environment.fake_daac;
    fake_daac.set(|knobs| knobs.credential_life = Duration::from_secs(2));
    let end = SystemTime::now() + Duration::from_secs(3 * 24 * 3600 + 60);
    let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{end}}}"#)));
    let command = environment.mount_command(BUCKET).env("EARTHDATA_TOKEN", &token);
    let mount = command
        .args(&["--metadata-ttl=0"])
        .env("EARTHDATA_USERNAME", fake_daac.user())
        .env("EARTHDATA_PASSWORD", fake_daac.password())
        .mount();
    eventually("two renewals", TIMEOUT, || {
        fs::metadata(mount.at("folder/one.txt")).unwrap();
        fake_daac.stats().issued >= 3
    });
    let log = mount.log();
    let words = format!(
        "the Earthdata token from EARTHDATA_TOKEN ends in 3 days; make a new one at https://{}/",
        fake_daac.login_host()
    );
    assert_eq!((log.matches(&words).count(), log.matches("WARN").count()), (1, 2), "{log}");
    assert!(log.contains("the Earthdata token was refused") && !log.contains(&token), "{log}");
}

/// A token file that is missing is named by the message. One that is there is in the profile for
/// other programs, with its whole path.
#[test]
fn a_token_file_is_named_where_it_is_missing_and_in_the_profile_for_others() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let command = || environment.mount_command(BUCKET).without_env("EARTHDATA_TOKEN");
    command()
        .args(&["--token-file", "/nowhere/token"])
        .must_fail_with(&["/nowhere/token: cannot read the token file: No such file"]);
    // Set to nothing, it is not set.
    must_read(environment.mount_command(BUCKET).env("EARTHDATA_TOKEN_FILE", ""));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), environment.fake_daac.token()).unwrap();
    let arguments = ["credentials", BUCKET, "--format", "aws-profile", "--token-file", "token"];
    let mut profile = environment.granulefs(&arguments);
    let endpoint = environment.fake_daac.credentials_url("PODAAC");
    profile.env_remove("EARTHDATA_TOKEN").env("S3_CREDENTIAL_ENDPOINT", endpoint);
    let profile = run(profile.current_dir(folder.path())).must_succeed();
    let profile = String::from_utf8(profile).unwrap();
    let path = folder.path().join("token").display().to_string();
    assert!(profile.contains(&format!("--token-file {path}")), "{profile}");
}
