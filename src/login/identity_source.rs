//! Where the user's identity is found, and found again after the user has changed it.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::identity::{Identity, Password, Token};
use super::netrc::{Found, Netrc};
use crate::error::{Error, Problem, Refusal};

const TOKEN: &str = "EARTHDATA_TOKEN";
const USERNAME: &str = "EARTHDATA_USERNAME";
const PASSWORD: &str = "EARTHDATA_PASSWORD";

/// A token has about a kilobyte: whatever is longer is another file, or one without an end.
const LONGEST_TOKEN: u64 = 64 << 10;

/// Where to look for the identity at one Earthdata Login host: a token file, the environment, a
/// netrc file.
#[derive(Clone, Debug)]
pub struct IdentitySource {
    /// `name` or `name:port`.
    host: String,
    token_file: Option<PathBuf>,
    netrc: Netrc,
}

impl IdentitySource {
    /// Returns where to look for the identity for `host` (`name` or `name:port`): `token_file`,
    /// then `EARTHDATA_TOKEN`, for the token; `EARTHDATA_USERNAME` with `EARTHDATA_PASSWORD`, then
    /// the file that `NETRC` names, then `~/.netrc`, for the password. Reads nothing yet.
    #[must_use]
    pub fn new(host: &str, token_file: Option<&Path>) -> Self {
        // A process that serves a mount leaves the directory that it was started in.
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let token_file = token_file.map(absolute);
        Self { host: host.to_owned(), token_file, netrc: Netrc::locate() }
    }

    /// Reads the identity.
    ///
    /// # Errors
    /// [`Refusal::NoIdentity`] when there is none; [`Error::Usage`] when there is a token file that
    /// cannot be read or holds none, when a token holds characters that no token has, and, where
    /// there is no token, when a netrc file that `NETRC` names cannot be read, or a user name comes
    /// without a password.
    pub fn read(&self) -> Result<Identity, Error> {
        let token = match &self.token_file {
            Some(path) => Some(token_of_file(path)?),
            None => token_of_variable(env::var_os(TOKEN))?,
        };
        let mut notes = Vec::new();
        let found = self.password().or_else(|error| {
            if token.is_none() {
                return Err(error);
            }
            notes.push(format!("there is only the token, no password to fall back on: {error}"));
            Ok(Found::Nothing { seen: String::new(), is_mistake: false })
        })?;
        let password = match found {
            Found::Password { password, note } => {
                notes.extend(note);
                Some(password)
            }
            Found::Nothing { seen, .. } if token.is_none() => {
                let (host, netrc) = (self.host.as_str().into(), self.netrc.display().into());
                return Err(Refusal::NoIdentity { host, seen: seen.into(), netrc }.into());
            }
            Found::Nothing { seen, is_mistake: true } => {
                let words = "there is only the token, no password to fall back on";
                notes.push(format!("{words}: {seen}"));
                None
            }
            Found::Nothing { .. } => None,
        };
        Ok(Identity { notes, ..Identity::new(token, password) })
    }

    fn password(&self) -> Result<Found, Error> {
        match (variable(USERNAME)?, variable(PASSWORD)?) {
            (Some(user), Some(password)) => {
                let password = password_of_variables(&user, password);
                Ok(Found::Password { password, note: None })
            }
            (Some(_), None) => {
                Err(Error::usage(format!("{USERNAME} is set but {PASSWORD} is not")))
            }
            (None, Some(_)) => {
                Err(Error::usage(format!("{PASSWORD} is set but {USERNAME} is not")))
            }
            (None, None) => self.netrc.find(&self.host),
        }
    }
}

fn token_of_variable(value: Option<OsString>) -> Result<Option<Token>, Error> {
    let Some(value) = value else { return Ok(None) };
    token(value.as_encoded_bytes(), TOKEN)
}

/// Reads a file that holds a token and nothing else, as systemd's credentials and the secrets of
/// Kubernetes are.
fn token_of_file(path: &Path) -> Result<Token, Error> {
    let failed = |words: &'static str| Problem::new(words).about(path.display());
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST_TOKEN + 1).read_to_end(&mut bytes))
        .map_err(|e| Error::usage(failed("cannot read the token file").caused_by(e)))?;
    if bytes.len() as u64 > LONGEST_TOKEN {
        return Err(Error::usage(failed("this is no token file: it is longer than any token")));
    }
    token(&bytes, &path.display().to_string())?
        .ok_or_else(|| Error::usage(failed("the token file is empty")))
}

/// Returns the token that `bytes` hold. It loses what editors, `$(cat FILE)` and env files leave:
/// a byte order mark, line ends and blanks around it, and a pair of quotes.
fn token(bytes: &[u8], origin: &str) -> Result<Option<Token>, Error> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    let bytes = without_quotes(bytes).trim_ascii();
    if !bytes.iter().all(u8::is_ascii_graphic) {
        return Err(Error::usage(format!(
            "{origin} holds a space, a line break or other characters that no token has"
        )));
    }
    let text = String::from_utf8_lossy(bytes).into_owned();
    Ok((!text.is_empty()).then(|| Token { secret: text.into(), origin: origin.into() }))
}

fn without_quotes(bytes: &[u8]) -> &[u8] {
    match bytes {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner,
        _ => bytes,
    }
}

/// Returns the identity of the two variables. The quotes that docker's env files keep are around
/// both or, where the user's are missing, perhaps the password's own.
fn password_of_variables(user: &str, password: String) -> Password {
    let bare = |text: &str| {
        let inner = without_quotes(text.as_bytes());
        String::from_utf8_lossy(inner).into_owned()
    };
    let mut origin = format!("{USERNAME} and {PASSWORD}");
    let trimmed = user.trim();
    let (user, is_user_quoted) = (bare(trimmed), bare(trimmed) != trimmed);
    let password = match bare(&password) {
        inner if inner == password => password,
        inner if is_user_quoted => inner,
        _ => {
            origin += " (which is sent with the quotes around it, as an env file of docker \
                       leaves them)";
            password
        }
    };
    Password { user, secret: password.into(), origin }
}

/// Returns the value of the environment variable `name`, unless it is blank. It loses the line end
/// that `$(cat FILE)` or an env file may leave, but no blanks, which may be part of a password.
fn variable(name: &str) -> Result<Option<String>, Error> {
    let Some(value) = env::var_os(name) else { return Ok(None) };
    let value = value.into_string().map_err(|_| {
        Error::usage(format!("{name} holds bytes that are not UTF-8; set it in a UTF-8 locale"))
    })?;
    let value = value.trim_end_matches(['\r', '\n']);
    let is_blank = if name == USERNAME { value.trim().is_empty() } else { value.is_empty() };
    Ok((!is_blank).then(|| value.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_token_is_read_with_whatever_was_left_around_it() {
        let read = |bytes: &[u8]| {
            token(bytes, "here")
                .map(|found| found.map(|token| token.secret.expose_secret().to_owned()))
        };
        for bytes in [
            &b"a.b.c"[..],
            b" a.b.c \n",
            b"a.b.c\r",
            b"\"a.b.c\"",
            b"'a.b.c'\r\n",
            b"\" a.b.c\r\"",
            b"\xef\xbb\xbfa.b.c\r\n",
        ] {
            assert_eq!(read(bytes).unwrap().as_deref(), Some("a.b.c"), "{bytes:?}");
        }
        for bytes in [&b""[..], b" \n", b"\"\""] {
            assert_eq!(read(bytes).unwrap(), None);
        }
        for bytes in [&b"Bearer hush"[..], b"hush\nhush", b"hush\xe9", b"\0hush"] {
            let words = read(bytes).unwrap_err().to_string();
            assert!(words.starts_with("here holds a space") && !words.contains("hush"), "{words}");
        }
        let variable = token_of_variable(Some(OsString::from_vec(b"hush\xff".into())));
        assert!(variable.unwrap_err().to_string().starts_with("EARTHDATA_TOKEN holds"));
    }

    #[test]
    fn the_quotes_of_an_env_file_are_no_part_of_user_and_password() {
        for (user, password, expected, is_told) in [
            ("jane", "p w", ("jane", "p w"), false),
            (" jane ", " p ", ("jane", " p "), false),
            ("\"jane\"", "\"p w\"", ("jane", "p w"), false),
            ("'jane'", "p", ("jane", "p"), false),
            ("jane", "\"p\"", ("jane", "\"p\""), true),
        ] {
            let found = password_of_variables(user, password.into());
            assert_eq!((&*found.user, found.secret.expose_secret()), expected);
            assert_eq!(found.origin.contains("quotes"), is_told, "{user} {password}");
        }
    }
}
