//! The netrc file: where it is, and what it has for a host.

use std::env;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::identity::Password;
use super::netrc_entries::{Missing, find_entry};
use crate::error::{Error, Problem};

/// Where the netrc file is.
#[derive(Clone, Debug)]
pub(super) struct Netrc {
    /// `None`: the user has no home directory.
    path: Option<PathBuf>,
    /// A file that the user names must exist.
    is_named: bool,
}

/// What a netrc file has for a host.
#[derive(Debug)]
pub(super) enum Found {
    /// A password, and what the user should know about the file.
    Password { password: Password, note: Option<String> },
    /// None. The words say what the file is or has instead, and with which mistake.
    Nothing { seen: String, is_mistake: bool },
}

impl Netrc {
    /// Returns the file that `NETRC` names, or else `~/.netrc`.
    pub(super) fn locate() -> Self {
        match env::var_os("NETRC").filter(|path| !path.is_empty()) {
            // A process that serves a mount leaves the directory that it was started in.
            Some(path) => {
                let path = std::path::absolute(&path).unwrap_or_else(|_| path.into());
                Self { path: Some(path), is_named: true }
            }
            None => Self { path: env::home_dir().map(|home| home.join(".netrc")), is_named: false },
        }
    }

    /// Returns the path as messages write it.
    pub(super) fn display(&self) -> String {
        self.path.as_ref().map_or_else(|| "~/.netrc".into(), |path| path.display().to_string())
    }

    /// Returns what the file has for `host` (`name` or `name:port`).
    ///
    /// # Errors
    /// [`Error::Usage`] when the file cannot be read, or when it does not exist although the user
    /// names it.
    pub(super) fn find(&self, host: &str) -> Result<Found, Error> {
        let shown = self.display();
        let nothing = |seen: &str| Found::Nothing { seen: seen.into(), is_mistake: false };
        let Some(path) = &self.path else {
            return Ok(nothing("there is no home directory to look for .netrc in"));
        };
        let file = match std::fs::read(path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound && !self.is_named => {
                return Ok(nothing(&format!("there is no {shown}")));
            }
            Err(e) => {
                let problem = Problem::new("cannot read the netrc file").about(shown);
                return Err(Error::usage(problem.caused_by(e)));
            }
        };
        Ok(match find_entry(&file, host) {
            Ok(entry) => Found::Password {
                password: Password {
                    user: entry.user,
                    secret: entry.password.into(),
                    origin: format!("{shown}, line {}", entry.line),
                },
                note: self.readable_by_others(),
            },
            Err(Missing { words, is_mistake }) => {
                Found::Nothing { seen: format!("{shown} {words}"), is_mistake }
            }
        })
    }

    /// Says so when users other than the owner can read the file.
    fn readable_by_others(&self) -> Option<String> {
        let path = self.path.as_ref()?;
        let mode = std::fs::metadata(path).ok()?.mode() & 0o777;
        (mode & 0o044 != 0).then(|| {
            let path = path.display();
            format!(
                "{path} holds a password and others can read it (mode {mode:04o}): chmod 600 it"
            )
        })
    }
}
