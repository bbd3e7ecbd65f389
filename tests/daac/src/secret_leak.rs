//! Finds secrets in requests to servers that must not see them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::Request;
use hyper::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;

use crate::server::Role;
use crate::sessions::cookies;
use crate::state::ServerState;

/// Returns the name of a secret that a request shows to a server that must not see it.
///
/// Only Earthdata Login may see the password, only `/s3credentials` the bearer token, and only the
/// host that set it a cookie. The foreign host may see no secret, and no URL may hold one.
pub(crate) fn find(
    state: &ServerState,
    role: Role,
    request: &Request<Bytes>,
) -> Option<&'static str> {
    let authorization =
        request.headers().get(AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let authorization = authorization.as_deref().unwrap_or_default();
    if authorization.starts_with("Basic ") && role != Role::Login {
        return Some("Basic credentials");
    }
    if authorization.starts_with("Bearer ")
        && !(matches!(role, Role::Daac(_)) && request.uri().path() == "/s3credentials")
    {
        return Some("bearer token");
    }
    if !authorization.is_empty() && role == Role::ForeignHost {
        return Some("authorization at a foreign host");
    }
    let target = request.uri().to_string();
    let target = percent_decode_str(&target).decode_utf8_lossy();
    let knobs = state.knobs();
    for password in [Some(&state.setup.password), knobs.new_password.as_ref()].into_iter().flatten()
    {
        let pair = STANDARD.encode(format!("{}:{password}", state.setup.user));
        if role != Role::Login
            && form_urlencoded::parse(request.body())
                .any(|(_, value)| value == pair || value == *password)
        {
            return Some("password in a body");
        }
        if [password, &pair].into_iter().any(|secret| target.contains(secret)) {
            return Some("secret in a URL");
        }
    }
    if target.contains(&state.token) {
        return Some("secret in a URL");
    }
    let sessions = state.sessions.lock();
    cookies(request)
        .any(|(_, value)| sessions.cookie_owner(value).is_some_and(|owner| owner != role))
        .then_some("cookie of another host")
}
