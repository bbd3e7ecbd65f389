//! The command line: flags, environment, defaults. The only home of a default value.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::earthdata::archive;
use crate::earthdata::login::normal_host;
use crate::object::Prefix;

/// NASA's Earthdata buckets as a folder.
#[derive(Debug, Parser)]
#[command(name = "granulefs", version, about, long_about = LONG_ABOUT, after_long_help = AFTER_HELP, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

impl Cli {
    /// Reads the program's own arguments. Help and complaints are printed here, and end the program.
    #[must_use]
    pub fn read() -> Self {
        Self::of(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn of(given: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(arguments(given))?;
        if let Some(mount) = matches.subcommand_matches("mount")
            && mount.get_flag("aws_credentials")
            // One that stands in the environment is for other mounts, which clap's own conflicts do not know.
            && mount.value_source("credentials_endpoint") == Some(ValueSource::CommandLine)
        {
            let words = "--aws-credentials needs no Earthdata, so it cannot be used with --credentials-endpoint";
            return Err(command.error(ErrorKind::ArgumentConflict, words));
        }
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

const LONG_ABOUT: &str = "\
granulefs mounts a bucket of NASA's Earthdata Cloud, or a prefix of it, as a read-only folder. It logs in to Earthdata by \
itself, gets the temporary credentials that the data center hands out, and swaps them before they expire, so that a job may \
read for days.";

const AFTER_HELP: &str = "\
Identity (looked for in this order, for the Earthdata Login host):
  EARTHDATA_TOKEN                            a bearer token from https://urs.earthdata.nasa.gov/ (they live 60 days)
  EARTHDATA_USERNAME and EARTHDATA_PASSWORD
  the file that NETRC names, or ~/.netrc     machine urs.earthdata.nasa.gov login USER password PASSWORD
Where there is a token and a password, the password is used when the token is refused. Neither can be given as a flag: \
the process list would show it.

Examples:
  granulefs mount podaac-ops-cumulus-protected/MUR-JPL-L4-GLOB-v4.1 ~/mur
  granulefs unmount ~/mur";

/// What granulefs can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Mount a bucket, or a prefix of it, on a directory
    Mount(Box<MountArgs>),
    /// Forget what is known of names, so that they are asked for anew (SIGHUP to the mount's process does it as well)
    Refresh {
        /// The directory it is mounted on
        mountpoint: PathBuf,
        /// Only what is at and below this path, relative to the mount point
        path: Option<PathBuf>,
    },
    /// End a mount, also while files are open there
    #[command(alias = "umount")]
    Unmount {
        /// The directory it is mounted on
        mountpoint: PathBuf,
    },
}

/// `granulefs mount`
#[derive(Debug, Args)]
#[command(long_about = MOUNT_ABOUT)]
pub struct MountArgs {
    /// What to mount: BUCKET, BUCKET/PREFIX or s3://BUCKET/PREFIX/
    pub source: Location,

    /// An existing directory; what a killed granulefs left there is replaced
    pub mountpoint: PathBuf,

    /// Serve from this process until the mount ends, instead of from one in the background
    #[arg(long)]
    pub foreground: bool,

    /// The data center's /s3credentials URL [default: from the built-in table of buckets]
    #[arg(long, value_name = "URL", env = "S3_CREDENTIAL_ENDPOINT", help_heading = "Earthdata")]
    pub credentials_endpoint: Option<String>,

    /// The Earthdata Login host, the only place that gets the password (UAT: uat.urs.earthdata.nasa.gov)
    #[arg(
        long,
        value_name = "HOST[:PORT]",
        env = "EARTHDATA_HOST",
        default_value = "urs.earthdata.nasa.gov",
        value_parser = normal_host,
        help_heading = "Earthdata"
    )]
    pub earthdata_host: String,

    /// No Earthdata Login: use the environment's own AWS credentials (variables, profile, role)
    #[arg(long, help_heading = "Earthdata")]
    pub aws_credentials: bool,

    /// The bucket's AWS region [default: from the built-in table of buckets; for others AWS_REGION, AWS_DEFAULT_REGION, or
    /// us-west-2]
    #[arg(long, help_heading = "S3")]
    pub region: Option<String>,

    /// An S3-compatible store other than Amazon's
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_S3", help_heading = "S3")]
    pub endpoint_url: Option<String>,

    /// Ask for ENDPOINT/BUCKET/KEY instead of BUCKET.ENDPOINT/KEY
    #[arg(long, help_heading = "S3")]
    pub path_style: bool,

    /// Memory for file data, shared by all files (like 256MiB or 2GB)
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = cache_size, help_heading = "Caches")]
    pub cache_size: usize,

    /// How long names and attributes are believed (like 5m or 90s); absence for a tenth of it, 30 s at most
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration, help_heading = "Caches")]
    pub metadata_ttl: Duration,

    /// How long one operation may take before it fails with ETIMEDOUT
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration, help_heading = "Caches")]
    pub timeout: Duration,

    /// Let other users in (for those who are not root, /etc/fuse.conf must say user_allow_other)
    #[arg(long, help_heading = "Appearance")]
    pub allow_other: bool,

    /// Owner of everything [default: who mounts]
    #[arg(long, help_heading = "Appearance")]
    pub uid: Option<u32>,

    /// Group of everything [default: that of who mounts]
    #[arg(long, help_heading = "Appearance")]
    pub gid: Option<u32>,

    /// Permissions of files, octal, without write bits
    #[arg(long, value_name = "MODE", default_value = "0444", value_parser = read_only_mode, help_heading = "Appearance")]
    pub file_mode: u16,

    /// Permissions of directories, octal, without write bits
    #[arg(long, value_name = "MODE", default_value = "0555", value_parser = read_only_mode, help_heading = "Appearance")]
    pub dir_mode: u16,

    /// Let nobody execute files
    #[arg(long, help_heading = "Appearance")]
    pub noexec: bool,

    /// Append the log to this file; without it only --foreground logs, to standard error
    #[arg(long, value_name = "FILE", help_heading = "Log")]
    pub log_file: Option<PathBuf>,

    /// Log more: -v credential swaps, -vv requests, -vvv everything. Never a secret
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Log")]
    pub verbose: u8,

    /// Options as mount(8) passes them: any long option of this page (cache_size=1GiB,allow_other), and ro, noauto, _netdev
    /// and their like, which change nothing
    // Taken apart by `arguments` before clap sees them; here for the help only.
    #[arg(short = 'o', value_name = "OPTION,...")]
    pub options: Vec<String>,
}

impl MountArgs {
    /// The region to sign for.
    #[must_use]
    pub fn region(&self) -> String {
        self.region_with(|name| std::env::var(name).ok())
    }

    fn region_with(&self, variable: impl Fn(&str) -> Option<String>) -> String {
        let known = || archive::known(&self.source.bucket).map(|known| known.region.clone());
        // A machine's own region says nothing about a bucket that is known to be elsewhere.
        let environment = || ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().filter_map(&variable).find(|name| !name.is_empty());
        self.region.clone().or_else(known).or_else(environment).unwrap_or_else(|| "us-west-2".into())
    }
}

const MOUNT_ABOUT: &str = "\
Mounts a bucket, or a prefix of it, on a directory. Returns when the login is done, the first listing is there and the mount \
can be used; a background process serves it until `granulefs unmount`, umount(8), fusermount3 -u, SIGTERM or SIGINT. When \
anything of that fails it says why, exits with status 1 and leaves nothing behind.";

/// A bucket and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The bucket's name.
    pub bucket: String,
    /// Empty for the whole bucket.
    pub prefix: Prefix,
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("s3://").unwrap_or(text);
        if path.contains("://") {
            return Err("write it as BUCKET/PREFIX or s3://BUCKET/PREFIX".into());
        }
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        let is_bucket = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_');
        if bucket.len() < 3 || bucket.len() > 63 || !bucket.chars().all(is_bucket) {
            return Err(format!("{bucket:?} is no bucket name (3 to 63 of a-z, 0-9, - and .)"));
        }
        Ok(Self { bucket: bucket.into(), prefix: Prefix::new(prefix) })
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix.as_str())
    }
}

fn cache_size(text: &str) -> Result<usize, String> {
    // Below this a single reader's window does not fit.
    const LEAST: ByteSize = ByteSize::mib(16);
    let size: ByteSize = text.parse()?;
    if size < LEAST {
        return Err(format!("at least {LEAST} is needed"));
    }
    usize::try_from(size.as_u64()).map_err(|e| e.to_string())
}

/// A plain number is seconds, as in other programs' mount options.
fn duration(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).or_else(|_| humantime::parse_duration(text)).map_err(|e| e.to_string())
}

fn read_only_mode(text: &str) -> Result<u16, String> {
    let mode = u16::from_str_radix(text, 8).map_err(|_| "not an octal number".to_owned())?;
    match mode {
        mode if mode > 0o777 => Err("more than 0777".into()),
        mode if mode & 0o222 != 0 => Err("the mount is read-only: no write bits".into()),
        mode => Ok(mode),
    }
}

/// What mount(8) and fstab(5) pass that changes nothing here: the mount is read-only, nosuid and nodev in any case.
const PASSIVE: [&str; 22] = [
    "ro",
    "rw",
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "_netdev",
    "nofail",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "async",
    "sync",
    "atime",
    "noatime",
    "relatime",
    "norelatime",
    "default_permissions",
];

/// The arguments with `-o name=value` written as `--name=value`, and `mount.granulefs SOURCE MOUNTPOINT`, as mount(8) calls its
/// helper, as `granulefs mount SOURCE MOUNTPOINT`.
#[must_use]
fn arguments(given: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut given = given.into_iter();
    let program = given.next().unwrap_or_else(|| "granulefs".into());
    let is_helper = Path::new(&program).file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"mount."));
    let mut arguments = vec![program];
    if is_helper {
        arguments.push("mount".into());
    }
    while let Some(argument) = given.next() {
        match argument.to_str() {
            Some("-o") => match given.next() {
                Some(options) => expand(&options, &mut arguments),
                None => arguments.push(argument),
            },
            // mount(8)'s "do not write /etc/mtab" and "be sloppy".
            Some("-n" | "-s") if is_helper => {}
            Some(text) if text.starts_with("-o") => expand(OsStr::new(&text[2..]), &mut arguments),
            _ => arguments.push(argument),
        }
    }
    arguments
}

fn expand(options: &OsStr, arguments: &mut Vec<OsString>) {
    for option in options.to_string_lossy().split(',').filter(|option| !option.is_empty()) {
        if PASSIVE.contains(&option) || option.starts_with("x-") {
            continue;
        }
        let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        let name = name.replace('_', "-");
        arguments.push(value.map_or_else(|| format!("--{name}"), |value| format!("--{name}={value}")).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_source_is_written_in_many_ways() {
        for text in ["bucket/a/b", "bucket/a/b/", "s3://bucket/a/b", "s3://bucket/a/b/"] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), "s3://bucket/a/b/", "{text}");
        }
        for text in ["bucket", "bucket/", "s3://bucket", "s3://bucket/"] {
            assert_eq!(text.parse::<Location>().unwrap().prefix, Prefix::new(""), "{text}");
        }
        for text in ["", "s3://", "/a", "https://bucket/a", "BUCKET/a", "a/b"] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }

    fn mount_args(given: &[&str]) -> Result<MountArgs, clap::Error> {
        let cli = Cli::of(given.iter().map(OsString::from))?;
        match cli.verb {
            Verb::Mount(args) => Ok(*args),
            _ => panic!("not a mount"),
        }
    }

    #[test]
    fn mount_options_are_the_long_options() {
        let given =
            ["/sbin/mount.granulefs", "bucket/p", "/mnt", "-n", "-o", "rw,_netdev,cache_size=1GiB,allow_other,x-a=b", "-ouid=7"];
        let args = mount_args(&given).unwrap();
        assert_eq!((args.cache_size, args.allow_other, args.uid), (1 << 30, true, Some(7)));
        let unknown = mount_args(&["granulefs", "mount", "bucket", "/mnt", "-o", "colour=blue"]).unwrap_err();
        assert!(unknown.to_string().contains("--colour"));
        let both =
            ["granulefs", "mount", "bucket", "/mnt", "-o", "aws_credentials,credentials_endpoint=https://d.org/s3credentials"];
        assert_eq!(mount_args(&both).unwrap_err().kind(), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn a_known_bucket_is_where_it_is_whatever_region_the_machine_is_in() {
        let region = |given: &[&str], variables: &[(&str, &str)]| {
            let given = ["granulefs", "mount"].iter().chain(given).chain(&["/mnt"]).copied().collect::<Vec<_>>();
            let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            mount_args(&given).unwrap().region_with(variable)
        };
        let (own, other) = (("AWS_REGION", "eu-central-1"), ("AWS_DEFAULT_REGION", "eu-west-1"));
        assert_eq!(region(&["bucket"], &[]), "us-west-2");
        assert_eq!(region(&["bucket"], &[other]), "eu-west-1");
        assert_eq!(region(&["bucket"], &[own, other]), "eu-central-1");
        assert_eq!(region(&["bucket"], &[("AWS_REGION", ""), other]), "eu-west-1");
        assert_eq!(region(&["podaac-ops-cumulus-protected"], &[own, other]), "us-west-2");
        assert_eq!(region(&["podaac-ops-cumulus-protected", "--region=us-east-1"], &[own]), "us-east-1");
    }

    #[test]
    fn values_are_read_as_people_write_them_and_bad_ones_refused() {
        let args = mount_args(&["granulefs", "mount", "bucket", "/mnt", "--metadata-ttl", "90", "--dir-mode", "755"]);
        assert!(args.unwrap_err().to_string().contains("write bits"));
        let args = mount_args(&["granulefs", "mount", "bucket", "/mnt", "--metadata-ttl=90", "--timeout=2m", "--file-mode=440"])
            .unwrap();
        assert_eq!((args.metadata_ttl.as_secs(), args.timeout.as_secs(), args.file_mode), (90, 120, 0o440));
        assert!(mount_args(&["granulefs", "mount", "bucket", "/mnt", "--cache-size=1k"]).is_err());
    }
}
