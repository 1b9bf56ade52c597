//! Who asks, and what they may: decided before anybody looks at what they ask for.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use rustls::pki_types::CertificateDer;

use super::reply::{Reply, problem};
use super::tokens::Tokens;
use crate::tls::mutual::PeerName;

/// For probes: whoever reaches the listener may ask whether we are well.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

/// What somebody may do. Who may operate may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look at everything.
    Read,
    /// Change it, too.
    Operate,
}

impl Role {
    /// What a method takes: nothing is changed by GET.
    pub fn of(method: &Method) -> Self {
        if *method == Method::GET || *method == Method::HEAD { Self::Read } else { Self::Operate }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "read" => Ok(Self::Read),
            "operate" => Ok(Self::Operate),
            _ => Err(format!("{text:?} is no role: write read or operate")),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Operate => "operate",
        })
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The name of their token or certificate; none for somebody on this machine who has to show neither.
    pub who: Option<String>,
    /// What they may.
    pub role: Role,
}

/// What whoever shows nothing may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anonymous {
    /// Everything: only this machine reaches the listener, and nobody was given a token.
    Operates,
    /// Ask whether we are well.
    Probes,
    /// The same, and read metrics: nobody may do more here.
    Measures,
}

/// By whom a request may be made.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) anonymous: Anonymous,
    pub(super) tokens: Option<Arc<Tokens>>,
    /// Names in certificates, each with what its owner may.
    pub(super) certificates: Vec<(PeerName, Role)>,
    /// Pages of these origins may send what changes something.
    pub(super) origins: Vec<String>,
    /// Browsers reach it: it has an address.
    pub(super) has_address: bool,
}

impl Guard {
    /// Lets a request through, or says why not.
    pub(super) fn admit(
        &self,
        request: &Parts,
        certificate: Option<&CertificateDer<'_>>,
    ) -> Result<Option<Caller>, Box<Reply>> {
        let (path, needed) = (request.uri.path(), Role::of(&request.method));
        let is_open =
            HEALTH.contains(&path) || self.anonymous == Anonymous::Measures && path == "/metrics";
        if is_open && needed == Role::Read {
            return Ok(None);
        }
        self.check_origin(request, needed)?;
        let caller = self.identify(request, certificate)?;
        if caller.role < needed {
            let who = caller.who.as_deref().unwrap_or("anonymous");
            let why =
                format!("{who} has the role {}, and this takes the role {needed}", caller.role);
            return refuse(StatusCode::FORBIDDEN, &why);
        }
        Ok(Some(caller))
    }

    /// A page in somebody's browser can send requests to where it likes, and the browser says from which page.
    fn check_origin(&self, request: &Parts, needed: Role) -> Result<(), Box<Reply>> {
        let Some(origin) = request.headers.get(header::ORIGIN) else { return Ok(()) };
        let is_known = self.origins.iter().any(|known| known.as_bytes() == origin.as_bytes());
        if needed == Role::Read || is_known {
            return Ok(());
        }
        let origin = origin.to_str().unwrap_or("?");
        let why =
            format!("pages of {origin} may not change anything here (--admin-origin {origin})");
        refuse(StatusCode::FORBIDDEN, &why)
    }

    fn identify(
        &self,
        request: &Parts,
        certificate: Option<&CertificateDer<'_>>,
    ) -> Result<Caller, Box<Reply>> {
        if let (Some(tokens), Some(shown)) = (&self.tokens, bearer(&request.headers)) {
            return match tokens.find(shown) {
                Some((name, role)) => Ok(Caller { who: Some(name), role }),
                None => unknown("this token is not known here"),
            };
        }
        if let Some(certificate) = certificate {
            let named = self.certificates.iter().filter(|(name, _)| name.is_of(certificate));
            // Of several names, the one that may most.
            if let Some((name, role)) = named.max_by_key(|(_, role)| *role) {
                return Ok(Caller { who: Some(name.to_string()), role: *role });
            }
        }
        match self.anonymous {
            Anonymous::Operates => {
                self.check_host(request)?;
                Ok(Caller { who: None, role: Role::Operate })
            }
            Anonymous::Probes if certificate.is_some() => {
                let why = "this certificate has none of the names that have a role (--admin-allow NAME=ROLE)";
                refuse(StatusCode::FORBIDDEN, why)
            }
            Anonymous::Probes => {
                unknown("say who you are: Authorization: Bearer TOKEN, or a client certificate")
            }
            Anonymous::Measures => {
                refuse(StatusCode::FORBIDDEN, "only /healthz, /readyz and /metrics are served here")
            }
        }
    }

    /// A name that a stranger has pointed at this machine makes its pages ours, as browsers see it (DNS rebinding): without a
    /// token, only names of this machine are ours.
    fn check_host(&self, request: &Parts) -> Result<(), Box<Reply>> {
        let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = request.uri.host().or(host).unwrap_or_default();
        if !self.has_address || is_this_machine(host) {
            return Ok(());
        }
        let why = format!("{host:?} is no name of this machine: ask for localhost or 127.0.0.1");
        refuse(StatusCode::MISDIRECTED_REQUEST, &why)
    }
}

fn refuse<T>(status: StatusCode, why: &str) -> Result<T, Box<Reply>> {
    Err(Box::new(problem(status, why)))
}

fn unknown<T>(why: &str) -> Result<T, Box<Reply>> {
    let mut reply = problem(StatusCode::UNAUTHORIZED, why);
    reply.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Err(Box::new(reply))
}

/// The token in `Authorization: Bearer TOKEN` (RFC 6750 section 2.1); the scheme has no case.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let is_loopback = name.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    is_loopback || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn guard(anonymous: Anonymous) -> Guard {
        let origins = vec!["https://console.example".to_owned()];
        let certificates = Vec::new();
        Guard { anonymous, tokens: None, certificates, origins, has_address: true }
    }

    fn status(guard: &Guard, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        guard.admit(&parts, None).map_or_else(|reply| reply.status().as_u16(), |_| 200)
    }

    #[test]
    fn a_browser_cannot_be_used_by_a_page_that_is_not_ours() {
        let guard = guard(Anonymous::Operates);
        let local = ("host", "127.0.0.1:8081");
        for (method, headers, expected) in [
            ("GET", &[local][..], 200),
            ("PUT", &[local], 200),
            ("PUT", &[("host", "[::1]:8081")], 200),
            ("GET", &[("host", "LOCALHOST")], 200),
            ("GET", &[("host", "rebound.example")], 421),
            ("GET", &[("host", "127.0.0.1.example:8081")], 421),
            ("GET", &[], 421),
            ("PUT", &[local, ("origin", "https://evil.example")], 403),
            ("PUT", &[local, ("origin", "null")], 403),
            ("PUT", &[local, ("origin", "https://console.example")], 200),
            ("GET", &[local, ("origin", "https://evil.example")], 200),
        ] {
            assert_eq!(status(&guard, method, "/v1/routes/a", headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn whoever_shows_nothing_sees_no_more_than_health() {
        let probes = guard(Anonymous::Probes);
        let measures = guard(Anonymous::Measures);
        for (path, of_probes, of_measures) in [
            ("/healthz", 200, 200),
            ("/readyz", 200, 200),
            ("/metrics", 401, 200),
            ("/v1/status", 401, 403),
            ("/openapi.json", 401, 403),
        ] {
            assert_eq!(status(&probes, "GET", path, &[]), of_probes, "{path}");
            assert_eq!(status(&measures, "GET", path, &[]), of_measures, "{path}");
        }
        assert_eq!(status(&probes, "POST", "/healthz", &[]), 401);
    }

    #[test]
    fn a_token_may_what_its_role_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let reads = Tokens::add(&path, "reader", Role::Read).unwrap();
        let operates = Tokens::add(&path, "ops", Role::Operate).unwrap();
        let tokens = Some(Arc::new(Tokens::load(&path).unwrap()));
        let guard = Guard { tokens, ..guard(Anonymous::Probes) };
        for (token, method, expected) in [
            (&reads, "GET", 200),
            (&reads, "PUT", 403),
            (&operates, "GET", 200),
            (&operates, "DELETE", 200),
            (&"wrong".to_owned(), "GET", 401),
        ] {
            let shown = format!("bearer {token}");
            let got = status(&guard, method, "/v1/routes/a", &[("authorization", &shown)]);
            assert_eq!(got, expected, "{method}");
        }
    }
}
