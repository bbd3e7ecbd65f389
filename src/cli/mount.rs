//! The flags of `granulefs mount`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::{duration, group, memory_size, mode, time_limit, user};
use super::{EarthdataArgs, GivenSource, SOURCES, StoreArgs, memory};
use crate::connect::Settings;
use crate::error::Error;
use crate::filesystem::{CacheSettings, OwnerAndModes};
use crate::fuse::MountSettings;
use crate::logging::LogSettings;

/// The part of the memory that names take by default, and the most bytes: a million names. With the
/// cache of blocks, that fits into 1 GiB.
const METADATA_DIVISOR: u64 = 8;
const METADATA_MOST: usize = 128 << 20;

/// `granulefs mount`
#[derive(Debug, Args)]
#[command(after_long_help = SOURCES)]
pub struct MountArgs {
    /// What to mount: BUCKET/PREFIX, a granule's link, a collection, ... (see below)
    pub source: GivenSource,

    /// An existing directory. What a killed granulefs left mounted there is replaced
    pub mountpoint: PathBuf,

    /// Serve from this process until the mount ends, instead of from one in the background
    #[arg(short, long)]
    pub foreground: bool,

    /// Serve from this process and log requests, as -f -vv do
    #[arg(short)]
    pub(super) debug: bool,

    /// Say nothing when the directory is not empty, and its files are hidden while the mount is
    /// there
    #[arg(long)]
    pub nonempty: bool,

    /// Read the arguments and do nothing, as `mount -f` asks for.
    #[arg(long, hide = true)]
    pub fake: bool,

    /// An option of mount(8) that labels all files for SELinux.
    #[arg(long, hide = true)]
    security_label: Vec<String>,

    /// How Earthdata is asked.
    #[command(flatten)]
    earthdata: EarthdataArgs,

    /// How S3 is asked.
    #[command(flatten)]
    store: StoreArgs,

    /// Memory for file data, shared by all files (256MiB, 2GB, ...)
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "256MiB",
        value_parser = memory_size,
        help_heading = "Caches"
    )]
    cache_size: usize,

    /// Memory for names and their attributes; longer listings let go of what was read [default: an
    /// eighth of the memory that there is, 128MiB at most]
    #[arg(long, value_name = "SIZE", value_parser = memory_size, help_heading = "Caches")]
    metadata_memory: Option<usize>,

    /// How long names and attributes are believed before they are asked for again (5m, 90s, ...);
    /// that a name is not there is believed for a tenth of it, 30 s at most
    #[arg(
        long,
        value_name = "TIME",
        default_value = "5m",
        value_parser = duration,
        help_heading = "Caches"
    )]
    metadata_ttl: Duration,

    /// How long one operation may take before it fails with ETIMEDOUT
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        value_parser = time_limit,
        help_heading = "S3"
    )]
    pub timeout: Duration,

    /// Let other users use the mount (unless root mounts, /etc/fuse.conf must say user_allow_other)
    #[arg(long, help_heading = "Owner and permissions")]
    allow_other: bool,

    /// Owner of everything, a number or a name [default: the user who mounts]
    #[arg(long, value_name = "USER", value_parser = user, help_heading = "Owner and permissions")]
    uid: Option<u32>,

    /// Group of everything, a number or a name [default: the group of the user who mounts]
    #[arg(long, value_name = "GROUP", value_parser = group, help_heading = "Owner and permissions")]
    gid: Option<u32>,

    /// Permissions of files, octal. Whatever they are, the mount is read-only; copies get them too
    #[arg(
        long,
        value_name = "MODE",
        default_value = "0644",
        value_parser = mode,
        help_heading = "Owner and permissions"
    )]
    file_mode: u16,

    /// Permissions of directories, octal
    #[arg(
        long,
        value_name = "MODE",
        default_value = "0755",
        value_parser = mode,
        help_heading = "Owner and permissions"
    )]
    dir_mode: u16,

    /// Let nobody execute files
    #[arg(long, help_heading = "Owner and permissions")]
    noexec: bool,

    /// Append the log to this file [default: the journal or syslog, with --foreground standard
    /// error]
    #[arg(long, value_name = "FILE", help_heading = "Log")]
    log_file: Option<PathBuf>,

    /// Log more than warnings: -v renewed credentials, -vv requests, -vvv everything. Secrets are
    /// never logged
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Log")]
    pub(super) verbose: u8,

    /// Options as mount(8) passes them: any long option of this page (cache_size=1GiB,allow_other),
    /// and ro, noauto, _netdev, x-systemd.automount and the like, which change nothing here
    // `options::expanded` replaces these before clap sees them: the field is here for the help.
    #[arg(short = 'o', value_name = "OPTION,...")]
    options: Vec<String>,
}

impl MountArgs {
    /// Returns how the source is found, logged in to and asked.
    ///
    /// # Errors
    /// [`Error::Usage`] when the table of buckets cannot be read.
    pub fn connect_settings(&self) -> Result<Settings, Error> {
        Ok(Settings { earthdata: self.earthdata.settings()?, s3: self.store.settings() })
    }

    /// Returns whose everything is, and with which permissions.
    #[must_use]
    pub fn owner_and_modes(&self) -> OwnerAndModes {
        OwnerAndModes {
            uid: self.uid.unwrap_or_else(|| rustix::process::getuid().as_raw()),
            gid: self.gid.unwrap_or_else(|| rustix::process::getgid().as_raw()),
            file_mode: self.file_mode,
            dir_mode: self.dir_mode,
        }
    }

    /// Returns what is kept in memory, and for how long.
    #[must_use]
    pub fn limits(&self) -> CacheSettings {
        let default = || memory::share(METADATA_DIVISOR, METADATA_MOST);
        CacheSettings {
            metadata_ttl: self.metadata_ttl,
            cache_size: self.cache_size,
            metadata_memory: self.metadata_memory.unwrap_or_else(default),
        }
    }

    /// Returns what is logged, and where.
    #[must_use]
    pub fn log_settings(&self) -> LogSettings {
        let level = match self.verbose {
            0 => "warn",
            1 => "info",
            2 => "debug",
            _ => "trace",
        };
        let mountpoint = std::path::absolute(&self.mountpoint);
        LogSettings {
            level,
            file: self.log_file.clone(),
            to_stderr: self.foreground,
            mountpoint: mountpoint.unwrap_or_else(|_| self.mountpoint.clone()),
        }
    }

    /// Returns how the kernel is asked to mount.
    #[must_use]
    pub fn mount_settings(&self) -> MountSettings {
        MountSettings {
            source: self.source.shown.clone(),
            allow_other: self.allow_other,
            no_exec: self.noexec,
            security_labels: self.security_label.clone(),
            deadline: self.timeout,
        }
    }
}

pub(super) const ABOUT: &str = "\
Mounts a bucket, a prefix of it, or a directory of several buckets. Returns when the mount can be \
used; for one bucket that is when the login is done and the first listing is there, while several \
log in when something below them is needed. A background process serves the mount until \
`granulefs unmount`, umount(8), fusermount3 -u, SIGTERM or SIGINT. When any of that fails, it says \
why, exits with status 1 and leaves nothing behind.";

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::cli::{Cli, Verb};

    fn mount_args(given: &[&str]) -> Result<MountArgs, clap::Error> {
        let cli = Cli::of(given.iter().map(OsString::from))?;
        match cli.verb {
            Verb::Mount(args) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn mount_options_are_the_long_options() {
        let given = [
            "/sbin/mount.granulefs",
            "bucket/p",
            "/mnt",
            "-n",
            "-o",
            "rw,_netdev,cache_size=1GiB,metadata_memory=64MiB,allow_other,x-a=b,nonempty",
            "-ouid=7",
        ];
        let args = mount_args(&given).unwrap();
        assert_eq!((args.cache_size, args.allow_other, args.uid), (1 << 30, true, Some(7)));
        assert_eq!(args.limits().metadata_memory, 64 << 20);
        let unknown =
            mount_args(&["granulefs", "mount", "bucket", "/mnt", "-o", "colour=blue"]).unwrap_err();
        assert!(unknown.to_string().contains("--colour"));
    }

    #[test]
    fn values_are_read_as_people_write_them_and_bad_ones_refused() {
        let args = mount_args(&[
            "granulefs",
            "mount",
            "bucket",
            "/mnt",
            "--metadata-ttl",
            "90",
            "--dir-mode",
            "1755",
        ]);
        assert!(args.unwrap_err().to_string().contains("more than 0777"));
        let args = mount_args(&[
            "granulefs",
            "mount",
            "bucket",
            "/mnt",
            "--metadata-ttl=90",
            "--timeout=2m",
            "--file-mode=660",
        ])
        .unwrap();
        assert_eq!(
            (args.metadata_ttl.as_secs(), args.timeout.as_secs(), args.file_mode),
            (90, 120, 0o660)
        );
        assert!((16 << 20..=128 << 20).contains(&args.limits().metadata_memory));
        for bad in ["--cache-size=1k", "--metadata-memory=1k", "--timeout=0"] {
            assert!(mount_args(&["granulefs", "mount", "bucket", "/mnt", bad]).is_err(), "{bad}");
        }
    }
}
