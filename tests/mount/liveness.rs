//! "Never blocked: FUSE requests are served as tasks; a slow read delays nobody; every operation
//! has a deadline" (issue 2). The bounds are generous: they tell apart waiting and not waiting, and
//! measure nothing.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use fake_daac::{Content, Failure, Fault, Kind};

use crate::harness::{BUCKET, PATIENCE, Site, errno, tool};

/// More than the requests that the kernel keeps under way by default, and than any number of
/// threads.
const STALLED: usize = 100;

/// One reader, or a hundred, that wait for an S3 that does not answer: nobody else notices, and
/// they get ETIMEDOUT ("Errors": "deadline passed").
#[test]
fn stalled_reads_delay_nobody_and_end_at_the_deadline() {
    let Some(site) = Site::start() else { return };
    for number in 0..STALLED {
        site.archive.put(BUCKET, &format!("stalled/{number}"), Content::synthetic(100_000));
        site.archive.put(BUCKET, &format!("live/{number}"), "live\n");
    }
    const DEADLINE: Duration = Duration::from_secs(6);
    let mount = site.plan(BUCKET).args(&["--timeout=6s"]).mount();
    // Looked up before, so that all that waits is reads.
    assert_eq!(
        tool(&mount.path(), "bash", ["-c", "stat -c %s stalled/* | sort -u"]).success(),
        b"100000\n"
    );
    site.archive.fault(Fault::new(Failure::Stall).on(Kind::Get).containing("stalled/"));
    let began = Instant::now();
    thread::scope(|scope| {
        let stalled: Vec<_> = (0..STALLED)
            .map(|number| {
                let path = mount.at(format!("stalled/{number}"));
                scope.spawn(move || (errno(fs::read(path)), began.elapsed()))
            })
            .collect();
        assert!(
            site.archive.wait_for(|stats| stats.in_flight >= STALLED as u64, DEADLINE),
            "not all reach S3"
        );
        assert_eq!(
            tool(
                &mount.path(),
                "bash",
                ["-c", "ls -l live | wc -l; cat live/* | sort -u; stat -c %h ."]
            )
            .success(),
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

/// A name that S3 does not answer for holds up neither other names in the directory nor its
/// listing.
#[test]
fn a_stalled_lookup_delays_no_other_name() {
    let Some(site) = Site::start() else { return };
    for name in ["stalled", "live", "other"] {
        site.archive.put(BUCKET, &format!("folder/{name}"), name);
    }
    let mount = site.plan(BUCKET).args(&["--timeout=3s"]).mount();
    assert!(fs::metadata(mount.at("folder")).unwrap().is_dir());
    site.archive.fault(Fault::new(Failure::Stall).containing("stalled"));
    thread::scope(|scope| {
        let stalled = scope.spawn(|| errno(fs::metadata(mount.at("folder/stalled"))));
        assert!(site.archive.wait_for(|stats| stats.faults > 0, PATIENCE));
        assert_eq!(fs::read_to_string(mount.at("folder/live")).unwrap(), "live");
        assert!(!stalled.is_finished());
        assert_eq!(stalled.join().unwrap(), libc::ETIMEDOUT);
    });
}

/// "Reads of one file from many threads run in parallel", and what many want at once is fetched
/// once.
#[test]
fn many_readers_of_one_file_share_what_is_fetched() {
    const SIZE: u64 = 6 << 20;
    let Some(site) = Site::start() else { return };
    site.archive.put(BUCKET, "folder/data", Content::synthetic(SIZE));
    let expected = site.archive.expected(BUCKET, "folder/data").unwrap().read(0..SIZE).unwrap();
    let mount = site.mount(BUCKET);
    site.archive.set(|knobs| knobs.first_byte_latency = Duration::from_millis(100));
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert!(fs::read(mount.at("folder/data")).unwrap() == expected));
        }
    });
    let stats = site.archive.stats();
    let fetched = site
        .archive
        .log()
        .iter()
        .filter(|request| request.kind == Kind::Get)
        .map(|request| request.sent)
        .sum::<u64>();
    assert_eq!(fetched, SIZE);
    assert!(stats.most_in_flight > 1 && began.elapsed() < PATIENCE, "{stats:?}");
}

/// Many files open at once, read in turns.
#[test]
fn many_files_are_open_at_once() {
    const FILES: u64 = 64;
    let Some(site) = Site::start() else { return };
    for number in 0..FILES {
        site.archive.put(BUCKET, &format!("folder/{number}"), Content::synthetic(300_000));
    }
    let mount = site.mount(BUCKET);
    let expected = |number| site.archive.expected(BUCKET, &format!("folder/{number}")).unwrap();
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
