//! "Secrets ... never reach a log, an error, `--help`, the process list or a core file's easy
//! reach" (issue 2).

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fake_daac::{BearerAnswer, Content, FakeDaac};
use rustix::process::Signal;

use crate::harness::{BUCKET, Mount, PATIENCE, Plan, Site, errno, eventually, wait};

/// The archive's secrets in every form that they travel in.
fn secrets(archive: &FakeDaac) -> Vec<String> {
    let mut secrets = archive.secrets();
    secrets.push(STANDARD.encode(format!("{}:{}", archive.user(), archive.password())));
    let encoded: String = archive.password().bytes().map(|byte| format!("%{byte:02X}")).collect();
    secrets.push(encoded);
    secrets.retain(|secret| !secret.is_empty());
    secrets
}

#[track_caller]
fn must_hold_no_secret(archive: &FakeDaac, what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for secret in secrets(archive) {
        assert!(!text.contains(&secret), "{what} holds {secret:?}:\n{text}");
    }
}

fn verbose(site: &Site) -> Plan {
    site.archive.put(BUCKET, "folder/data", Content::synthetic(1 << 40));
    site.archive.set(|knobs| knobs.credential_life = Duration::from_secs(2));
    site.archive.set(|knobs| knobs.bearer = BearerAnswer::Refuse);
    let plan = site.plan(BUCKET).args(&["-vvv", "--timeout=2s", "--metadata-ttl=1s"]);
    plan.env("EARTHDATA_USERNAME", site.archive.user())
        .env("EARTHDATA_PASSWORD", site.archive.password())
}

/// A token refused, a password taken, swaps, cookies gone stale, Earthdata down, S3 saying no.
fn live_through_everything(site: &Site, mount: &Mount) {
    let mut number = 0;
    let mut read = || {
        number += 1;
        let at = number << 24;
        let mut file = fs::File::open(mount.at("folder/data"))?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(at))?;
        file.read_exact(&mut [0; 100])
    };
    eventually("a swap", PATIENCE, || {
        read().unwrap();
        site.archive.stats().issued >= 2
    });
    assert_eq!(xattr::get(mount.at("folder/data"), "user.nothing").unwrap(), None);
    site.archive.set(|knobs| knobs.cookie_life = Duration::ZERO);
    site.archive.set(|knobs| knobs.daac_down = true);
    eventually("Earthdata is missed", PATIENCE, || errno(read()) == libc::EACCES);
    site.archive
        .set(|knobs| (knobs.daac_down, knobs.cookie_life) = (false, Duration::from_secs(3600)));
    eventually("Earthdata is back", PATIENCE, || errno(read()) == 0);
    site.archive.set(|knobs| knobs.unreadable = vec!["folder/".into()]);
    eventually("S3 says no", PATIENCE, || errno(read()) == libc::EACCES);
}

/// "a test greps a whole run's output at the most verbose level for them": the log file, and what
/// the process list shows.
#[test]
fn a_verbose_log_and_the_process_list_hold_no_secret() {
    let Some(site) = Site::start() else { return };
    let mount = verbose(&site).mount();
    live_through_everything(&site, &mount);
    let log = mount.log();
    for told in [
        "new S3 credentials",
        "the token was refused",
        "no new S3 credentials",
        "AccessDenied",
        "TRACE",
    ] {
        assert!(log.contains(told), "the log tells nothing of {told:?}");
    }
    assert!(secrets(&site.archive).len() > 8, "there were swaps");
    must_hold_no_secret(&site.archive, "the log", log.as_bytes());
    must_hold_no_secret(&site.archive, "the process list", &mount.server().command_line());
    let statistics = xattr::get(mount.path(), "user.granulefs.statistics").unwrap().unwrap();
    must_hold_no_secret(&site.archive, "the statistics", &statistics);
    assert_eq!(site.archive.stats().leaks, 0);
}

/// The same for a foreground mount that logs to standard error.
#[test]
fn the_output_of_a_verbose_foreground_mount_holds_no_secret() {
    let Some(site) = Site::start() else { return };
    let (mount, mut child) = verbose(&site).without_log_file().serve();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let collect = std::thread::spawn(move || {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).map(|_| text)
    });
    live_through_everything(&site, &mount);
    mount.server().signal(Signal::TERM);
    wait(&mut child, PATIENCE);
    let stderr = collect.join().unwrap().unwrap();
    assert!(String::from_utf8_lossy(&stderr).contains("new S3 credentials"));
    must_hold_no_secret(&site.archive, "standard error", &stderr);
    let mut text = Vec::new();
    stdout.read_to_end(&mut text).unwrap();
    assert_eq!(text, b"");
}

/// A login that fails says so without what was tried.
#[test]
fn messages_of_failed_logins_hold_no_secret() {
    let Some(site) = Site::with_one_object() else { return };
    site.archive.set(|knobs| (knobs.bearer, knobs.edl_down) = (BearerAnswer::Refuse, true));
    let plan = site.plan(BUCKET).args(&["-vvv"]);
    let log = plan.place().log();
    let plan = plan
        .env("EARTHDATA_USERNAME", site.archive.user())
        .env("EARTHDATA_PASSWORD", site.archive.password());
    let ran = plan.run();
    assert_eq!(ran.code, Some(1));
    must_hold_no_secret(&site.archive, "the message", ran.stderr.as_bytes());
    must_hold_no_secret(&site.archive, "the log", &fs::read(log).unwrap());
}

/// Nor does a crash leave them in a core file, not even where the user asks for core files and
/// other programs leave one.
#[test]
fn a_crash_leaves_no_core_file() {
    let Some(site) = Site::with_one_object() else { return };
    let folder = tempfile::tempdir().unwrap();
    let crash = "ulimit -c unlimited; kill -ABRT $$";
    let usual =
        Command::new("bash").args(["-c", crash]).current_dir(folder.path()).status().unwrap();
    if !usual.core_dumped() {
        return eprintln!("skipped: no program leaves a core file here");
    }
    let (mount, mut child) = site.plan(BUCKET).with_core_files().serve();
    mount.server().signal(Signal::ABORT);
    let status = child.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(libc::SIGABRT), false));
}
