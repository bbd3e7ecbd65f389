//! Tools give the same output on the mount as on the original directory.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;

use fake_daac::granules;
use tempfile::TempDir;

use crate::harness::{BUCKET, Mount, TestEnvironment, run_tool};

/// A directory with files as scientists have them, and a mount of the same files.
struct Twins {
    original: TempDir,
    mount: Mount,
    _site: TestEnvironment,
}

/// The size of the large file in bytes, which is no multiple of a block or a page.
const LARGE: usize = 5 * 1024 * 1024 + 12_345;

const HDF5: &str = "
import h5py, numpy
with h5py.File('cube.h5', 'w') as f:
    f['plain'] = numpy.arange(100000, dtype='f8').reshape(100, 1000)
    f.create_dataset('chunked', data=numpy.arange(300000) % 977, chunks=(4096,), \
    compression='gzip', shuffle=True)
    f['chunked'].attrs['units'] = 'K'
    f.create_group('deep/er').create_dataset('text', data=[b'a', b'bc'])
";

impl Twins {
    fn start() -> Option<Self> {
        let environment = TestEnvironment::start()?;
        let original = TempDir::new().unwrap();
        let folder = original.path();
        granules::write(folder, 3).unwrap();
        let large: Vec<u8> =
            (0..LARGE as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        fs::write(folder.join("large.bin"), large).unwrap();
        run_tool(folder, "/usr/bin/python3", ["-c", HDF5]).must_succeed();
        run_tool(
            folder,
            "gdal_create",
            "-q -of GTiff -outsize 300 200 -bands 2 -burn 7 -a_srs EPSG:4326 -a_ullr 0 2 3 0 \
             map.tif"
                .split(' '),
        )
        .must_succeed();
        run_tool(
            folder,
            "gdal_translate",
            "-q -of GTiff -co TILED=YES -co COMPRESS=DEFLATE map.tif tiled.tif".split(' '),
        )
        .must_succeed();
        fs::write(folder.join("odd").join("x".repeat(255)), "long\n").unwrap();
        // S3's times are whole seconds.
        run_tool(folder, "find", ". -exec touch -d 2021-05-06T07:08:09 {} +".split(' '))
            .must_succeed();
        environment.fake_daac.put_folder(BUCKET, "data/", folder).unwrap();
        let mount = environment.mount("granules/data");
        Some(Self { original, mount, _site: environment })
    }

    /// Runs a shell script in both directories; both runs must succeed with the same output, which
    /// must not be empty.
    #[track_caller]
    fn must_agree(&self, script: &str) {
        let strict = format!("set -e; {script}");
        let [expected, seen] = [self.original.path(), &self.mount.path()]
            .map(|folder| run_tool(folder, "bash", ["-o", "pipefail", "-c", &strict]));
        assert_eq!(seen.code, Some(0), "{script}: {}", seen.stderr);
        assert!(!expected.stdout.is_empty(), "{script} prints nothing");
        assert!(
            seen.stdout == expected.stdout,
            "{script}:\n{}\ninstead of\n{}",
            seen.stdout_text(),
            expected.stdout_text()
        );
    }
}

/// Names, sizes and times agree.
#[test]
fn listings_agree() {
    let Some(twins) = Twins::start() else { return };
    for script in [
        "ls -a; ls -aR",
        "ls -lRb --time-style=+%s | awk '/^-/ {$1=$2=$3=$4=\"\"; print}'",
        "find . -print0 | sort -z | tr '\\0' '\\n'",
        "find . -type f -printf '%p %s %TY-%Tm-%Td %TT\\n' | sort",
        "find . -type d -empty; find . -type f -empty; find . -name '*.nc' -size +10k | sort",
        "find . -type f -exec stat -c '%n %s %Y %F %h' {} + | sort",
        "find . -type f -exec du -b {} + | sort; shopt -s globstar; echo **",
        "test ! -e missing; test ! -e large.bin/x; cd 'odd/empty directory'; pwd | wc -l",
    ] {
        twins.must_agree(script);
    }
}

/// Whole files have the same bytes in every tool.
#[test]
fn whole_files_agree() {
    let Some(twins) = Twins::start() else { return };
    for script in [
        "find . -type f -exec md5sum {} + | sort",
        "cat large.bin | md5sum; cat < large.bin | cksum",
        "find . -type f -print0 | sort -z | tar c --null -T - --owner=0 --group=0 --mode=0444 | \
         md5sum",
        "for f in MUR*/2020/*.md5; do (cd $(dirname $f); md5sum -c $(basename $f)); done",
        "cmp large.bin large.bin; wc -c large.bin odd/empty; grep -c . odd/.hidden",
    ] {
        twins.must_agree(script);
    }
}

/// After `cp -r` of the mount, `diff -r` finds no difference from the original.
#[test]
fn a_copy_of_the_mount_equals_the_original() {
    let Some(twins) = Twins::start() else { return };
    let copy = TempDir::new().unwrap();
    let target = copy.path().join("copy");
    run_tool(&twins.mount.path(), "cp", [Path::new("-r"), Path::new("."), &target]).must_succeed();
    for folder in [&target, &twins.mount.path()] {
        let output =
            run_tool(Path::new("/"), "diff", [Path::new("-r"), twins.original.path(), folder]);
        assert_eq!(
            (output.stdout_text().as_str(), output.stderr.as_str(), output.code),
            ("", "", Some(0))
        );
    }
    let listing = |folder: &Path| run_tool(folder, "bash", ["-c", "find . | sort"]).must_succeed();
    assert_eq!(listing(&target), listing(twins.original.path()));
}

/// mmap, pread, seeks and reads over the end behave as on a local disk (docs/semantics.md,
/// "Reading").
#[test]
fn parts_of_files_agree() {
    let Some(twins) = Twins::start() else { return };
    for script in [
        "head -c 1 large.bin | xxd; head -c 262145 large.bin | md5sum; head -c 99999999 \
         large.bin | md5sum",
        "tail -c 1 large.bin | xxd; tail -c 70000 large.bin | md5sum; tail -c +5000001 large.bin \
         | md5sum",
        "dd if=large.bin bs=1 skip=262143 count=3 status=none | xxd",
        "dd if=large.bin bs=333333 skip=7 count=3 status=none | md5sum",
        "dd if=large.bin bs=1M skip=5 status=none | md5sum",
        "dd if=large.bin bs=1M skip=6 status=none | wc -c",
        "dd if=large.bin bs=64K skip=1234567 iflag=skip_bytes,count_bytes count=1000001 \
         status=none | md5sum",
        "python3 -c \"import mmap; f = open('large.bin', 'rb'); m = mmap.mmap(f.fileno(), 0, \
         prot=mmap.PROT_READ); \
         print(len(m), m.rfind(m[123456:123480]), m[:3], m[-3:], sum(m[::4093]), \
         m[1048570:1048580])\"",
        "python3 -c \"import os; f = os.open('large.bin', os.O_RDONLY); \
         print([os.pread(f, 5, at) for at in (5000000, 0, 262142, 3999999, 5255220, 5255225, 1 \
         << 40)], \
         os.lseek(f, -9, os.SEEK_END), os.read(f, 100), os.read(f, 1), os.lseek(f, 1 << 33, 0), \
         os.read(f, 4))\"",
    ] {
        twins.must_agree(script);
    }
}

/// Reads with O_DIRECT, which bypass the page cache, agree at every alignment that the kernel
/// permits.
#[test]
fn direct_reads_agree_with_buffered_ones() {
    let Some(twins) = Twins::start() else { return };
    let read = |options: &str| {
        let script = format!("dd if=large.bin status=none {options} | md5sum");
        String::from_utf8(
            run_tool(&twins.mount.path(), "bash", ["-o", "pipefail", "-c", &script]).must_succeed(),
        )
        .unwrap()
    };
    for blocks in [
        "bs=1M",
        "bs=4K skip=777 count=300",
        "bs=512 skip=1001 count=3",
        "bs=300K skip=17",
        "bs=1M skip=9",
    ] {
        assert_eq!(read(&format!("{blocks} iflag=direct")), read(blocks), "{blocks}");
    }
}

/// Many threads read at scattered offsets through one descriptor.
#[test]
fn preads_from_many_threads_agree() {
    let Some(twins) = Twins::start() else { return };
    let expected = fs::read(twins.original.path().join("large.bin")).unwrap();
    let file = File::open(twins.mount.at("large.bin")).unwrap();
    thread::scope(|scope| {
        for number in 0..16_usize {
            let (file, expected) = (&file, &expected);
            scope.spawn(move || {
                let mut buffer = vec![0; 40_000];
                for step in 0..40_usize {
                    let at = (number * 330_000 + step * 1_234_567) % LARGE;
                    let count = file.read_at(&mut buffer, at as u64).unwrap();
                    assert_eq!(count, buffer.len().min(LARGE - at), "at {at}");
                    assert!(buffer[..count] == expected[at..at + count], "at {at}");
                }
            });
        }
    });
}

/// netCDF's own tool reads the same header and values.
#[test]
fn ncdump_agrees() {
    let Some(twins) = Twins::start() else { return };
    twins.must_agree("for f in MUR*/2020/*.nc; do ncdump -h $f; done");
    twins.must_agree("ncdump MUR*/2020/20200102*.nc | md5sum");
    twins.must_agree("ncdump -h cube.h5; ncdump -v chunked cube.h5 | md5sum");
}

/// h5py reads the same contiguous and compressed datasets, and slices across chunks.
#[test]
fn h5py_agrees() {
    let Some(twins) = Twins::start() else { return };
    twins.must_agree(
        "/usr/bin/python3 -c \"import h5py; f = h5py.File('cube.h5', 'r'); names = []; \
         f.visit(names.append); \
         print(names, f['plain'][3, 990:], f['plain'][:].sum(), f['chunked'][4090:4100], \
         f['chunked'][::1009], \
         f['chunked'].attrs['units'], f['deep/er/text'][:])\"",
    );
}

/// GDAL reads the same GeoTIFF in strips and in compressed tiles, netCDF classic and HDF5, with
/// checksums over all pixels.
#[test]
fn gdalinfo_agrees() {
    let Some(twins) = Twins::start() else { return };
    for script in [
        "gdalinfo -checksum map.tif",
        "gdalinfo -checksum tiled.tif",
        "for f in MUR*/2020/*.nc; do gdalinfo -checksum $f; done",
        "gdalinfo cube.h5",
    ] {
        twins.must_agree(script);
    }
}

/// Tools that write fail with a message that the filesystem is read-only.
#[test]
fn tools_that_write_report_a_read_only_file_system() {
    let Some(twins) = Twins::start() else { return };
    let folder: PathBuf = twins.mount.path();
    for script in [
        "touch new",
        "echo x > large.bin",
        "rm -f large.bin",
        "mv large.bin small.bin",
        "mkdir d",
        "chmod u+w large.bin",
        "ln large.bin l",
    ] {
        let output = run_tool(&folder, "bash", ["-c", script]);
        assert!(
            output.code != Some(0) && output.stderr.contains("Read-only file system"),
            "{script}: {}",
            output.stderr
        );
    }
}
