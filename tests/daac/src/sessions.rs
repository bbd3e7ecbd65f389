//! Login codes and cookies that Earthdata Login and the DAACs have issued.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use bytes::Bytes;
use hyper::Request;

use crate::content::hex;
use crate::keys::Key;
use crate::server::Role;

/// Codes, cookies, and the credentials that each DAAC issued last.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    codes: HashMap<String, usize>,
    cookies: HashMap<String, (usize, SystemTime)>,
    logins: HashSet<String>,
    pub(crate) issued: HashMap<usize, Key>,
}

impl Sessions {
    /// Issues a single-use code for a DAAC.
    pub(crate) fn issue_code(&mut self, daac: usize) -> String {
        let code = random_hex(64);
        self.codes.insert(code.clone(), daac);
        code
    }

    /// Takes a code; returns whether it is valid, which it is once and only at its DAAC.
    pub(crate) fn redeem(&mut self, code: &str, daac: usize) -> bool {
        self.codes.remove(code) == Some(daac)
    }

    /// Stores a cookie that a DAAC sets.
    pub(crate) fn set_cookie(&mut self, cookie: &str, daac: usize, until: SystemTime) {
        self.cookies.insert(cookie.to_owned(), (daac, until));
    }

    pub(crate) fn has_cookie(&self, cookie: &str, daac: usize, now: SystemTime) -> bool {
        self.cookies.get(cookie).is_some_and(|(owner, until)| *owner == daac && *until > now)
    }

    /// Starts a session at Earthdata Login itself and returns its cookie.
    pub(crate) fn start_login(&mut self) -> String {
        let session = random_hex(32);
        self.logins.insert(session.clone());
        session
    }

    pub(crate) fn is_logged_in(&self, session: &str) -> bool {
        self.logins.contains(session)
    }

    /// Returns the server that set a cookie, `None` for an unknown cookie.
    pub(crate) fn cookie_owner(&self, cookie: &str) -> Option<Role> {
        match self.cookies.get(cookie) {
            Some((daac, _)) => Some(Role::Daac(*daac)),
            None => self.logins.contains(cookie).then_some(Role::Login),
        }
    }

    pub(crate) fn cookies(&self) -> impl Iterator<Item = &String> {
        self.cookies.keys().chain(&self.logins)
    }
}

/// Returns the cookies of a request, name and value.
pub(crate) fn cookies(request: &Request<Bytes>) -> impl Iterator<Item = (&str, &str)> {
    let values = request.headers().get_all("cookie").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split("; ")).filter_map(|pair| pair.split_once('='))
}

/// Returns the value of a request's cookie.
pub(crate) fn cookie<'r>(request: &'r Request<Bytes>, name: &str) -> Option<&'r str> {
    cookies(request).find(|(known, _)| *known == name).map(|(_, value)| value)
}

pub(crate) fn random_hex(digits: usize) -> String {
    let bytes: Vec<u8> = (0..digits.div_ceil(2)).map(|_| fastrand::u8(..)).collect();
    hex(&bytes)
}
