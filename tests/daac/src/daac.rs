//! A DAAC's `/s3credentials` and the callback of its logins, as Cumulus or the Thin Egress App
//! (TEA) serve them.

use std::time::SystemTime;

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, SET_COOKIE, USER_AGENT};
use hyper::{Method, Request, Response};
use jiff::Timestamp;
use percent_encoding::utf8_percent_encode;

use crate::Family;
use crate::answers::{html, json, redirect, with};
use crate::keys::Key;
use crate::knobs::{BearerAnswer, EndpointAnswer, Expiration, ForeignRedirect, Knobs};
use crate::request_log::RequestKind;
use crate::response_body::ResponseBody;
use crate::sessions::{cookie, random_hex};
use crate::sigv4::ESCAPED;
use crate::state::ServerState;

/// Returns the purpose of a request to a DAAC.
pub(crate) fn kind(state: &ServerState, daac: usize, path: &str) -> RequestKind {
    let (first, _) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    match path {
        "/s3credentials" => RequestKind::Credentials,
        _ if state.owner(first) == Some(daac) => RequestKind::Link,
        _ => RequestKind::Callback,
    }
}

/// Answers a request to one DAAC.
pub(crate) fn answer(
    state: &ServerState,
    daac: usize,
    request: &Request<Bytes>,
    knobs: &Knobs,
) -> Response<ResponseBody> {
    let server = Daac { state, index: daac, family: state.setup.daacs[daac].family, knobs };
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/s3credentials") => server.credentials(request),
        (&Method::GET, path) if path == state.callback_path(daac) => server.callback(request),
        (&Method::GET, path) if kind(state, daac, path) == RequestKind::Link => {
            server.to_login(request)
        }
        (&Method::GET, _) => html(404, "Not Found"),
        _ => html(405, "Method Not Allowed"),
    }
}

struct Daac<'w> {
    state: &'w ServerState,
    index: usize,
    family: Family,
    knobs: &'w Knobs,
}

impl Daac<'_> {
    fn credentials(&self, request: &Request<Bytes>) -> Response<ResponseBody> {
        match self.knobs.endpoint {
            EndpointAnswer::Unavailable => {
                return json(503, r#"{"message":"Service Unavailable"}"#);
            }
            EndpointAnswer::BadRequest => {
                return json(400, r#"{"status":"error","message":"Bad Request"}"#);
            }
            EndpointAnswer::RedirectLoop => return self.to_login(request),
            _ => {}
        }
        if let Some(authorization) = request.headers().get(AUTHORIZATION) {
            let token = authorization.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
            return match token {
                Some(token) => self.bearer(token, request),
                None if self.family == Family::Tea => {
                    json(400, r#"{"status":"error","message":"Malformed Authorization header"}"#)
                }
                None => self.to_login(request),
            };
        }
        let shown = cookie(request, self.cookie_name());
        let is_logged_in = shown.is_some_and(|shown| {
            self.state.sessions.lock().has_cookie(shown, self.index, self.state.now())
        });
        if is_logged_in { self.issue_credentials(None) } else { self.to_login(request) }
    }

    fn bearer(&self, token: &str, request: &Request<Bytes>) -> Response<ResponseBody> {
        let other = self.state.other_users.read().get(token).cloned();
        let is_first = token == self.state.token && !self.knobs.token_revoked;
        let known = is_first || other.is_some();
        match (self.knobs.bearer, self.family) {
            (BearerAnswer::Accept, _) if known => self.issue_credentials(other.as_deref()),
            (BearerAnswer::Accept | BearerAnswer::Refuse, Family::Tea)
                if token.split('.').count() == 3 =>
            {
                json(401, r#"{"error":"invalid_token"}"#)
            }
            (BearerAnswer::Eula, Family::Tea) if known => {
                let resolution = format!(
                    "http://{}/approve_app?client_id={}",
                    self.state.login_host(),
                    self.state.client_id(self.index)
                );
                let body = format!(
                    "{{\"status_code\":403,\"error_description\":\"EULA Acceptance Failure\",\
                     \"resolution_url\":\"{resolution}\"}}"
                );
                json(403, &body)
            }
            _ => self.to_login(request),
        }
    }

    /// Redirects to Earthdata Login.
    fn to_login(&self, request: &Request<Bytes>) -> Response<ResponseBody> {
        let host = match self.knobs.foreign_redirect {
            ForeignRedirect::Endpoint => self.state.addresses.foreign_host.to_string(),
            _ => self.state.login_host(),
        };
        let client = self.state.client_id(self.index);
        let callback = self.state.callback_url(self.index);
        let authorize = format!("http://{host}/oauth/authorize?client_id={client}");
        if self.family == Family::Cumulus {
            let callback = utf8_percent_encode(&callback, ESCAPED);
            return redirect(
                307,
                &format!(
                    "{authorize}&redirect_uri={callback}&response_type=code&state=%2Fs3credentials"
                ),
            );
        }
        let browser = request
            .headers()
            .get(USER_AGENT)
            .is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla"));
        let suffix = if browser { "" } else { "&app_type=401" };
        redirect(
            302,
            &format!(
                "{authorize}&redirect_uri={callback}&response_type=code&state=\
                 %2Fs3credentials{suffix}"
            ),
        )
    }

    /// Answers the redirect that comes back from Earthdata Login.
    fn callback(&self, request: &Request<Bytes>) -> Response<ResponseBody> {
        let query: Vec<_> =
            form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).collect();
        let find =
            |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| &**value);
        let code = find("code").unwrap_or_default();
        if !self.state.sessions.lock().redeem(code, self.index) {
            return match self.family {
                Family::Cumulus => json(
                    401,
                    concat!(
                        r#"{"statusCode":401,"error":"Unauthorized","#,
                        r#""message":"Failed to authorize user"}"#
                    ),
                ),
                Family::Tea => html(401, "<h1>Could Not Login</h1>"),
            };
        }
        let until = self.state.now() + self.knobs.cookie_life;
        let state =
            find("state").filter(|state| state.starts_with('/')).unwrap_or("/s3credentials");
        let base = match (self.knobs.foreign_redirect, self.family) {
            (ForeignRedirect::Callback, _) => {
                format!("http://{}", self.state.addresses.foreign_host)
            }
            (_, Family::Cumulus) => format!("http://{}", self.state.addresses.daacs[self.index]),
            (_, Family::Tea) => String::new(),
        };
        // TEA's cookie is a JWT of about a kilobyte.
        let value = random_hex(if self.family == Family::Tea { 1000 } else { 200 });
        self.state.sessions.lock().set_cookie(&value, self.index, until);
        let attributes =
            if self.family == Family::Tea { "" } else { "; HttpOnly; Secure; SameSite=Lax" };
        let status = if self.state.callback_path(self.index) == "/redirect" { 307 } else { 301 };
        let answer = redirect(status, &format!("{base}{state}"));
        with(answer, SET_COOKIE, &format!("{}={value}; Path=/{attributes}", self.cookie_name()))
    }

    /// Answers a user who is logged in.
    fn issue_credentials(&self, other: Option<&str>) -> Response<ResponseBody> {
        match (self.knobs.endpoint, self.family) {
            (EndpointAnswer::FailedDependency, _) => {
                return json(
                    424,
                    concat!(
                        r#"{"statusCode":424,"error":"Failed Dependency","#,
                        r#""message":"Unable to assume the role for S3 access"}"#
                    ),
                );
            }
            (EndpointAnswer::InternalError, Family::Cumulus) => {
                return json(
                    500,
                    concat!(
                        r#"{"statusCode":500,"error":"Internal Server Error","#,
                        r#""message":"An internal server error occurred"}"#
                    ),
                );
            }
            (EndpointAnswer::InternalError, Family::Tea) => {
                return json(
                    500,
                    concat!(
                        r#"{"Code":"InternalServerError","#,
                        r#""Message":"An internal server error occurred."}"#
                    ),
                );
            }
            (EndpointAnswer::NoPermission, _) => {
                return html(403, "<h1>You do not have permission to access any data.</h1>");
            }
            (EndpointAnswer::Malformed, _) => return html(200, "<h1>Scheduled maintenance</h1>"),
            _ => {}
        }
        let key = other.map_or_else(
            || self.state.issue_credentials(self.index),
            |user| self.state.issue_credentials_to(user, self.index),
        );
        self.state.request_log.update(|stats| {
            stats.issued += 1;
            stats.daac_mut(self.state.daac_name(self.index)).issued += 1;
        });
        let mut answer = json(200, &body(&key, self.knobs.expiration).to_string());
        if self.knobs.credentials_as_html {
            answer
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        }
        answer
    }

    fn cookie_name(&self) -> &'static str {
        match self.family {
            Family::Cumulus => "accessToken",
            Family::Tea => "asf-urs",
        }
    }
}

fn body(key: &Key, form: Expiration) -> serde_json::Value {
    let mut body = serde_json::json!({
        "accessKeyId": key.id,
        "secretAccessKey": key.secret,
        "sessionToken": key.token,
    });
    let expiration = match form {
        Expiration::Missing => return body,
        Expiration::Null => None,
        Expiration::Malformed => Some("in about an hour".to_owned()),
        form => key.expires.map(|expires| write(expires, form)),
    };
    body["expiration"] = expiration.into();
    body
}

fn write(time: SystemTime, form: Expiration) -> String {
    let format = match form {
        Expiration::PythonMicros => "%Y-%m-%d %H:%M:%S.%6f+00:00",
        Expiration::Zulu => "%Y-%m-%dT%H:%M:%SZ",
        Expiration::CompactOffset => "%Y-%m-%d %H:%M:%S+0000",
        Expiration::Zoneless => "%Y-%m-%d %H:%M:%S",
        _ => "%Y-%m-%d %H:%M:%S+00:00",
    };
    Timestamp::try_from(time).unwrap_or_default().strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn expirations_are_written_in_every_form_seen_at_daacs() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_611_708_609_992_482);
        for (form, text) in [
            (Expiration::Python, "2021-01-27 00:50:09+00:00"),
            (Expiration::PythonMicros, "2021-01-27 00:50:09.992482+00:00"),
            (Expiration::Zulu, "2021-01-27T00:50:09Z"),
            (Expiration::CompactOffset, "2021-01-27 00:50:09+0000"),
            (Expiration::Zoneless, "2021-01-27 00:50:09"),
        ] {
            assert_eq!(write(time, form), text);
        }
    }
}
