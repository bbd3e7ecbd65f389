//! Many readers at once: issue 4, "Done when" (third item), and its budget in bytes.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use archive::{Content, Object};

use crate::harness::{BUCKET, PATIENCE, Site, eventually, run};

const MIB: u64 = 1 << 20;

/// "With 64 concurrent streams in a 256 MiB budget it still moves, within 256 MiB + 100 MiB resident": here a budget of 64 MiB, and
/// the same 100 MiB beside it.
#[test]
fn sixty_four_streams_move_within_the_budget_and_a_hundred_mebibytes() {
    const SIZE: u64 = 4 * MIB;
    let Some(site) = Site::start() else { return };
    for number in 0..64 {
        site.archive.put(BUCKET, &format!("folder/{number}"), Content::synthetic(SIZE));
    }
    let mount = site.plan(BUCKET).args(&["--cache-size=64MiB"]).mount();
    thread::scope(|scope| {
        for number in 0..64 {
            let (site, mount) = (&site, &mount);
            scope.spawn(move || {
                let key = format!("folder/{number}");
                let right = site.archive.expected(BUCKET, &key).unwrap().read(0..SIZE).unwrap();
                assert!(fs::read(mount.at(&key)).unwrap() == right[..], "{key}");
            });
        }
    });
    let status = fs::read_to_string(mount.server().proc("status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")?.trim().parse::<u64>().ok());
    let peak = peak.unwrap() / 1024;
    assert!(peak <= 64 + 100, "{peak} MiB resident");
}

/// Reads at scattered places until a read fails; answers with which errno. Counts the reads, which must all give bytes of `version`.
fn read_until_stale(file: &File, version: &Object, seed: u64, reads: &AtomicU64) -> Option<i32> {
    let mut buffer = vec![0; 16 * 1024];
    (1..20_000_u64).find_map(|step| {
        // Whole pages, as O_DIRECT wants them.
        let at = (seed * 1_000_003 + step * 7_919) % (version.size / 4096 - 4) * 4096;
        if let Err(error) = file.read_exact_at(&mut buffer, at) {
            return error.raw_os_error();
        }
        assert!(buffer == version.read(at..at + buffer.len() as u64).unwrap()[..], "bytes of another version at {at}");
        reads.fetch_add(1, Ordering::Relaxed);
        None
    })
}

/// A reader by mmap, which says `mixed` when it sees bytes of neither; ends by SIGBUS where a page cannot be had.
const MAPPED: &str = "import mmap, sys; f = open(sys.argv[1], 'rb'); right = open(sys.argv[2], 'rb').read(); \
    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); n = len(right); seed = int(sys.argv[3]); print('mapped', flush=True)\n\
for step in range(20000):\n at = (seed * 1000003 + step * 7919 * 4099) % n\n\
 if m[at:at + 9000] != right[at:at + 9000]: print('mixed')";

/// "16 threads reading one file at random offsets through `pread`, mmap and O_DIRECT at once get right bytes, with an object being
/// replaced meanwhile: old bytes or ESTALE, never a mix." A page that cannot be mapped is a SIGBUS, so those are processes.
#[test]
fn sixteen_readers_of_every_kind_see_one_version_while_the_object_is_replaced() {
    // More than the cache and what is read before the change, so that some reads come too late.
    const SIZE: u64 = 96 * MIB;
    let Some(site) = Site::start() else { return };
    site.archive.put(BUCKET, "folder/data", Content::synthetic(SIZE));
    let old = site.archive.expected(BUCKET, "folder/data").unwrap();
    let mount = site.plan(BUCKET).args(&["--cache-size=16MiB"]).mount();
    let path = mount.at("folder/data");
    let copy = mount.place().home().join("old");
    fs::write(&copy, old.read(0..SIZE).unwrap()).unwrap();
    let reads = AtomicU64::new(0);
    let (path, copy, old, reads) = (&path, &copy, &old, &reads);
    thread::scope(|scope| {
        let by_file = (0..12).map(|seed| {
            let direct = if seed % 2 == 0 { libc::O_DIRECT } else { 0 };
            let file = OpenOptions::new().read(true).custom_flags(direct).open(path).unwrap();
            scope.spawn(move || read_until_stale(&file, old, seed, reads))
        });
        let by_file: Vec<_> = by_file.collect();
        let by_map = (12..16).map(|seed| {
            let mut python = std::process::Command::new("python3");
            python.args(["-c", MAPPED]).arg(path).arg(copy).arg(seed.to_string());
            scope.spawn(move || run(&mut python))
        });
        let by_map: Vec<_> = by_map.collect();
        eventually("they read", PATIENCE, || reads.load(Ordering::Relaxed) > 200);
        site.archive.put(BUCKET, "folder/data", Content::synthetic(SIZE));
        for reader in by_file {
            assert_eq!(reader.join().unwrap(), Some(libc::ESTALE));
        }
        for reader in by_map {
            let ran = reader.join().unwrap();
            assert!(ran.text() == "mapped\n" && matches!(ran.code, None | Some(0)), "{ran:?}");
        }
    });
    let new = site.archive.expected(BUCKET, "folder/data").unwrap();
    assert!(fs::read(path).unwrap() == new.read(0..SIZE).unwrap(), "the new version");
}
