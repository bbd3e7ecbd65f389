//! Who the user is to Earthdata Login: a token, a user name and password, or both.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use secrecy::{ExposeSecret, SecretString};

/// What the user can show: a token, a password, or both.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The bearer token.
    pub token: Option<Token>,
    /// The password, which is used when there is no token or the token is refused.
    pub password: Option<Password>,
    /// What the user should know about where they were found, without secrets.
    pub notes: Vec<String>,
}

/// A bearer token of Earthdata Login.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token itself.
    pub secret: SecretString,
    /// Where it was found: a variable's name or a file's path.
    pub origin: String,
}

/// A user name and its password.
#[derive(Clone, Debug)]
pub struct Password {
    /// The Earthdata user name.
    pub user: String,
    /// The password itself.
    pub secret: SecretString,
    /// Where both were found: the variables' names or a file's path.
    pub origin: String,
}

impl Identity {
    /// Returns an identity about which there is nothing to say.
    #[must_use]
    pub fn new(token: Option<Token>, password: Option<Password>) -> Self {
        Self { token, password, notes: Vec::new() }
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

    /// Returns whether both show the same to Earthdata, wherever it was found.
    pub(super) fn shows_the_same_as(&self, other: &Self) -> bool {
        let is_same_password = match (&self.password, &other.password) {
            (Some(one), Some(other)) => one.is_same(other),
            (None, None) => true,
            _ => false,
        };
        self.has_same_token(other) && is_same_password
    }

    /// Returns whether both are the same user to a data center, as far as one can tell: the cookies
    /// of one may then serve the other.
    pub(super) fn is_same_user(&self, other: &Self) -> bool {
        let user = |identity: &Self| identity.password.as_ref().map(|found| found.user.clone());
        self.has_same_token(other) && user(self) == user(other)
    }

    pub(super) fn has_same_token(&self, other: &Self) -> bool {
        match (&self.token, &other.token) {
            (Some(one), Some(other)) => one.is_same(other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Token {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.secret.expose_secret() == other.secret.expose_secret()
    }
}

impl Password {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.user == other.user && self.secret.expose_secret() == other.secret.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(token: Option<&str>, password: Option<(&str, &str)>) -> Identity {
        let token = token.map(|token| Token { secret: token.into(), origin: "here".into() });
        let password = password.map(|(user, secret)| Password {
            user: user.into(),
            secret: secret.into(),
            origin: "there".into(),
        });
        Identity::new(token, password)
    }

    #[test]
    fn a_token_says_when_it_expires_or_nothing() {
        let expiration = |token: &str| identity(Some(token), None).token_expiration();
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
        let identity = identity(Some("tok-secret"), Some(("jane", "pw-secret")));
        assert!(!format!("{identity:?}").contains("-secret"));
    }

    #[test]
    fn identities_are_compared_by_what_they_show() {
        let both = identity(Some("t"), Some(("jane", "p")));
        for (token, password, is_same, is_same_user) in [
            (Some("t"), Some(("jane", "p")), true, true),
            (Some("t"), Some(("jane", "q")), false, true),
            (Some("t"), Some(("joe", "p")), false, false),
            (Some("u"), Some(("jane", "p")), false, false),
            (None, Some(("jane", "p")), false, false),
            (Some("t"), None, false, false),
        ] {
            let other = identity(token, password);
            assert_eq!(both.shows_the_same_as(&other), is_same, "{token:?} {password:?}");
            assert_eq!(both.is_same_user(&other), is_same_user, "{token:?} {password:?}");
        }
    }
}
