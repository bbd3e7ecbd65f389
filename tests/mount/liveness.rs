//! A slow operation delays no other one, and every operation has a deadline. The time bounds are
//! generous: they distinguish waiting from not waiting, and measure no speed.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use fake_daac::{Content, Failure, Fault, RequestKind};

use crate::harness::{BUCKET, TIMEOUT, TestEnvironment, errno, run_tool};

/// More reads than the kernel keeps under way by default, and than there are threads.
const STALLED: usize = 100;

/// A hundred readers that wait for S3 delay no other operation, and get ETIMEDOUT at the deadline.
#[test]
fn stalled_reads_delay_no_other_operation_and_end_at_the_deadline() {
    let Some(environment) = TestEnvironment::start() else { return };
    for number in 0..STALLED {
        environment.fake_daac.put(
            BUCKET,
            &format!("stalled/{number}"),
            Content::synthetic(100_000),
        );
        environment.fake_daac.put(BUCKET, &format!("live/{number}"), "live\n");
    }
    const DEADLINE: Duration = Duration::from_secs(6);
    let mount = environment.mount_command(BUCKET).args(&["--timeout=6s"]).mount();
    // The files are looked up first, so that only reads wait.
    assert_eq!(
        run_tool(&mount.path(), "bash", ["-c", "stat -c %s stalled/* | sort -u"]).must_succeed(),
        b"100000\n"
    );
    environment
        .fake_daac
        .add_fault(Fault::new(Failure::Stall).on(RequestKind::Get).containing("stalled/"));
    let began = Instant::now();
    thread::scope(|scope| {
        let stalled: Vec<_> = (0..STALLED)
            .map(|number| {
                let path = mount.at(format!("stalled/{number}"));
                scope.spawn(move || (errno(fs::read(path)), began.elapsed()))
            })
            .collect();
        assert!(
            environment.fake_daac.wait_for(|stats| stats.in_flight >= STALLED as u64, DEADLINE),
            "not all reads reach S3"
        );
        assert_eq!(
            run_tool(
                &mount.path(),
                "bash",
                ["-c", "ls -l live | wc -l; cat live/* | sort -u; stat -c %h ."]
            )
            .must_succeed(),
            b"101\nlive\n1\n"
        );
        assert!(began.elapsed() < DEADLINE, "the others waited too: {:?}", began.elapsed());
        for reader in stalled {
            let (outcome, elapsed) = reader.join().unwrap();
            assert_eq!(outcome, libc::ETIMEDOUT);
            assert!(elapsed >= DEADLINE && elapsed < DEADLINE * 3, "{elapsed:?}");
        }
    });
    assert!(mount.server().is_alive());
}

/// A lookup that S3 does not answer delays no other name of the directory.
#[test]
fn a_stalled_lookup_delays_no_other_lookup() {
    let Some(environment) = TestEnvironment::start() else { return };
    for name in ["stalled", "live", "other"] {
        environment.fake_daac.put(BUCKET, &format!("folder/{name}"), name);
    }
    let mount = environment.mount_command(BUCKET).args(&["--timeout=3s"]).mount();
    assert!(fs::metadata(mount.at("folder")).unwrap().is_dir());
    environment.fake_daac.add_fault(Fault::new(Failure::Stall).containing("stalled"));
    thread::scope(|scope| {
        let stalled = scope.spawn(|| errno(fs::metadata(mount.at("folder/stalled"))));
        assert!(environment.fake_daac.wait_for(|stats| stats.faults > 0, TIMEOUT));
        assert_eq!(fs::read_to_string(mount.at("folder/live")).unwrap(), "live");
        assert!(!stalled.is_finished());
        assert_eq!(stalled.join().unwrap(), libc::ETIMEDOUT);
    });
}

/// Reads of one file from many threads run in parallel, and bytes that several of them need are
/// fetched once.
#[test]
fn readers_of_one_file_share_its_fetches() {
    const SIZE: u64 = 6 << 20;
    let Some(environment) = TestEnvironment::start() else { return };
    environment.fake_daac.put(BUCKET, "folder/data", Content::synthetic(SIZE));
    let expected =
        environment.fake_daac.expected(BUCKET, "folder/data").unwrap().read(0..SIZE).unwrap();
    let mount = environment.mount(BUCKET);
    environment.fake_daac.set(|knobs| knobs.first_byte_latency = Duration::from_millis(100));
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert!(fs::read(mount.at("folder/data")).unwrap() == expected));
        }
    });
    let stats = environment.fake_daac.stats();
    let fetched = environment
        .fake_daac
        .log()
        .iter()
        .filter(|request| request.kind == RequestKind::Get)
        .map(|request| request.sent)
        .sum::<u64>();
    assert_eq!(fetched, SIZE);
    assert!(stats.most_in_flight > 1 && began.elapsed() < TIMEOUT, "{stats:?}");
}

/// Many files are open at once and read in turns.
#[test]
fn many_files_can_be_open_at_once() {
    const FILES: u64 = 64;
    let Some(environment) = TestEnvironment::start() else { return };
    for number in 0..FILES {
        environment.fake_daac.put(BUCKET, &format!("folder/{number}"), Content::synthetic(300_000));
    }
    let mount = environment.mount(BUCKET);
    let expected =
        |number| environment.fake_daac.expected(BUCKET, &format!("folder/{number}")).unwrap();
    let files: Vec<_> = (0..FILES)
        .map(|number| (File::open(mount.at(format!("folder/{number}"))).unwrap(), expected(number)))
        .collect();
    for at in [0, 262_000, 299_000, 131_072] {
        for (file, expected) in &files {
            let mut buffer = [0; 1000];
            file.read_exact_at(&mut buffer, at).unwrap();
            assert!(buffer == expected.read(at..at + 1000).unwrap()[..]);
        }
    }
}
