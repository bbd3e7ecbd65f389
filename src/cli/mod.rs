//! The command line: flags, environment, defaults. The only home of a default value.

mod access;
mod buckets;
mod credentials;
mod doctor;
mod given_source;
mod mount;
mod options;
mod path;
mod values;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use access::{BucketTableArg, EarthdataArgs, StoreArgs};
pub use buckets::BucketsArgs;
pub use credentials::{CredentialsArgs, Format};
pub use doctor::{DoctorArgs, DoctorTarget};
pub use given_source::GivenSource;
pub use mount::MountArgs;
pub use path::PathArgs;
pub use values::{time_span, timestamp};

/// NASA's Earthdata buckets as a folder.
#[derive(Debug, Parser)]
#[command(
    name = "granulefs",
    version,
    about,
    long_about = LONG_ABOUT,
    after_long_help = AFTER_HELP,
    max_term_width = 110
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

impl Cli {
    /// Reads the program's own arguments. Where they ask for help or are wrong, prints the help or
    /// what is wrong, and ends the program.
    #[must_use]
    pub fn read() -> Self {
        Self::of(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn of(given: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let is_verb = |word: &OsStr| word == "help" || command.find_subcommand(word).is_some();
        let expanded = options::expanded(given, is_verb);
        let given =
            expanded.map_err(|words| Self::command().error(ErrorKind::InvalidValue, words))?;
        let matches = command.try_get_matches_from_mut(given).map_err(without_password)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// Removes user name and password from a URL that the error message repeats.
fn without_password(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue)
        && let Some((before, host)) = value.rsplit_once('@')
    {
        let scheme =
            before.split_once("://").map(|(scheme, _)| format!("{scheme}://")).unwrap_or_default();
        let value = ContextValue::String(format!("{scheme}...@{host}"));
        error.insert(ContextKind::InvalidValue, value);
    }
    error
}

const LONG_ABOUT: &str = "\
granulefs mounts a bucket of NASA's Earthdata Cloud, or a prefix of it, as a read-only folder. It \
logs in to Earthdata by itself, gets the temporary credentials that the data center hands out, and \
renews them before they expire, so that a job may read for days.";

const AFTER_HELP: &str = "\
Identity (looked for in this order, for the Earthdata Login host):
  --token-file FILE, EARTHDATA_TOKEN_FILE
        a file that holds a bearer token from https://urs.earthdata.nasa.gov/ (tokens live 60 \
days), and that may be replaced while a mount uses it
  EARTHDATA_TOKEN
        the token itself
  EARTHDATA_USERNAME and EARTHDATA_PASSWORD
  the file that NETRC names, or ~/.netrc
        machine urs.earthdata.nasa.gov login USER password PASSWORD
Where there are a token and a password, the password is used when the token is refused. Neither \
can be given as a flag: the list of processes would show it. A mount reads files again at each \
login, so it follows what changes there.

Examples:
  granulefs mount podaac-ops-cumulus-protected/MUR-JPL-L4-GLOB-v4.1 ~/mur
  granulefs unmount ~/mur";

const SOURCES: &str = "\
SOURCE is one of
  BUCKET, BUCKET/PREFIX, s3://BUCKET/PREFIX/
        a bucket, or what is below a prefix of it
  s3://BUCKET/KEY.nc
        the directory of that file; mount prints the file's path
  https://HOST/BUCKET/KEY.nc
        the same, from the link on a granule's page
  collection:SHORT_NAME[@VERSION], collection:C1996881146-POCLOUD
        where the collection is, as CMR says; the newest version unless one is named
        (a directory for each bucket when its granules are in several)
  podaac, LPDAAC, GES_DISC, ...
        every bucket of a data center
  earthdata
        every known bucket
A word that is both a bucket in the table and the name of a data center means the bucket. BUCKET/ \
always means a bucket.";

/// What granulefs can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Mount a bucket, or a prefix of it, on a directory
    #[command(long_about = mount::ABOUT)]
    Mount(Box<MountArgs>),
    /// List the buckets that are known, with data center, endpoint and region
    Buckets(BucketsArgs),
    /// Print the path in a mount of an s3:// URL or a granule's https link
    Path(PathArgs),
    /// Print S3 credentials for other programs
    #[command(long_about = credentials::ABOUT)]
    Credentials(Box<CredentialsArgs>),
    /// Check everything that a mount needs, or what a mount waits for, and say what to do about
    /// what does not work
    #[command(long_about = doctor::ABOUT)]
    Doctor(Box<DoctorArgs>),
    /// Forget the names that a mount has seen, so that it asks for them again, and that its login
    /// was refused, so that it tries again at once (SIGHUP to the mount's process does the same)
    Refresh {
        /// The directory of the mount
        mountpoint: PathBuf,
        /// Forget only the names at and below this path, relative to the mount point
        path: Option<PathBuf>,
    },
    /// End a mount, even while files are open there
    #[command(alias = "umount")]
    Unmount {
        /// The directory of the mount
        mountpoint: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_long_help_of_a_verb_says_more_than_the_list_of_verbs() {
        let help = |verb: &str| {
            Cli::of(["granulefs", verb, "--help"].map(OsString::from)).unwrap_err().to_string()
        };
        for (verb, words) in [
            ("mount", "Returns when"),
            ("credentials", "They live for an hour"),
            ("doctor", "Exits with status 0"),
        ] {
            let help = help(verb).split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(help.contains(words) && help.contains("SOURCE is one of"), "{help}");
        }
    }

    #[test]
    fn an_error_message_repeats_no_password() {
        for given in [
            ["mount", "https://jane:secret@h:99999/", "/mnt"],
            ["mount", "--earthdata-host=jane:secret@h", "b"],
            ["mount", "--credentials-endpoint=https://jane:secret@h/", "b"],
        ] {
            let message = Cli::of(["granulefs"].into_iter().chain(given).map(OsString::from))
                .unwrap_err()
                .to_string();
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
