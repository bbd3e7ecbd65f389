//! Who the user is to Earthdata Login: a token, a user name and password, or both.

use std::env;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use secrecy::{ExposeSecret, SecretString};

use super::netrc::Netrc;
use super::password_guard::PasswordGuard;
use crate::error::{Error, Refusal};

/// What the user can show: a token, a password, or both. All logins of a process share one
/// identity, so that a password which one of them finds to be wrong is not sent by another.
#[derive(Debug)]
pub struct Identity {
    /// The bearer token.
    pub token: Option<Token>,
    /// The password, which is used when there is no token or the token is refused.
    pub password: Option<Password>,
    pub(super) password_guard: PasswordGuard,
}

/// A bearer token of Earthdata Login.
#[derive(Debug)]
pub struct Token {
    /// The token itself.
    pub secret: SecretString,
    /// Where it was found: a variable's name or a file's path.
    pub origin: String,
}

/// A user name and its password.
#[derive(Debug)]
pub struct Password {
    /// The Earthdata user name.
    pub user: String,
    /// The password itself.
    pub secret: SecretString,
    /// Where both were found: the variables' names or a file's path.
    pub origin: String,
}

impl Identity {
    /// Returns an identity that has not been shown to anyone yet.
    #[must_use]
    pub fn new(token: Option<Token>, password: Option<Password>) -> Self {
        Self { token, password, password_guard: PasswordGuard::default() }
    }

    /// Finds the identity for `host` (`name` or `name:port`): `EARTHDATA_TOKEN`, then
    /// `EARTHDATA_USERNAME` with `EARTHDATA_PASSWORD`, then the file that `NETRC` names, then
    /// `~/.netrc` (the order of GDAL, obstore and earthaccess).
    ///
    /// # Errors
    /// [`Refusal::NoIdentity`] when there is none; [`Error::Usage`] when the token holds characters
    /// that no token has, and, where there is no token, when a netrc file that `NETRC` names cannot
    /// be read, or a user name comes without a password.
    pub fn find(host: &str) -> Result<Self, Error> {
        let token = find_token()?;
        let netrc = Netrc::locate();
        let password = match find_password(&netrc, host) {
            Err(error) if token.is_some() => {
                tracing::warn!(%error, "there is only the token, no password to fall back on");
                None
            }
            found => found?,
        };
        if token.is_none() && password.is_none() {
            let netrc = netrc.display().into();
            return Err(Refusal::NoIdentity { host: host.into(), netrc }.into());
        }
        Ok(Self::new(token, password))
    }

    /// Returns when the token expires, by its own claim; `None` when it makes none. Earthdata's
    /// tokens are JSON web tokens (RFC 7519, `exp`).
    #[must_use]
    pub fn token_expiration(&self) -> Option<SystemTime> {
        #[derive(serde::Deserialize)]
        struct Claims {
            exp: u64,
        }
        let token = self.token.as_ref()?.secret.expose_secret();
        let claims = BASE64.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
        let claims: Claims = serde_json::from_slice(&claims).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp))
    }
}

fn find_token() -> Result<Option<Token>, Error> {
    const VARIABLE: &str = "EARTHDATA_TOKEN";
    let Some(token) = trimmed_variable(VARIABLE) else { return Ok(None) };
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::usage(format!(
            "{VARIABLE} holds a space, a line break or other characters that no token has"
        )));
    }
    Ok(Some(Token { secret: token.into(), origin: VARIABLE.into() }))
}

fn find_password(netrc: &Netrc, host: &str) -> Result<Option<Password>, Error> {
    match (trimmed_variable("EARTHDATA_USERNAME"), variable("EARTHDATA_PASSWORD")) {
        (Some(user), Some(password)) => Ok(Some(Password {
            user,
            secret: password.into(),
            origin: "EARTHDATA_USERNAME and EARTHDATA_PASSWORD".into(),
        })),
        (Some(_), None) => {
            Err(Error::usage("EARTHDATA_USERNAME is set but EARTHDATA_PASSWORD is not"))
        }
        (None, Some(_)) => {
            Err(Error::usage("EARTHDATA_PASSWORD is set but EARTHDATA_USERNAME is not"))
        }
        (None, None) => netrc.password(host),
    }
}

/// Returns the value of the environment variable `name`, unless it is empty. It loses the line end
/// that `$(cat FILE)` or an env file may leave, but no blanks, which may be part of a password.
fn variable(name: &str) -> Option<String> {
    env::var(name)
        .ok()
        .map(|value| value.trim_end_matches(['\r', '\n']).to_owned())
        .filter(|value| !value.is_empty())
}

fn trimmed_variable(name: &str) -> Option<String> {
    variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_when_it_expires_or_nothing() {
        let expiration = |token: &str| {
            let token = Token { secret: token.into(), origin: "here".into() };
            Identity::new(Some(token), None).token_expiration()
        };
        let token = |claims: &str| format!("eyJ0eXAiOiJKV1QifQ.{}.c2ln", BASE64.encode(claims));
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(
            expiration(&token(r#"{"type":"User","uid":"jane","exp":1795000000}"#)),
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
            assert_eq!(expiration(odd), None, "{odd}");
        }
    }

    #[test]
    fn debug_hides_the_secrets() {
        let token = Token { secret: "tok-secret".into(), origin: "here".into() };
        let password =
            Password { user: "jane".into(), secret: "pw-secret".into(), origin: "there".into() };
        let identity = Identity::new(Some(token), Some(password));
        assert!(!format!("{identity:?}").contains("-secret"));
    }
}
