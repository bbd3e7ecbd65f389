//! Stores that are not what S3 is, and ways to a store that lead nowhere: a mount says so within
//! seconds, and shows whatever can be shown (docs/semantics.md, "Odd stores").

use std::net::TcpListener;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use fake_daac::{Content, Failure, Fault, Knobs, Lie, Listing, RequestKind};

use crate::harness::{BUCKET, MountCommand, TestEnvironment, errno, run, run_tool};

/// Far less than the deadline of an operation, and more than a busy machine needs.
const SECONDS: Duration = Duration::from_secs(20);

#[track_caller]
fn must_fail_soon(mount_command: MountCommand, words: &[&str]) {
    let began = Instant::now();
    mount_command.must_fail_with(words);
    assert!(began.elapsed() < SECONDS, "{words:?}: {:?}", began.elapsed());
}

/// Runs the commands at the same time.
fn must_all_fail_soon<const N: usize>(commands: [(MountCommand, &[&str]); N]) {
    thread::scope(|scope| {
        for (command, words) in commands {
            scope.spawn(move || must_fail_soon(command, words));
        }
    });
}

/// Where nothing answers, or something else than S3, a mount fails within seconds, with the cause.
#[test]
fn a_store_that_is_not_there_is_told_within_seconds() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let at =
        |source: &str, url: &str| environment.mount_command(source).env("AWS_ENDPOINT_URL_S3", url);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (closed, real) = (format!("http://{closed}"), environment.fake_daac.s3_url());
    let no_tls = real.replace("http:", "https:");
    let file = "s3://granules/folder/one.txt";
    must_all_fail_soon([
        (at(BUCKET, &closed), &["no answer from S3", "Connection refused", "given up after"][..]),
        (at(file, &closed), &["no answer from S3", "Connection refused", "given up after"]),
        (at(BUCKET, "https://s3.store.invalid"), &["no answer from S3", "dns error"]),
        (at(BUCKET, &no_tls), &["no answer from S3", "TLS"]),
    ]);
    for status in [200, 302, 403, 404] {
        environment.fake_daac.set(|knobs| knobs.web_page = Some(status));
        let sources = [at(BUCKET, &real), at(file, &real)];
        must_all_fail_soon(
            sources.map(|command| (command, &["a web page answers in place of S3"][..])),
        );
    }
}

/// `doctor` finds the same as a mount, as soon.
#[test]
fn doctor_finds_a_store_that_is_not_there_within_seconds() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let began = Instant::now();
    let table = environment.buckets_file_path();
    let mut doctor = environment.granulefs(&["doctor", BUCKET, "--buckets-file", &table]);
    let output = run(doctor.env("AWS_ENDPOINT_URL_S3", "https://s3.store.invalid"));
    let text = output.stdout_text();
    let line = text.lines().find(|line| line.starts_with("FAILED   list")).unwrap_or(&text);
    assert!(output.code == Some(1) && line.contains("dns error"), "{text}");
    assert!(began.elapsed() < SECONDS, "{:?}", began.elapsed());
}

/// A mount that runs waits for a store that answers with a web page, and for one that went away.
#[test]
fn a_running_mount_waits_for_its_store() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment.fake_daac.put(BUCKET, "folder/two.txt", "two\n");
    for status in [200, 404] {
        let mount = environment.mount(BUCKET);
        let known = fs::File::open(mount.at("folder/one.txt")).unwrap();
        environment.fake_daac.set(|knobs| knobs.web_page = Some(status));
        let (folder, unknown) = (mount.at("folder"), mount.at("folder/no.txt"));
        let not_yet_known = mount.at("folder/two.txt");
        let readers = (
            thread::spawn(move || fs::read_dir(folder).unwrap().count()),
            thread::spawn(move || io::read_to_string(known).unwrap()),
            thread::spawn(move || errno(fs::metadata(unknown))),
            thread::spawn(move || fs::metadata(not_yet_known).unwrap().len()),
        );
        thread::sleep(Duration::from_secs(5));
        environment.fake_daac.set(|knobs| knobs.web_page = None);
        assert_eq!(readers.0.join().unwrap(), 2, "{status}");
        assert_eq!(readers.1.join().unwrap(), "one\n", "{status}");
        assert_eq!(readers.2.join().unwrap(), libc::ENOENT, "{status}");
        assert_eq!(readers.3.join().unwrap(), 4, "{status}");
    }
}

/// A mount takes no byte from an answer that a proxy has changed, and no absence from its 404.
#[test]
fn a_mount_believes_only_its_store() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let fake_daac = &environment.fake_daac;
    fake_daac.put(BUCKET, "folder/big", Content::synthetic(3_000_001));
    let mount = environment.mount(BUCKET);
    for (lie, kind) in [
        (Lie::NotFound, RequestKind::Head),
        (Lie::ForeignKeys, RequestKind::List),
        (Lie::CompressedPart, RequestKind::Get),
        (Lie::PageWithOwnEtag, RequestKind::Get),
        (Lie::NotFound, RequestKind::Get),
    ] {
        let fault = Fault::new(Failure::Lie(lie)).on(kind).containing("folder/big");
        fake_daac.add_fault(fault.times(2));
    }
    let read = fs::read(mount.at("folder/big")).unwrap();
    let expected = fake_daac.expected(BUCKET, "folder/big").unwrap();
    assert!(read == expected.read(0..expected.size).unwrap(), "wrong bytes");
    assert_eq!(fake_daac.stats().faults, 10);
}

/// A secret key that S3 does not have is a refusal in words at mount time, and makes no directories
/// of names that are missing.
#[test]
fn a_wrong_secret_key_is_refused_at_mount_time() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let wrong = environment.mount_command_with_aws_keys(BUCKET);
    let wrong = wrong.env("AWS_SECRET_ACCESS_KEY", "guess");
    must_fail_soon(wrong, &["SignatureDoesNotMatch", "is the secret key right", "--endpoint-url"]);
    let wrong = environment.mount_command_with_aws_keys("s3://granules/folder/one.txt");
    let wrong = wrong.env("AWS_SECRET_ACCESS_KEY", "guess");
    must_fail_soon(wrong, &["SignatureDoesNotMatch", "is the secret key right"]);
}

/// Objects that are listed without an etag are shown, and can be read; each open costs a HEAD. An
/// object that was replaced is read anew.
#[test]
fn objects_without_an_etag_are_shown_and_read() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let fake_daac = &environment.fake_daac;
    fake_daac.put(BUCKET, "folder/two.txt", "two\n");
    fake_daac.set(|knobs| knobs.etagless_listings = true);
    let mount = environment.mount(BUCKET);
    // Known by a HEAD before the listing is.
    assert_eq!(fs::metadata(mount.at("folder/one.txt")).unwrap().len(), 4);
    let listed = run_tool(&mount.path(), "ls", ["-l", "folder"]).must_succeed();
    let listed = String::from_utf8(listed).unwrap();
    assert!(listed.contains("one.txt") && listed.contains("two.txt"), "{listed}");
    let heads = || fake_daac.stats().heads;
    let before = heads();
    let read = run_tool(&mount.path(), "cat", ["folder/one.txt", "folder/two.txt"]).must_succeed();
    assert_eq!((&read[..], heads() - before), (&b"one\ntwo\n"[..], 2));
    assert_eq!(xattr::get(mount.at("folder/one.txt"), "user.s3.etag").unwrap(), None);
    fake_daac.put(BUCKET, "folder/one.txt", "other\n");
    assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "other\n");
    fake_daac.delete(BUCKET, "folder/two.txt");
    assert!([libc::ENOENT, libc::ESTALE].contains(&errno(fs::read(mount.at("folder/two.txt")))));
    assert_eq!(errno(fs::read(mount.at("folder/two.txt"))), libc::ENOENT);
}

/// Keys of white space only are files at the root like any other.
#[test]
fn keys_of_white_space_are_files() {
    for raw_keys in [false, true] {
        let Some(environment) = TestEnvironment::with_one_object() else { return };
        for key in [" ", "  ", " x ", "d/ ", " /y"] {
            environment.fake_daac.put(BUCKET, key, key);
        }
        environment.fake_daac.set(|knobs| knobs.raw_keys = raw_keys);
        let mount = environment.mount(BUCKET);
        let mut names = fs::read_dir(mount.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>();
        names.sort();
        let shown = [" ", "  ", " .granulefs-object", " x ", "d", "folder"];
        assert_eq!(names, shown, "{raw_keys}");
        for (name, key) in [("  ", "  "), (" x ", " x "), ("d/ ", "d/ "), (" /y", " /y")] {
            let read = fs::read_to_string(mount.at(name));
            assert_eq!(read.ok().as_deref(), Some(key), "{name:?}: {}", mount.log());
        }
        assert_eq!(fs::read_to_string(mount.at(" .granulefs-object")).unwrap(), " ");
    }
}

/// A listing that is whole and no XML, and one that ignores the delimiter, fail at once, with the
/// directory and the cause.
#[test]
fn a_listing_that_no_retry_can_cure_is_an_error_at_once() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let fake_daac = &environment.fake_daac;
    fake_daac.put(BUCKET, "odd/a\u{1}b", "");
    let delimiter: fn(&mut Knobs) = |knobs| knobs.ignored_delimiter = true;
    let control: fn(&mut Knobs) = |knobs| knobs.raw_keys = true;
    for (change, words) in [(delimiter, "ignores the delimiter"), (control, "control character")] {
        let mount = environment.mount(BUCKET);
        fake_daac.set(change);
        let began = Instant::now();
        fake_daac.put(BUCKET, "odd/deep/er", "");
        assert_eq!(errno(fs::read_dir(mount.at("odd")).unwrap().next().unwrap()), libc::EIO);
        assert!(began.elapsed() < SECONDS, "{:?}", began.elapsed());
        let log = mount.log();
        assert!(log.contains("s3://granules/odd/: ") && log.contains(words), "{log}");
        fake_daac.set(|knobs| *knobs = Knobs::default());
    }
    fake_daac.set(delimiter);
    must_fail_soon(environment.mount_command(BUCKET), &["s3://granules/: ", "the delimiter"]);
}

/// An object that only its owner's key opens is shown, with or without a listing before, and is
/// EACCES when it is read; the log says why.
#[test]
fn an_object_with_a_customers_key_is_shown_and_eacces() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment.fake_daac.put(BUCKET, "folder/secret", "hush");
    environment.fake_daac.set(|knobs| knobs.customer_key = vec!["folder/secret".into()]);
    for list_first in [false, true] {
        let mount = environment.mount(BUCKET);
        if list_first {
            assert_eq!(fs::read_dir(mount.at("folder")).unwrap().count(), 2);
        }
        assert_eq!(fs::metadata(mount.at("folder/secret")).unwrap().len(), 4);
        assert_eq!(errno(fs::read(mount.at("folder/secret"))), libc::EACCES);
        assert!(mount.log().contains("SSE-C"), "{}", mount.log());
    }
}

/// Where a policy allows some prefixes only, a file elsewhere may not be read, and nobody can tell
/// it from a directory: opening it is EACCES, and never "Is a directory".
#[test]
fn a_file_that_may_not_be_read_is_no_directory() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment.fake_daac.put(BUCKET, "closed/f.nc", "f");
    environment.fake_daac.set(|knobs| {
        knobs.listing = Listing::Under(vec!["folder/".into()]);
        knobs.unreadable = vec!["closed/".into()];
    });
    let (mount, _) = environment.mount_command(BUCKET).mount_with_warning();
    assert_eq!(errno(fs::read(mount.at("closed/f.nc"))), libc::EACCES);
    let output = run_tool(&mount.path(), "cat", ["closed/f.nc"]);
    assert!(output.stderr.contains("Permission denied"), "{}", output.stderr);
    assert_eq!(fs::read_to_string(mount.at("folder/one.txt")).unwrap(), "one\n");
}
