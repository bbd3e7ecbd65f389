//! An identity that changes while a mount is used: a password or a token that is replaced, an
//! agreement that is accepted. The credentials live for seconds, and the cookies of the login for
//! one, so that every renewal shows the identity.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fake_daac::{BearerAnswer, Content, Family, LoginAnswer};
use rustix::process::Signal;

use crate::harness::{
    BUCKET, Mount, MountCommand, PROGRAM, TIMEOUT, TestEnvironment, errno, eventually, run,
};

const LIFE: Duration = Duration::from_secs(2);
const SIZE: u64 = 1 << 40;

fn short_lived(family: Family) -> Option<TestEnvironment> {
    let environment = TestEnvironment::with_family(family)?;
    environment.fake_daac.put(BUCKET, "folder/data", Content::synthetic(SIZE));
    environment.fake_daac.set(|knobs| {
        (knobs.credential_life, knobs.cookie_life) = (LIFE, Duration::from_secs(1));
    });
    Some(environment)
}

fn write_netrc(path: &Path, user: &str, password: &str) {
    fs::write(path, format!("machine localhost login {user} password \"{password}\"\n")).unwrap();
}

/// Returns a mount that logs in with the password of `~/.netrc`.
fn by_netrc(environment: &TestEnvironment) -> MountCommand {
    let command = environment.mount_command(BUCKET).without_env("EARTHDATA_TOKEN");
    let fake_daac = &environment.fake_daac;
    write_netrc(&command.directory().home().join(".netrc"), fake_daac.user(), fake_daac.password());
    command
}

/// Reads of places that were not read before.
struct Reader {
    file: File,
    number: u64,
}

impl Reader {
    fn of(mount: &Mount) -> Self {
        Self { file: File::open(mount.at("folder/data")).unwrap(), number: 0 }
    }

    /// Returns the errno of one more read.
    fn read(&mut self) -> i32 {
        self.number += 1;
        // At distances that do not repeat, so that none is prefetched.
        let offset = fastrand::Rng::with_seed(self.number).u64(0..SIZE - 4096);
        errno(self.file.read_at(&mut [0; 4096], offset))
    }
}

fn refresh(mount: &Mount) {
    run(Command::new(PROGRAM).arg("refresh").arg(mount.path())).must_succeed();
}

/// What the user does after a password was changed at Earthdata Login and in the netrc.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Nothing,
    Refresh,
    Hangup,
}

/// A password that was changed at Earthdata Login is refused once and never sent again, whatever
/// the user does. The new one is sent as soon as the netrc has it.
#[test]
fn a_changed_password_reaches_a_mount_and_the_old_one_is_never_sent_again() {
    for then in [Then::Nothing, Then::Refresh, Then::Hangup] {
        let Some(environment) = short_lived(Family::Cumulus) else { return };
        let fake_daac = &environment.fake_daac;
        let mount = by_netrc(&environment).mount();
        let mut reader = Reader::of(&mount);
        assert_eq!(reader.read(), 0);
        fake_daac.set(|knobs| knobs.new_password = Some("the new one".into()));
        eventually("the old password is refused", TIMEOUT, || reader.read() == libc::EACCES);
        let tell = || match then {
            Then::Nothing => {}
            Then::Refresh => refresh(&mount),
            Then::Hangup => mount.server().send_signal(Signal::HUP),
        };
        for _ in 0..3 {
            tell();
            std::thread::sleep(Duration::from_millis(400));
            assert_eq!(reader.read(), libc::EACCES, "{then:?}");
        }
        assert_eq!(fake_daac.stats().rejected, 1, "{then:?}");
        let log = mount.log();
        assert!(log.contains("refused the user name or password"), "{log}");
        write_netrc(&mount.directory().home().join(".netrc"), fake_daac.user(), "the new one");
        tell();
        if then == Then::Refresh {
            assert_eq!(reader.read(), 0);
        }
        eventually("the new password is sent", 2 * LIFE, || reader.read() == 0);
        let stats = fake_daac.stats();
        assert_eq!((stats.rejected, stats.leaked_secrets), (1, 0), "{then:?}");
        assert!(!mount.log().contains("the new one"));
    }
}

/// A password that is changed in the netrc before the credentials end is not missed.
#[test]
fn a_password_that_is_changed_everywhere_in_time_is_no_error() {
    let Some(environment) = short_lived(Family::Tea) else { return };
    let mount = by_netrc(&environment).mount();
    let mut reader = Reader::of(&mount);
    assert_eq!(reader.read(), 0);
    let fake_daac = &environment.fake_daac;
    // While the file is half written, there is no identity in it.
    let netrc = mount.directory().home().join(".netrc");
    fs::write(&netrc, "machine localhost login ").unwrap();
    fake_daac.set(|knobs| knobs.new_password = Some("new".into()));
    write_netrc(&netrc, fake_daac.user(), "new");
    let issued = fake_daac.stats().issued;
    eventually("two renewals", TIMEOUT, || {
        assert_eq!(reader.read(), 0);
        fake_daac.stats().issued >= issued + 2
    });
    assert_eq!(fake_daac.stats().rejected, 0);
}

/// After an agreement is accepted, `granulefs refresh` and SIGHUP make the next read log in, long
/// before the pause after a refusal is over.
#[test]
fn an_accepted_agreement_opens_a_mount_that_is_refreshed() {
    for (family, by_token) in
        [(Family::Cumulus, false), (Family::Cumulus, true), (Family::Tea, true)]
    {
        for by_signal in [false, true] {
            let what = format!("{family:?}, token {by_token}, signal {by_signal}");
            let Some(environment) = short_lived(family) else { return };
            let set = |login, bearer| {
                environment.fake_daac.set(|knobs| (knobs.login, knobs.bearer) = (login, bearer));
            };
            let command =
                if by_token { environment.mount_command(BUCKET) } else { by_netrc(&environment) };
            let mount = command.mount();
            let mut reader = Reader::of(&mount);
            assert_eq!(reader.read(), 0, "{what}");
            set(LoginAnswer::Eula, BearerAnswer::Eula);
            eventually("the agreement is missing", TIMEOUT, || reader.read() == libc::EACCES);
            let refused = Instant::now();
            set(LoginAnswer::Accept, BearerAnswer::Accept);
            let answer = reader.read();
            // On a machine that was busy for longer, the pause may be over.
            if refused.elapsed() < Duration::from_secs(1) {
                assert_eq!(answer, libc::EACCES, "{what}");
            }
            if by_signal {
                mount.server().send_signal(Signal::HUP);
                eventually("a login", LIFE, || reader.read() == 0);
            } else {
                run(Command::new(PROGRAM)
                    .arg("refresh")
                    .arg(mount.path())
                    .arg("folder/not-seen-yet"))
                .must_succeed();
                assert_eq!(reader.read(), 0, "{what}");
            }
        }
    }
}

/// A token file is read at each renewal, whoever replaces it and however: a rename, or the links
/// of a Kubernetes secret. No read fails meanwhile.
#[test]
fn a_token_file_that_is_replaced_reaches_the_mount() {
    let Some(environment) = short_lived(Family::Tea) else { return };
    let fake_daac = &environment.fake_daac;
    let folder = tempfile::tempdir().unwrap();
    let version = |name: &str, token: &str| {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("token"), format!("{token}\n")).unwrap();
        symlink(name, folder.path().join("new")).unwrap();
        fs::rename(folder.path().join("new"), folder.path().join("..data")).unwrap();
    };
    version("1", fake_daac.token());
    let path = folder.path().join("token");
    symlink("..data/token", &path).unwrap();
    let path = path.display().to_string();
    let command = || environment.mount_command(BUCKET).env("EARTHDATA_TOKEN", "not-used");
    let option = format!("token_file={path}");
    let mounts = [
        command().args(&["--token-file", &path]).mount(),
        command().env("EARTHDATA_TOKEN_FILE", &path).mount(),
        command().args(&["-o", &option]).mount(),
    ];
    let mut readers: Vec<_> = mounts.iter().map(Reader::of).collect();
    let mut read_until_renewed = || {
        let issued = fake_daac.stats().issued;
        eventually("renewals", TIMEOUT, || {
            assert!(readers.iter_mut().all(|reader| reader.read() == 0));
            fake_daac.stats().issued >= issued + 6
        });
    };
    read_until_renewed();
    let eve = fake_daac.add_user("eve");
    version("2", &eve);
    fake_daac.set(|knobs| knobs.token_revoked = true);
    read_until_renewed();
    for mount in mounts {
        let log = mount.log();
        assert!(!log.contains("WARN") && !log.contains(&eve), "{log}");
    }
}
