//! The flags of `granulefs mount`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::{cache_size, duration, patience, read_only_mode};
use super::{EarthdataArgs, SOURCES, StoreArgs};
use crate::catalog::Source;

/// `granulefs mount`
#[derive(Debug, Args)]
#[command(after_long_help = SOURCES)]
pub struct MountArgs {
    /// What to mount: BUCKET/PREFIX, a granule's link, a collection, ... (see below)
    pub source: Source,

    /// An existing directory; what a killed granulefs left there is replaced
    pub mountpoint: PathBuf,

    /// Serve from this process until the mount ends, instead of from one in the background
    #[arg(long)]
    pub foreground: bool,

    /// How Earthdata is spoken to.
    #[command(flatten)]
    pub earthdata: EarthdataArgs,

    /// How S3 is spoken to.
    #[command(flatten)]
    pub store: StoreArgs,

    /// Memory for file data, shared by all files (like 256MiB or 2GB)
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = cache_size, help_heading = "Caches")]
    pub cache_size: usize,

    /// How long names and attributes are believed (like 5m or 90s); absence for a tenth of it, 30 s
    /// at most
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration, help_heading = "Caches")]
    pub metadata_ttl: Duration,

    /// How long one operation may take before it fails with ETIMEDOUT
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = patience, help_heading = "Caches")]
    pub timeout: Duration,

    /// Let other users in (for those who are not root, /etc/fuse.conf must say user_allow_other)
    #[arg(long, help_heading = "OwnerAndModes")]
    pub allow_other: bool,

    /// Owner of everything [default: who mounts]
    #[arg(long, help_heading = "OwnerAndModes")]
    pub uid: Option<u32>,

    /// Group of everything [default: that of who mounts]
    #[arg(long, help_heading = "OwnerAndModes")]
    pub gid: Option<u32>,

    /// Permissions of files, octal, without write bits
    #[arg(long, value_name = "MODE", default_value = "0444", value_parser = read_only_mode, help_heading = "OwnerAndModes")]
    pub file_mode: u16,

    /// Permissions of directories, octal, without write bits
    #[arg(long, value_name = "MODE", default_value = "0555", value_parser = read_only_mode, help_heading = "OwnerAndModes")]
    pub dir_mode: u16,

    /// Let nobody execute files
    #[arg(long, help_heading = "OwnerAndModes")]
    pub noexec: bool,

    /// Append the log to this file; without it only --foreground logs, to standard error
    #[arg(long, value_name = "FILE", help_heading = "Log")]
    pub log_file: Option<PathBuf>,

    /// Log more: -v credential swaps, -vv requests, -vvv everything. Never a secret
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Log")]
    pub verbose: u8,

    /// Options as mount(8) passes them: any long option of this page (cache_size=1GiB,allow_other),
    /// and ro, noauto, _netdev and their like, which change nothing
    // Taken apart by `arguments` before clap sees them; here for the help only.
    #[arg(short = 'o', value_name = "OPTION,...")]
    pub options: Vec<String>,
}

pub(super) const ABOUT: &str = "\
Mounts a bucket, a prefix of it, or a directory of several buckets. Returns when the mount can be used, and for one bucket when the \
login is done and the first listing is there; several log in when something below them is needed. A background process serves it \
until `granulefs unmount`, umount(8), fusermount3 -u, SIGTERM or SIGINT. When anything of that fails it says why, exits with status 1 \
and leaves nothing behind.";

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
            "rw,_netdev,cache_size=1GiB,allow_other,x-a=b",
            "-ouid=7",
        ];
        let args = mount_args(&given).unwrap();
        assert_eq!((args.cache_size, args.allow_other, args.uid), (1 << 30, true, Some(7)));
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
            "755",
        ]);
        assert!(args.unwrap_err().to_string().contains("write bits"));
        let args = mount_args(&[
            "granulefs",
            "mount",
            "bucket",
            "/mnt",
            "--metadata-ttl=90",
            "--timeout=2m",
            "--file-mode=440",
        ])
        .unwrap();
        assert_eq!(
            (args.metadata_ttl.as_secs(), args.timeout.as_secs(), args.file_mode),
            (90, 120, 0o440)
        );
        for bad in ["--cache-size=1k", "--timeout=0"] {
            assert!(mount_args(&["granulefs", "mount", "bucket", "/mnt", bad]).is_err(), "{bad}");
        }
    }
}
