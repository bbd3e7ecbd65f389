//! What is typed wrongly is answered with what helps, in words of granulefs's own.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use fake_daac::{Failure, Fault, RequestKind};

use crate::harness::{BUCKET, Process, TestEnvironment, eventually, wait_for_exit};

/// Words that only a library would say.
const FOREIGN: [&str; 5] =
    ["relative URL", "without a base", "invalid digit", "SI unit", "empty host"];

/// Every value that cannot be read is refused with an example of one that can.
#[test]
fn a_wrong_value_is_answered_with_an_example() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    for (option, words) in [
        ("--cache-size=256", "did you mean 256MiB?"),
        ("--cache-size=5XB", "write a size as 256MiB, 2GB"),
        ("--cache-size=lots", "write a size as 256MiB, 2GB"),
        ("--cache-size=1MiB", "at least 16.0 MiB is needed"),
        ("--metadata-ttl=soon", "write a time as 90s, 5m, 1h30m"),
        ("--metadata-ttl=-1", "write a time as 90s, 5m, 1h30m"),
        ("--timeout=5x", "write a time as 90s, 5m, 1h30m"),
        ("--uid=nobody-at-all", "this machine has no such user; write a name or a number"),
        ("--gid=-7", "this machine has no such group; write a name or a number"),
        ("--credentials-endpoint=d.org/s3credentials", "write it with https:// before the host"),
        ("--endpoint-url=localhost:9000", "write it with https:// before the host"),
        ("--endpoint-url=https://", "write it as https://HOST/PATH"),
        ("--cmr-host=https://", "write HOST or HOST:PORT"),
        ("--earthdata-host=a b", "write HOST or HOST:PORT"),
    ] {
        let output = environment.run_granulefs(&["mount", BUCKET, "/mnt", option]);
        assert_eq!(output.code, Some(2), "{option}: {}", output.stderr);
        assert!(output.stderr.contains(words), "{option}: {}", output.stderr);
        for foreign in FOREIGN {
            assert!(!output.stderr.contains(foreign), "{option}: {}", output.stderr);
        }
    }
}

/// A cache that this machine has no memory for is refused, with both figures.
#[test]
fn a_cache_larger_than_the_memory_is_refused() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let output = environment.run_granulefs(&["mount", BUCKET, "/mnt", "--cache-size=900TiB"]);
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    assert!(
        output.stderr.contains("900.0 TiB is more than") && output.stderr.contains("iB\n"),
        "{}",
        output.stderr
    );
}

/// A source that cannot be read is refused in words of its own.
#[test]
fn a_wrong_source_is_answered_with_what_helps() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    for (source, mountpoint, words) in [
        ("/mnt", BUCKET, "what to mount comes first: granulefs mount SOURCE MOUNTPOINT"),
        ("./mnt", BUCKET, "what to mount comes first"),
        ("https://", "/mnt", "the link is not complete"),
        ("https://d.org/", "/mnt", "the link names no granule"),
    ] {
        let output = environment.run_granulefs(&["mount", source, mountpoint]);
        assert_eq!(output.code, Some(2), "{source}: {}", output.stderr);
        assert!(output.stderr.contains(words), "{source}: {}", output.stderr);
        for foreign in FOREIGN {
            assert!(!output.stderr.contains(foreign), "{source}: {}", output.stderr);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("mnt")).unwrap();
    let mut command = environment.granulefs(&["mount", "mnt", BUCKET]);
    let output = crate::harness::run(command.current_dir(folder.path()));
    assert_eq!(output.code, Some(1));
    assert!(
        output.stderr.contains("mnt is a directory, and granules is none")
            && output.stderr.contains("granulefs mount granules mnt"),
        "{}",
        output.stderr
    );
}

/// Owners are given by name as well.
#[test]
fn an_owner_is_a_name_or_a_number() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    for (user, group) in [("daemon", "daemon"), ("1", "1")] {
        let mount =
            environment.mount_command(BUCKET).args(&["--uid", user, "--gid", group]).mount();
        let metadata = fs::metadata(mount.at("folder/one.txt")).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (1, 1), "{user}");
    }
}

/// `-f` and `-d` mean what they mean to other FUSE programs: this process serves; and it logs.
#[test]
fn the_short_options_of_other_fuse_programs_work() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    for (option, logs) in [("-f", false), ("-d", true)] {
        let mount_command = environment.mount_command(BUCKET).without_log_file();
        let directory = mount_command.directory().mountpoint();
        let mut child = mount_command.spawn_with(option);
        eventually("it mounts", Duration::from_secs(20), || {
            directory.join("folder/one.txt").exists()
        });
        assert_eq!(Process::serving(&directory).len(), 1);
        let ended = environment.run_granulefs(&["unmount", &directory.display().to_string()]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(wait_for_exit(&mut child, Duration::from_secs(20)), Some(0));
        let mut log = String::new();
        child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert_eq!(log.contains("DEBUG"), logs, "{option}: {log}");
    }
}

/// While S3 is silent at mount time, the terminal says what is waited for.
#[test]
fn a_silent_s3_is_told_while_it_is_waited_for() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment.fake_daac.set(|knobs| {
        knobs.faults = vec![Fault::new(Failure::Delay(8000)).on(RequestKind::List)];
    });
    let began = Instant::now();
    let (mount, output) = environment.mount_command(BUCKET).mount_with_output();
    assert!(began.elapsed() > Duration::from_secs(6));
    assert!(
        output.stderr.starts_with("granulefs: waiting for s3://granules/: "),
        "{}",
        output.stderr
    );
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    drop(mount);
}
