//! Earthdata Login: `/oauth/authorize`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, ORIGIN, SET_COOKIE, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response};
use percent_encoding::utf8_percent_encode;

use crate::answers::{html, json, redirect, with};
use crate::knobs::{ForeignRedirect, Knobs, LoginAnswer, PasswordMethod};
use crate::response_body::ResponseBody;
use crate::sessions::cookie;
use crate::sigv4::ESCAPED;
use crate::state::ServerState;

const SESSION: &str = "_urs-gui_session";

/// The checked query of an authorization request.
struct Application {
    daac: usize,
    redirect_uri: String,
    state: String,
    /// Whether an answer without credentials is 401, as programs ask for, instead of a login page.
    wants_401: bool,
}

/// Answers a request to Earthdata Login.
pub(crate) fn answer(
    state: &ServerState,
    request: &Request<Bytes>,
    knobs: &Knobs,
) -> Response<ResponseBody> {
    if request.uri().path() != "/oauth/authorize" {
        return html(404, "There is no such page.");
    }
    let application = match application(state, request) {
        Ok(application) => application,
        Err(complaint) => return invalid(complaint),
    };
    let knobs = &*knobs.for_daac(state.daac_name(application.daac));
    let password = match *request.method() {
        Method::POST => match knobs.password_method {
            PasswordMethod::BasicOr401 => return unauthorized(),
            PasswordMethod::BasicOr405 => {
                return with(html(405, "Method Not Allowed"), ALLOW, "GET, HEAD");
            }
            PasswordMethod::Both | PasswordMethod::Form => match form(state, &application, request)
            {
                Ok(password) => Some(password),
                Err(complaint) => return invalid(complaint),
            },
        },
        Method::GET if knobs.password_method == PasswordMethod::Form => None,
        Method::GET => basic(request),
        _ => return with(html(405, "Method Not Allowed"), ALLOW, "GET, HEAD, POST"),
    };
    match password {
        Some(password) => authenticate(state, &application, &password, knobs),
        None if cookie(request, SESSION)
            .is_some_and(|session| state.sessions.lock().is_logged_in(session)) =>
        {
            accept(state, &application, knobs)
        }
        None if application.wants_401 => unauthorized(),
        None => html(
            200,
            "<form method=post action=/login><input name=username><input name=password \
             type=password></form>",
        ),
    }
}

/// Returns the DAAC that a login is for, `None` when `client_id` is missing or unknown.
pub(crate) fn client(state: &ServerState, request: &Request<Bytes>) -> Option<usize> {
    let mut query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
    let (_, client) = query.find(|(name, _)| name == "client_id")?;
    (0..state.setup.daacs.len()).find(|daac| state.client_id(*daac) == client)
}

fn application(state: &ServerState, request: &Request<Bytes>) -> Result<Application, &'static str> {
    let query: Vec<_> =
        form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).collect();
    let find = |name: &str| {
        query.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone().into_owned())
    };
    let daac = client(state, request).ok_or("client_id is missing or unknown")?;
    let redirect_uri = find("redirect_uri")
        .filter(|uri| *uri == state.callback_url(daac))
        .ok_or("redirect_uri does not match")?;
    if find("response_type").as_deref() != Some("code") {
        return Err("response_type must be code");
    }
    let wants_401 = find("app_type").as_deref() == Some("401");
    Ok(Application { daac, redirect_uri, state: find("state").unwrap_or_default(), wants_401 })
}

/// Returns `user:password` of the documented form: `credentials=<base64(user:password)>`, with the
/// endpoint as `Origin`.
fn form(
    state: &ServerState,
    application: &Application,
    request: &Request<Bytes>,
) -> Result<String, &'static str> {
    let header = |name| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    if header(ORIGIN) != state.credentials_url(application.daac) {
        return Err("Origin is not the s3credentials endpoint of this application");
    }
    if !header(CONTENT_TYPE).starts_with("application/x-www-form-urlencoded") {
        return Err("not a form");
    }
    let fields: Vec<_> = form_urlencoded::parse(request.body()).collect();
    let [(name, value)] = &fields[..] else { return Err("the form must have one field") };
    if name != "credentials" {
        return Err("the form must have the field credentials");
    }
    decode(value).ok_or("credentials is not base64")
}

fn basic(request: &Request<Bytes>) -> Option<String> {
    decode(request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?)
}

fn decode(base64: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(base64).ok()?).ok()
}

fn authenticate(
    state: &ServerState,
    application: &Application,
    password: &str,
    knobs: &Knobs,
) -> Response<ResponseBody> {
    let right = knobs.new_password.as_ref().unwrap_or(&state.setup.password);
    if password != format!("{}:{right}", state.setup.user)
        || knobs.login == LoginAnswer::WrongPassword
    {
        state.request_log.update(|stats| stats.rejected += 1);
        return unauthorized();
    }
    state.request_log.update(|stats| {
        stats.authenticated += 1;
        stats.daac_mut(state.daac_name(application.daac)).authenticated += 1;
    });
    let host = state.login_host();
    let user = &state.setup.user;
    match knobs.login {
        LoginAnswer::Eula => {
            let message = "EULA Acceptance Failure: the user has not accepted all agreements of \
                this application";
            refuse(application, message, &format!("http://{host}/users/{user}/unaccepted_eulas"))
        }
        LoginAnswer::Profile => refuse(
            application,
            "The profile of the user is incomplete",
            &format!("http://{host}/profile"),
        ),
        LoginAnswer::Accept | LoginAnswer::WrongPassword => accept(state, application, knobs),
    }
}

fn accept(state: &ServerState, application: &Application, knobs: &Knobs) -> Response<ResponseBody> {
    let mut sessions = state.sessions.lock();
    let code = sessions.issue_code(application.daac);
    let session = sessions.start_login();
    drop(sessions);
    let back = match knobs.foreign_redirect {
        ForeignRedirect::Login => format!("http://{}/login", state.addresses.foreign_host),
        _ => application.redirect_uri.clone(),
    };
    let answer = redirect(302, &format!("{back}?code={code}&state={}", encode(&application.state)));
    with(answer, SET_COOKIE, &format!("{SESSION}={session}; path=/; HttpOnly"))
}

fn refuse(application: &Application, message: &str, resolution: &str) -> Response<ResponseBody> {
    let Application { redirect_uri, state, .. } = application;
    let (message, resolution, state) = (encode(message), encode(resolution), encode(state));
    redirect(
        302,
        &format!(
            "{redirect_uri}?error=access_denied&error_msg={message}&resolution_url={resolution}&\
             state={state}"
        ),
    )
}

/// Returns the 401 that asks for a password, which the foreign host answers as well.
pub(crate) fn unauthorized() -> Response<ResponseBody> {
    let answer = json(
        401,
        r#"{"error":"invalid_credentials","error_description":"Invalid user credentials"}"#,
    );
    with(answer, WWW_AUTHENTICATE, "Basic realm=\"Please enter your Earthdata Login credentials.\"")
}

fn invalid(complaint: &str) -> Response<ResponseBody> {
    json(400, &format!(r#"{{"error":"invalid_request","error_description":"{complaint}"}}"#))
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}
