//! Who may ask on a TCP port.

use std::sync::Arc;

use api::{ApiError, ErrorKind};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::answer::Failure;

/// What must be shown: a secret that only the owner of the data folder can read.
#[derive(Clone)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(..)")
    }
}

impl Token {
    /// A token with this text.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// Whether `shown` is the token, in a time that does not tell how much of it is right.
    fn is(&self, shown: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differences = own.iter().zip(shown).fold(0, |sum, (a, b)| sum | (a ^ b));
        own.len() == shown.len() && differences == 0
    }
}

/// Names of this machine a request may be addressed to: another name would be a page of another site that
/// had its name point here (DNS rebinding).
const HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Paths that say nothing of what runs.
const OPEN: [&str; 2] = ["/health", "/openapi.json"];

pub(crate) async fn check(
    State(token): State<Arc<Token>>,
    request: Request,
    next: Next,
) -> Response {
    match refusal(&token, &request) {
        Some(message) => Failure(ApiError::new(ErrorKind::Unauthorized, message)).into_response(),
        None => next.run(request).await,
    }
}

/// Why a request is not let in, if it is not.
fn refusal(token: &Token, request: &Request) -> Option<&'static str> {
    let header = |name| request.headers().get(name).and_then(|it| it.to_str().ok());
    if !header(HOST).is_some_and(is_this_machine) {
        return Some("this is not a name of this machine; ask 127.0.0.1");
    }
    let shown = header(AUTHORIZATION).and_then(|it| it.strip_prefix("Bearer "));
    if is_for_another_site(request) {
        return Some("pages of other sites have no business here");
    }
    if OPEN.contains(&request.uri().path()) || shown.is_some_and(|it| token.is(it.as_bytes())) {
        return None;
    }
    Some("show `Authorization: Bearer` with the content of the file `token` in the data folder")
}

/// Whether a browser says that it asks for a page of another site, as for an image's address in it (Fetch Metadata, W3C).
/// A person who follows a link from there is let in; a form that is sent from there is not.
pub(crate) fn is_for_another_site(request: &Request) -> bool {
    let is = |name, value: &str| {
        request.headers().get(name).is_some_and(|it| it.as_bytes() == value.as_bytes())
    };
    // Another port of this machine is the same site, and another's program.
    let is_other = is("sec-fetch-site", "cross-site") || is("sec-fetch-site", "same-site");
    let is_link = is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document");
    is_other && !(is_link && request.method() == Method::GET)
}

/// Whether a host, perhaps with a port, is a name of this machine.
pub(crate) fn is_this_machine(host: &str) -> bool {
    HOSTS.contains(&without_port(host))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[track_caller]
    fn check_request(host: &str, path: &str, shown: Option<&str>) -> Option<&'static str> {
        let mut request = Request::builder().uri(path).header(HOST, host);
        if let Some(shown) = shown {
            request = request.header(AUTHORIZATION, shown);
        }
        refusal(&Token::new("secret".to_owned()), &request.body(Body::empty()).unwrap())
    }

    #[test]
    fn who_shows_the_token_to_this_machine_is_let_in() {
        for (host, path, shown) in [
            ("127.0.0.1:8640", "/v1/status", Some("Bearer secret")),
            ("[::1]:8640", "/v1/status", Some("Bearer secret")),
            ("localhost", "/health", None),
        ] {
            assert_eq!(check_request(host, path, shown), None, "{host} {path}");
        }
    }

    #[test]
    fn issue_12_what_other_pages_embed_is_refused_whatever_it_shows() {
        for (method, site, mode, dest, is_let_in) in [
            ("GET", "cross-site", "no-cors", "image", false),
            ("GET", "same-site", "cors", "empty", false),
            ("GET", "cross-site", "navigate", "iframe", false),
            ("GET", "cross-site", "navigate", "document", true),
            ("POST", "cross-site", "navigate", "document", false),
            ("GET", "same-origin", "cors", "empty", true),
        ] {
            let request = Request::builder()
                .method(method)
                .uri("/v1/status")
                .header(HOST, "127.0.0.1:8640")
                .header(AUTHORIZATION, "Bearer secret")
                .header("sec-fetch-site", site)
                .header("sec-fetch-mode", mode)
                .header("sec-fetch-dest", dest);
            let token = Token::new("secret".to_owned());
            let refusal = refusal(&token, &request.body(Body::empty()).unwrap());
            assert_eq!(refusal.is_none(), is_let_in, "{site} {mode} {dest}: {refusal:?}");
        }
    }

    #[test]
    fn everybody_else_is_not() {
        for (host, path, shown) in [
            ("localhost", "/v1/status", None),
            ("localhost", "/v1/status", Some("Bearer secre")),
            ("localhost", "/v1/status", Some("Bearer secrets")),
            ("localhost", "/v1/status", Some("secret")),
            ("evil.example:8640", "/v1/status", Some("Bearer secret")),
            ("evil.example", "/health", None),
        ] {
            assert!(check_request(host, path, shown).is_some(), "{host} {path} {shown:?}");
        }
    }
}
