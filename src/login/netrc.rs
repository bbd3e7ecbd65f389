//! The netrc file, read as curl and ftp(1) read it.

use std::env;
use std::path::PathBuf;

use super::identity::Password;
use crate::error::{Error, Problem};

/// Where the netrc file is.
pub(super) struct Netrc {
    /// `None`: the user has no home directory.
    path: Option<PathBuf>,
    /// A file that the user names must exist.
    is_named: bool,
}

impl Netrc {
    /// Returns the file that `NETRC` names, or else `~/.netrc`.
    pub(super) fn locate() -> Self {
        match env::var_os("NETRC").filter(|path| !path.is_empty()) {
            Some(path) => Self { path: Some(path.into()), is_named: true },
            None => Self { path: env::home_dir().map(|home| home.join(".netrc")), is_named: false },
        }
    }

    /// Returns the path as messages write it.
    pub(super) fn display(&self) -> String {
        self.path.as_ref().map_or_else(|| "~/.netrc".into(), |path| path.display().to_string())
    }

    /// Returns the entry of `host` (`name` or `name:port`): that of the host with its port, or else
    /// that of the name alone.
    ///
    /// # Errors
    /// [`Error::Usage`] when the file cannot be read, or when it does not exist although the user
    /// names it.
    pub(super) fn password(&self, host: &str) -> Result<Option<Password>, Error> {
        let Some(path) = &self.path else { return Ok(None) };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !self.is_named => {
                return Ok(None);
            }
            Err(e) => {
                let problem = Problem::new("cannot read the netrc file").about(path.display());
                return Err(Error::usage(problem.caused_by(e)));
            }
        };
        let name = host.split(':').next().unwrap_or(host);
        let entry = find_entry(&text, host).or_else(|| find_entry(&text, name));
        Ok(entry.map(|Entry { user, password }| Password {
            user,
            secret: password.into(),
            origin: self.display(),
        }))
    }
}

struct Entry {
    user: String,
    password: String,
}

/// Returns the first `machine` of that name with a login and a password, or the `default` that
/// comes before it.
fn find_entry(text: &str, machine: &str) -> Option<Entry> {
    let mut words = words(text).into_iter();
    let mut is_wanted = false;
    let (mut user, mut password) = (None, None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "machine" => {
                is_wanted = words.next().as_deref() == Some(machine);
                (user, password) = (None, None);
            }
            "default" => {
                is_wanted = true;
                (user, password) = (None, None);
            }
            "login" => user = words.next(),
            "password" => password = words.next(),
            "account" => drop(words.next()),
            _ => {}
        }
        if is_wanted && user.is_some() && password.is_some() {
            return user.zip(password).map(|(user, password)| Entry { user, password });
        }
    }
    None
}

/// Returns the words of a netrc file. A `macdef` ends at an empty line, `#` starts a comment, a
/// word may be quoted.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut in_macro = false;
    for line in text.lines() {
        if in_macro {
            in_macro = !line.trim().is_empty();
            continue;
        }
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with('#') {
            let (word, after) = split_word(rest);
            if word == "macdef" {
                in_macro = true;
                break;
            }
            words.push(word);
            rest = after.trim_start();
        }
    }
    words
}

/// Returns the first word of `text` without its quotes, and what follows it.
fn split_word(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut word = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (word, &quoted[at + 1..]),
            '\\' => word.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => word.push(c),
        }
    }
    (word, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_netrc_is_read_as_curl_reads_it() {
        let text = "# my accounts\nmachine example.org login other password no\n\
                    macdef init\nmachine urs.earthdata.nasa.gov login macro password macro\n\n\
                    machine urs.earthdata.nasa.gov\n\tlogin jane\n\
                    \taccount x\n\tpassword \"p w\\\"#\"\n\
                    default login anonymous password guest\n";
        let read = |host| find_entry(text, host).map(|entry| (entry.user, entry.password));
        assert_eq!(read("urs.earthdata.nasa.gov"), Some(("jane".into(), "p w\"#".into())));
        assert_eq!(read("example.org"), Some(("other".into(), "no".into())));
        assert_eq!(read("elsewhere"), Some(("anonymous".into(), "guest".into())));
        assert_eq!(find_entry("machine a login b", "a").map(|entry| entry.user), None);
        let one_line = "machine a login b password c#d machine e password f login g";
        assert_eq!(find_entry(one_line, "e").map(|entry| entry.user), Some("g".into()));
        assert_eq!(find_entry(one_line, "a").unwrap().password, "c#d");
    }
}
