//! Many readers at once: issue 4, "Done when" (third item), and its budget in bytes.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fake_daac::{Content, Failure, Fault, Kind, Object};
use fastrand::Rng;

use crate::harness::{BUCKET, Mount, PATIENCE, Site, eventually, wait};

const MIB: u64 = 1 << 20;
const KEY: &str = "folder/data";
/// Far more than all readers touch: wherever the next read is, its bytes are probably nowhere but
/// at S3.
const SIZE: u64 = 4096 * MIB;
/// The most bytes of a read: several blocks, and several requests of the kernel.
const LONGEST: u64 = 300 * 1024;
/// Reads of each reader when the object has been replaced, and of the new version.
const READS: u64 = 40;

/// "With 64 concurrent streams in a 256 MiB budget it still moves, within 256 MiB + 100 MiB
/// resident": here a budget of 16 MiB, and the same 100 MiB beside it. What is beside it grows with
/// the connections, and so with the budget; the benchmark has the real one.
#[test]
fn sixty_four_streams_move_within_the_budget_and_a_hundred_mebibytes() {
    const SIZE: u64 = 4 * MIB;
    let Some(site) = Site::start() else { return };
    for number in 0..64 {
        site.archive.put(BUCKET, &format!("folder/{number}"), Content::synthetic(SIZE));
    }
    let mount = site.plan(BUCKET).args(&["--cache-size=16MiB"]).mount();
    thread::scope(|scope| {
        for number in 0..64 {
            let (site, mount) = (&site, &mount);
            scope.spawn(move || {
                let key = format!("folder/{number}");
                let (file, right) = (
                    File::open(mount.at(&key)).unwrap(),
                    site.archive.expected(BUCKET, &key).unwrap(),
                );
                let mut buffer = vec![0; 128 * 1024];
                for at in (0..SIZE).step_by(buffer.len()) {
                    file.read_exact_at(&mut buffer, at).unwrap();
                    assert!(
                        buffer == right.read(at..at + buffer.len() as u64).unwrap()[..],
                        "{key} at {at}"
                    );
                }
            });
        }
    });
    let peak = peak_mib(&mount);
    assert!(peak <= 16 + 100, "{peak} MiB resident");
}

/// The most that the server of `mount` had resident, MiB.
fn peak_mib(mount: &Mount) -> u64 {
    let status = fs::read_to_string(mount.server().proc("status")).unwrap();
    let peak = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?.strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    peak.unwrap() / 1024
}

/// "16 threads reading one file at random offsets through `pread`, mmap and O_DIRECT at once get
/// right bytes, with an object being replaced meanwhile: old bytes or ESTALE, never a mix."
/// semantics.md, "Reading": "After ESTALE the next open sees the new object." Connections break now
/// and then, so that GETs of the old version go on when there is none any more. A page that cannot
/// be had is a SIGBUS to who maps it, so those are processes.
#[test]
fn sixteen_readers_of_every_kind_see_one_version_each_while_the_object_is_replaced() {
    let Some(site) = Site::start() else { return };
    site.archive.put(BUCKET, KEY, Content::synthetic(SIZE));
    site.archive.fault(Fault::new(Failure::ResetBody(2000)).on(Kind::Get).probability(0.1));
    site.archive.set(|knobs| knobs.first_byte_latency = Duration::from_millis(5));
    let old = site.archive.expected(BUCKET, KEY).unwrap();
    let mount = site.plan(BUCKET).args(&["--cache-size=16MiB"]).mount();
    let (path, is_replaced) = (&mount.at(KEY), &AtomicBool::new(false));
    let began = Instant::now();
    let readers: Vec<_> = (0..12).map(|seed| Reader::open(path, seed)).collect();
    let mut maps: Vec<_> = (0..4)
        .map(|seed| Map::open(path, mount.place().home().join(format!("seen-{seed}")), seed, None))
        .collect();
    thread::scope(|scope| {
        let threads: Vec<_> = readers
            .iter()
            .map(|reader| {
                let (site, old) = (&site, &old);
                scope.spawn(move || {
                    let (mut random, mut stale, mut late) = (Rng::with_seed(reader.seed), 0, 0);
                    while late < READS {
                        assert!(began.elapsed() < 2 * PATIENCE, "it is never replaced");
                        late += u64::from(is_replaced.load(Ordering::SeqCst));
                        stale += u64::from(reader.is_stale(&mut random, old));
                        assert!(
                            stale == 0 || is_replaced.load(Ordering::SeqCst),
                            "stale before it was replaced"
                        );
                    }
                    assert!(stale > 0, "all of the old version is still read");
                    let (again, new) = (
                        Reader::open(path, reader.seed),
                        site.archive.expected(BUCKET, KEY).unwrap(),
                    );
                    for _ in 0..READS {
                        assert!(!again.is_stale(&mut random, &new), "the new version is stale");
                    }
                })
            })
            .collect();
        eventually("all read", PATIENCE, || {
            let are_mapped = maps.iter_mut().all(Map::has_seen_some);
            are_mapped && readers.iter().all(|reader| reader.reads.load(Ordering::Relaxed) > 5)
        });
        is_replaced.store(true, Ordering::SeqCst);
        site.archive.put(BUCKET, KEY, Content::synthetic(SIZE));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    for map in maps {
        assert_eq!(map.end(&old), Some(libc::SIGBUS), "what ends who maps the old version");
    }
    let new = site.archive.expected(BUCKET, KEY).unwrap();
    let map = Map::open(path, mount.place().home().join("seen-new"), 99, Some(READS));
    assert_eq!(map.end(&new), None, "what ends who maps the new version");
    assert!(site.archive.stats().faults > 5);
}

/// One who reads by pread(2), every second one with O_DIRECT.
#[derive(Debug)]
struct Reader {
    file: File,
    seed: u64,
    reads: AtomicU64,
}

impl Reader {
    fn open(path: &Path, seed: u64) -> Self {
        let direct = if seed.is_multiple_of(2) { libc::O_DIRECT } else { 0 };
        let file = OpenOptions::new().read(true).custom_flags(direct).open(path).unwrap();
        Self { file, seed, reads: AtomicU64::new(0) }
    }

    /// Reads somewhere. Answers whether that was ESTALE; any other failure, and a byte that is not
    /// of `version`, is none to accept.
    fn is_stale(&self, random: &mut Rng, version: &Object) -> bool {
        let (page, pages) =
            (random.u64(0..(SIZE - LONGEST) / 4096), random.u64(1..=LONGEST / 4096));
        // Whole pages, as O_DIRECT wants them.
        let (at, mut buffer) = (page * 4096, vec![0; pages as usize * 4096]);
        self.reads.fetch_add(1, Ordering::Relaxed);
        match self.file.read_at(&mut buffer, at) {
            Ok(count) => {
                assert!(
                    count > 0
                        && buffer[..count] == version.read(at..at + count as u64).unwrap()[..],
                    "a mix at {at}"
                );
                false
            }
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::ESTALE));
                true
            }
        }
    }
}

/// Writes what it sees at random places: where, how much, and the bytes.
const MAPPED: &str = r#"
import itertools, mmap, os, random, resource, sys
path, size, longest, seed, count = sys.argv[1], *map(int, sys.argv[2:])
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
file = os.open(path, os.O_RDONLY)
mapped = mmap.mmap(file, size, prot=mmap.PROT_READ)
places = random.Random(seed)
for _ in range(count):
    at, length = places.randrange(size - longest), places.randrange(1, longest)
    seen = mapped[at:at + length]
    os.write(1, at.to_bytes(8, "little") + length.to_bytes(8, "little") + seen)
"#;

/// A process that reads by mmap(2). It ends with this.
#[derive(Debug)]
struct Map {
    child: Child,
    /// What it has seen.
    seen: PathBuf,
}

impl Map {
    fn open(path: &Path, seen: PathBuf, seed: u64, count: Option<u64>) -> Self {
        let mut python = Command::new("python3");
        python.args(["-c", MAPPED]).arg(path).args(
            [SIZE, LONGEST, seed, count.unwrap_or(1_000_000)].map(|number| number.to_string()),
        );
        let child =
            python.stdin(Stdio::null()).stdout(File::create(&seen).unwrap()).spawn().unwrap();
        Self { child, seen }
    }

    fn has_seen_some(&mut self) -> bool {
        assert_eq!(self.child.try_wait().unwrap(), None, "it ended before the object was replaced");
        fs::metadata(&self.seen).unwrap().len() > 3 * LONGEST
    }

    /// Waits for its end and checks what it saw. Answers the signal that ended it; an exit code is
    /// none to accept.
    fn end(mut self, version: &Object) -> Option<i32> {
        assert!(matches!(wait(&mut self.child, PATIENCE), None | Some(0)));
        let seen = fs::read(&self.seen).unwrap();
        let mut rest = &seen[..];
        while let Some((place, behind)) = rest.split_first_chunk::<16>() {
            let [at, length] =
                [0, 8].map(|byte| u64::from_le_bytes(place[byte..byte + 8].try_into().unwrap()));
            let (bytes, behind) = behind.split_at(length as usize);
            assert!(*bytes == version.read(at..at + length).unwrap()[..], "a mix at {at}");
            rest = behind;
        }
        assert!(rest.is_empty() && !seen.is_empty());
        self.child.wait().unwrap().signal()
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
