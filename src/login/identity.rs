//! Who the user is to Earthdata Login: a token, a user name and password, or both.

use std::env;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use secrecy::{ExposeSecret, SecretString};

use super::password_guard::PasswordGuard;
use crate::error::{Error, Refusal};

/// What the user can show. At least one of the two is there. One for all logins of a process: a
/// password that one of them finds to be wrong is wrong for all.
#[derive(Debug)]
pub struct Identity {
    /// The bearer token.
    pub token: Option<Found<SecretString>>,
    /// User name and password; the way out when the token is refused.
    pub password: Option<Found<Password>>,
    pub(super) attempts: PasswordGuard,
}

/// Something, and where it was found (never what it is).
#[derive(Debug)]
pub struct Found<T> {
    /// The thing.
    pub value: T,
    /// A variable's name or a file's path.
    pub origin: String,
}

/// A user name and its password.
#[derive(Debug)]
pub struct Password {
    /// The Earthdata user name.
    pub user: String,
    /// Its password.
    pub password: SecretString,
}

impl Identity {
    /// An identity that has not been shown yet.
    #[must_use]
    pub fn new(token: Option<Found<SecretString>>, password: Option<Found<Password>>) -> Self {
        Self { token, password, attempts: PasswordGuard::default() }
    }

    /// Finds the identity for `host` (`name` or `name:port`): `EARTHDATA_TOKEN`, then
    /// `EARTHDATA_USERNAME` with `EARTHDATA_PASSWORD`, then the file that `NETRC` names, then
    /// `~/.netrc` (the order of GDAL, obstore and earthaccess).
    ///
    /// # Errors
    /// [`Refusal::NoIdentity`] when there is none; [`Error::Usage`] when the token cannot be one,
    /// and where there is no token, when a file that is named cannot be read, or a user name comes
    /// without a password.
    pub fn find(host: &str) -> Result<Self, Error> {
        let token = variable("EARTHDATA_TOKEN")
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(Error::usage(
                "EARTHDATA_TOKEN holds a space, a line break or other characters that no token has",
            ));
        }
        let token = token.map(|token| Found {
            value: SecretString::from(token),
            origin: "EARTHDATA_TOKEN".into(),
        });
        let netrc = netrc_path();
        let password = match find_password(&netrc, host) {
            Err(error) if token.is_some() => {
                tracing::warn!(%error, "there is only the token, no password to fall back on");
                None
            }
            found => found?,
        };
        if token.is_none() && password.is_none() {
            let netrc =
                netrc.path.map_or_else(|| "~/.netrc".into(), |path| path.display().to_string());
            return Err(Refusal::NoIdentity { host: host.into(), netrc: netrc.into() }.into());
        }
        Ok(Self::new(token, password))
    }
}

impl Identity {
    /// When the token ends, by what it says itself: Earthdata's are JSON web tokens (RFC 7519,
    /// `exp`).
    #[must_use]
    pub fn token_end(&self) -> Option<SystemTime> {
        #[derive(serde::Deserialize)]
        struct Claims {
            exp: u64,
        }
        let token = self.token.as_ref()?.value.expose_secret();
        let claims = BASE64.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
        let claims: Claims = serde_json::from_slice(&claims).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp))
    }
}

fn find_password(netrc: &NetrcPath, host: &str) -> Result<Option<Found<Password>>, Error> {
    let user = variable("EARTHDATA_USERNAME")
        .map(|user| user.trim().to_owned())
        .filter(|user| !user.is_empty());
    match (user, variable("EARTHDATA_PASSWORD")) {
        (Some(user), Some(password)) => Ok(Some(Found {
            value: Password { user, password: password.into() },
            origin: "EARTHDATA_USERNAME and EARTHDATA_PASSWORD".into(),
        })),
        (Some(_), None) => {
            Err(Error::usage("EARTHDATA_USERNAME is set but EARTHDATA_PASSWORD is not"))
        }
        (None, Some(_)) => {
            Err(Error::usage("EARTHDATA_PASSWORD is set but EARTHDATA_USERNAME is not"))
        }
        (None, None) => from_netrc(netrc, host),
    }
}

/// Without the line end that `$(cat FILE)` or an env file may leave; blanks may be part of a
/// password.
fn variable(name: &str) -> Option<String> {
    env::var(name)
        .ok()
        .map(|value| value.trim_end_matches(['\r', '\n']).to_owned())
        .filter(|value| !value.is_empty())
}

struct NetrcPath {
    path: Option<PathBuf>,
    named_by_user: bool,
}

fn netrc_path() -> NetrcPath {
    match env::var_os("NETRC").filter(|path| !path.is_empty()) {
        Some(path) => NetrcPath { path: Some(path.into()), named_by_user: true },
        None => NetrcPath {
            path: env::home_dir().map(|home| home.join(".netrc")),
            named_by_user: false,
        },
    }
}

fn from_netrc(netrc: &NetrcPath, host: &str) -> Result<Option<Found<Password>>, Error> {
    let Some(path) = &netrc.path else { return Ok(None) };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !netrc.named_by_user => {
            return Ok(None);
        }
        Err(e) => {
            return Err(Error::usage(format!(
                "cannot read the netrc file {}: {e}",
                path.display()
            )));
        }
    };
    let name = host.split(':').next().unwrap_or(host);
    let found = netrc_entry(&text, host).or_else(|| netrc_entry(&text, name));
    Ok(found.map(|value| Found { value, origin: path.display().to_string() }))
}

/// Reads a netrc file as curl and ftp(1) do: the first `machine` of that name with a login and a
/// password, or the `default` that comes before it. A `macdef` ends at an empty line, `#` starts a
/// comment, values may be quoted.
fn netrc_entry(text: &str, machine: &str) -> Option<Password> {
    let mut words = netrc_words(text).into_iter();
    let mut here = false;
    let (mut user, mut password) = (None, None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "machine" => {
                here = words.next().as_deref() == Some(machine);
                (user, password) = (None, None);
            }
            "default" => {
                here = true;
                (user, password) = (None, None);
            }
            "login" => user = words.next(),
            "password" => password = words.next(),
            "account" => drop(words.next()),
            _ => {}
        }
        if here && let (Some(_), Some(_)) = (&user, &password) {
            return Some(Password { user: user?, password: password?.into() });
        }
    }
    None
}

fn netrc_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut in_macro = false;
    for line in text.lines() {
        if in_macro {
            in_macro = !line.trim().is_empty();
            continue;
        }
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with('#') {
            let (word, after) = netrc_word(rest);
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

fn netrc_word(rest: &str) -> (String, &str) {
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        return (rest[..end].to_owned(), &rest[end..]);
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
    fn a_token_tells_when_it_ends_or_nothing() {
        let end = |token: &str| {
            let token = Found { value: token.into(), origin: "here".into() };
            Identity::new(Some(token), None).token_end()
        };
        let token = |claims: &str| format!("eyJ0eXAiOiJKV1QifQ.{}.c2ln", BASE64.encode(claims));
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(
            end(&token(r#"{"type":"User","uid":"jane","exp":1795000000}"#)),
            at(1_795_000_000)
        );
        for odd in [
            "",
            "opaque",
            "a.b.c",
            &token("{}"),
            &token(r#"{"exp":"soon"}"#),
            &token(r#"{"exp":-1}"#),
        ] {
            assert_eq!(end(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_netrc_is_read_as_curl_reads_it() {
        let text = "# my accounts\nmachine example.org login other password no\n\
                    macdef init\nmachine urs.earthdata.nasa.gov login macro password macro\n\n\
                    machine urs.earthdata.nasa.gov\n\tlogin jane\n\taccount x\n\tpassword \"p w\\\"#\"\n\
                    default login anonymous password guest\n";
        let read =
            |host| netrc_entry(text, host).map(|p| (p.user, p.password.expose_secret().to_owned()));
        assert_eq!(read("urs.earthdata.nasa.gov"), Some(("jane".into(), "p w\"#".into())));
        assert_eq!(read("example.org"), Some(("other".into(), "no".into())));
        assert_eq!(read("elsewhere"), Some(("anonymous".into(), "guest".into())));
        assert_eq!(netrc_entry("machine a login b", "a").map(|p| p.user), None);
        let one_line = "machine a login b password c#d machine e password f login g";
        assert_eq!(netrc_entry(one_line, "e").map(|p| p.user), Some("g".into()));
        assert_eq!(netrc_entry(one_line, "a").unwrap().password.expose_secret(), "c#d");
    }

    #[test]
    fn debug_hides_the_secrets() {
        let token = Found { value: "tok-secret".into(), origin: "here".into() };
        let password = Found {
            value: Password { user: "jane".into(), password: "pw-secret".into() },
            origin: "there".into(),
        };
        let identity = Identity::new(Some(token), Some(password));
        assert!(!format!("{identity:?}").contains("-secret"));
    }
}
