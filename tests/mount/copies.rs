//! What is copied out of a mount by an ordinary user (docs/semantics.md, "Attributes").

use std::fs;

use fake_daac::PutOptions;

use crate::harness::{BUCKET, PYTHON, TestEnvironment, as_nobody};

/// Ways to copy the directory `$1` into the directory `copy`, and the program that each needs.
const WAYS: [(&str, &str); 6] = [
    ("cp", r#"cp -r "$1" copy/"#),
    ("cp", r#"cp -a "$1" copy/"#),
    ("rsync", r#"rsync -a "$1" copy/"#),
    ("rsync", r#"rsync -rtp --chmod=u+w "$1/" copy/folder/"#),
    ("tar", r#"tar c -C "$1/.." folder | tar x -C copy"#),
    (
        PYTHON,
        r#"/usr/bin/python3 -c 'import shutil, sys
shutil.copytree(sys.argv[1], "copy/folder", dirs_exist_ok=True)' "$1""#,
    ),
];

/// What users do with a copy.
const USES: &str = r#"
cmp "$1/one.txt" copy/folder/one.txt
touch copy/folder/one.txt copy/folder/new.txt
echo more >> copy/folder/below/two.txt
mkdir copy/folder/below/deeper
mv copy/folder/one.txt copy/folder/below/
rm copy/folder/below/two.txt
rm -r copy
"#;

/// A copy can be made a second time, changed and removed by the user who made it, whether that user
/// mounted or root did.
#[test]
fn copies_belong_to_the_user_who_made_them() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    environment.fake_daac.put(BUCKET, "folder/below/two.txt", "two\n");
    let Some(by_user) = environment.mount_command_of_nobody(BUCKET) else { return };
    let by_user = by_user.mount();
    let by_root = environment.mount_command(BUCKET).args(&["--allow-other"]).mount();
    let home = by_user.directory().home().to_str().unwrap().to_owned();
    for mount in [&by_user, &by_root] {
        let folder = mount.at("folder");
        for (program, copy) in WAYS {
            if as_nobody(&["sh", "-c", "command -v \"$1\"", "-", program]).code != Some(0) {
                eprintln!("skipped: there is no {program}");
                continue;
            }
            let script = format!("set -e; cd {home}; mkdir copy; {copy}; {copy}\n{USES}");
            let output = as_nobody(&["bash", "-c", &script, "-", folder.to_str().unwrap()]);
            assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{copy}");
        }
    }
}

/// Zip archives begin in 1980, in local time: Python refuses what is older. Directories, and
/// objects that are older or have no time, can be archived in every time zone.
#[test]
fn a_directory_can_be_zipped_in_every_time_zone() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let options =
        PutOptions { modified: Some(std::time::SystemTime::UNIX_EPOCH), ..PutOptions::default() };
    environment.fake_daac.put_with(BUCKET, "folder/below/old.txt", "old\n", options);
    let archive = "import shutil, sys, zipfile\n\
        shutil.make_archive(sys.argv[2], 'zip', sys.argv[1])\n\
        zipfile.main(['-c', sys.argv[2] + '2.zip', sys.argv[1] + '/folder'])\n\
        zip = zipfile.ZipFile(sys.argv[2] + '.zip')\n\
        print(min(info.date_time for info in zip.infolist())[0], zip.testzip())";
    for is_undated in [false, true] {
        environment.fake_daac.set(|knobs| knobs.undated = is_undated);
        let Some(mount_command) = environment.mount_command_of_nobody(BUCKET) else { return };
        let mount = mount_command.mount();
        for zone in ["UTC", "America/Los_Angeles", "Etc/GMT+12", "Pacific/Kiritimati"] {
            let target = mount.directory().home().join(zone.replace('/', "-"));
            let (zone, folder) = (format!("TZ={zone}"), mount.path());
            let words = ["env", &zone, PYTHON, "-c", archive];
            let paths = [folder.to_str().unwrap(), target.to_str().unwrap()];
            let output = as_nobody(&[&words[..], &paths].concat());
            assert_eq!(output.stderr, "", "{zone}");
            assert_eq!(output.stdout_text(), "1980 None\n", "{zone}");
        }
    }
}

/// No time is before 1980-01-02 or has fractions, and a listing and a lookup tell the same, also of
/// objects without LastModified.
#[test]
fn times_are_the_same_from_a_listing_and_a_lookup() {
    let Some(environment) = TestEnvironment::start() else { return };
    let epoch = std::time::SystemTime::UNIX_EPOCH;
    let earliest = 315_619_200;
    let put = |name: &str, milliseconds| {
        let modified = Some(epoch + std::time::Duration::from_millis(milliseconds));
        let options = PutOptions { modified, ..PutOptions::default() };
        environment.fake_daac.put_with(BUCKET, &format!("folder/{name}"), "x", options);
    };
    let times = [
        ("epoch", 0, earliest),
        ("new-year-1980", 315_532_800_000, earliest),
        ("a-second-early", 315_619_199_999, earliest),
        ("in-time", 315_619_200_999, earliest),
        ("fraction", 1_620_284_889_987, 1_620_284_889),
    ];
    times.iter().for_each(|(name, milliseconds, _)| put(name, *milliseconds));
    for is_undated in [false, true] {
        environment.fake_daac.set(|knobs| knobs.undated = is_undated);
        let mount = environment.mount(BUCKET);
        let check = || {
            for (name, _, seconds) in times {
                use std::os::unix::fs::MetadataExt;
                let file = fs::metadata(mount.at("folder").join(name)).unwrap();
                let expected = if is_undated { earliest } else { seconds };
                assert_eq!((file.mtime(), file.mtime_nsec()), (expected, 0), "{name}");
                let folder = fs::metadata(mount.at("folder")).unwrap();
                assert_eq!((folder.mtime(), folder.atime(), folder.ctime()), {
                    (earliest, earliest, earliest)
                });
            }
        };
        environment.fake_daac.reset_stats();
        check();
        assert_eq!(environment.fake_daac.stats().heads, times.len() as u64, "each was looked up");
        assert_eq!(fs::read_dir(mount.at("folder")).unwrap().count(), times.len());
        check();
        let fresh = environment.mount(BUCKET);
        environment.fake_daac.reset_stats();
        assert_eq!(fs::read_dir(fresh.at("folder")).unwrap().count(), times.len());
        for (name, _, _) in times {
            let of = |mount: &crate::harness::Mount| {
                fs::metadata(mount.at("folder").join(name)).unwrap().modified().unwrap()
            };
            assert_eq!(of(&fresh), of(&mount), "{name}");
        }
    }
}
