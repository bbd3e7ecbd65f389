//! Many readers at once: memory stays within its limit, and every reader sees one version of an
//! object.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fake_daac::{Content, Failure, Fault, Object, RequestKind};
use fastrand::Rng;

use crate::harness::{BUCKET, Mount, TIMEOUT, TestEnvironment, eventually, wait_for_exit};

const MIB: u64 = 1 << 20;
const KEY: &str = "folder/data";
/// Far more bytes than all readers read, so that the next read is hardly ever cached.
const SIZE: u64 = 4096 * MIB;
/// The most bytes of a read: several blocks, and several requests from the kernel.
const LONGEST: u64 = 300 * 1024;
/// Reads of each reader after the object has been replaced, and reads of the new version.
const READS: u64 = 40;

/// 64 concurrent streams make progress with a cache of 16 MiB, and the program's resident memory
/// stays within the cache size and 100 MiB. `scripts/bench` measures the default cache size.
#[test]
fn sixty_four_streams_stay_within_the_cache_size_and_a_hundred_mebibytes() {
    const SIZE: u64 = 4 * MIB;
    let Some(environment) = TestEnvironment::start() else { return };
    for number in 0..64 {
        environment.fake_daac.put(BUCKET, &format!("folder/{number}"), Content::synthetic(SIZE));
    }
    let mount = environment.mount_command(BUCKET).args(&["--cache-size=16MiB"]).mount();
    thread::scope(|scope| {
        for number in 0..64 {
            let (environment, mount) = (&environment, &mount);
            scope.spawn(move || {
                let key = format!("folder/{number}");
                let (file, right) = (
                    File::open(mount.at(&key)).unwrap(),
                    environment.fake_daac.expected(BUCKET, &key).unwrap(),
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

/// Returns the largest resident memory of the server of `mount`, in MiB.
fn peak_mib(mount: &Mount) -> u64 {
    let status = fs::read_to_string(mount.server().proc_path("status")).unwrap();
    let peak = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?.strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    peak.unwrap() / 1024
}

/// 16 readers of one file at random offsets through pread, mmap and O_DIRECT get the old bytes or
/// ESTALE while the object is replaced, and never a mix; after ESTALE the next open sees the new
/// object (docs/semantics.md, "Reading"). Some connections break, so that GETs of the old version
/// are resumed after it is gone. A mapped page that cannot be read is a SIGBUS, so the readers that
/// map are processes.
#[test]
fn readers_of_every_kind_see_one_version_each_while_the_object_is_replaced() {
    let Some(environment) = TestEnvironment::start() else { return };
    environment.fake_daac.put(BUCKET, KEY, Content::synthetic(SIZE));
    environment
        .fake_daac
        .add_fault(Fault::new(Failure::ResetBody(2000)).on(RequestKind::Get).probability(0.1));
    environment.fake_daac.set(|knobs| knobs.first_byte_latency = Duration::from_millis(5));
    let old = environment.fake_daac.expected(BUCKET, KEY).unwrap();
    let mount = environment.mount_command(BUCKET).args(&["--cache-size=16MiB"]).mount();
    let (path, is_replaced) = (&mount.at(KEY), &AtomicBool::new(false));
    let began = Instant::now();
    let readers: Vec<_> = (0..12).map(|seed| Reader::open(path, seed)).collect();
    let mut maps: Vec<_> = (0..4)
        .map(|seed| {
            Map::open(path, mount.directory().home().join(format!("seen-{seed}")), seed, None)
        })
        .collect();
    thread::scope(|scope| {
        let threads: Vec<_> = readers
            .iter()
            .map(|reader| {
                let (environment, old) = (&environment, &old);
                scope.spawn(move || {
                    let (mut random, mut stale, mut late) = (Rng::with_seed(reader.seed), 0, 0);
                    while late < READS {
                        assert!(began.elapsed() < 2 * TIMEOUT, "the object is never replaced");
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
                        environment.fake_daac.expected(BUCKET, KEY).unwrap(),
                    );
                    for _ in 0..READS {
                        assert!(!again.is_stale(&mut random, &new), "the new version is stale");
                    }
                })
            })
            .collect();
        eventually("all readers read", TIMEOUT, || {
            let are_mapped = maps.iter_mut().all(Map::has_seen_some);
            are_mapped && readers.iter().all(|reader| reader.reads.load(Ordering::Relaxed) > 5)
        });
        is_replaced.store(true, Ordering::SeqCst);
        environment.fake_daac.put(BUCKET, KEY, Content::synthetic(SIZE));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    for map in maps {
        assert_eq!(
            map.end(&old),
            Some(libc::SIGBUS),
            "the signal that ends the process that maps the old version"
        );
    }
    let new = environment.fake_daac.expected(BUCKET, KEY).unwrap();
    let map = Map::open(path, mount.directory().home().join("seen-new"), 99, Some(READS));
    assert_eq!(map.end(&new), None, "the signal that ends the process that maps the new version");
    assert!(environment.fake_daac.stats().faults > 5);
}

/// A reader that uses pread(2), with O_DIRECT if its seed is even.
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

    /// Reads at a random offset and returns whether the read failed with ESTALE.
    ///
    /// # Panics
    /// When it failed with another errno, or returned a byte that is not of `version`.
    fn is_stale(&self, random: &mut Rng, version: &Object) -> bool {
        let (page, pages) =
            (random.u64(0..(SIZE - LONGEST) / 4096), random.u64(1..=LONGEST / 4096));
        // O_DIRECT requires whole pages.
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

/// Writes what it reads at random offsets: offset, length and bytes.
const MAPPED: &str = r#"
import itertools, mmap, os, random, resource, sys
path, size, longest, seed, count = sys.argv[1], *map(int, sys.argv[2:])
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
file = os.open(path, os.O_RDONLY)
mapped = mmap.mmap(file, size, prot=mmap.PROT_READ)
offsets = random.Random(seed)
for _ in range(count):
    at, length = offsets.randrange(size - longest), offsets.randrange(1, longest)
    seen = mapped[at:at + length]
    os.write(1, at.to_bytes(8, "little") + length.to_bytes(8, "little") + seen)
"#;

/// A process that reads by mmap(2); it is killed when this is dropped.
#[derive(Debug)]
struct Map {
    child: Child,
    /// The file with the bytes that it has read.
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
        assert_eq!(
            self.child.try_wait().unwrap(),
            None,
            "the process ended before the object was replaced"
        );
        fs::metadata(&self.seen).unwrap().len() > 3 * LONGEST
    }

    /// Waits for the process, checks what it has read, and returns the signal that ended it.
    ///
    /// # Panics
    /// When it failed with an exit code, or read a byte that is not of `version`.
    fn end(mut self, version: &Object) -> Option<i32> {
        assert!(matches!(wait_for_exit(&mut self.child, TIMEOUT), None | Some(0)));
        let seen = fs::read(&self.seen).unwrap();
        let mut rest = &seen[..];
        while let Some((header, behind)) = rest.split_first_chunk::<16>() {
            let [at, length] =
                [0, 8].map(|byte| u64::from_le_bytes(header[byte..byte + 8].try_into().unwrap()));
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
