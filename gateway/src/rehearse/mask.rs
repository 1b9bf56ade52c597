//! A head without what is secret in it.
//!
//! Kept as they are: method, path, host, the client's address, and every field but those that [`FIELDS`] names. Their
//! values, those of cookies, and those of query parameters that [`PARAMETERS`] names are replaced by digests under a key that
//! is drawn at the start: what was equal stays equal, so that a rule that tells clients apart by it tells as many apart.
//! Cookies and parameters that a rule of the function looks at stay as they are, or it could not be seen what the rule does; of
//! a function with very many routes, those that its first ones look at.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use hatchway_proto::catalog::{Conditions, Sticky};
use hatchway_proto::hex;
use hatchway_proto::http1::{Field, RequestHead};

use crate::catalog::Snapshot;
use crate::route::Asked;

/// Fields that carry what somebody could use to be somebody else.
const FIELDS: [&str; 10] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "x-access-token",
    "x-csrf-token",
    "x-xsrf-token",
    "x-amz-security-token",
    "x-forwarded-client-cert",
];

/// Parameters that do.
const PARAMETERS: [&str; 12] = [
    "access_token",
    "api_key",
    "apikey",
    "auth",
    "code",
    "id_token",
    "key",
    "password",
    "secret",
    "sig",
    "signature",
    "token",
];

/// Fields that say how the message is framed, which is over.
const FRAMING: [&str; 8] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Routes of a function that are looked through for such names, beside the one that was taken: a function may have a hundred
/// thousand, and a request waits for it. What only further ones look at is replaced.
const ROUTES: usize = 64;

/// Names that rules look at.
#[derive(Debug, Default)]
struct Named<'s> {
    cookies: Vec<&'s str>,
    query: Vec<&'s str>,
}

/// The head as HTTP/1.1.
pub(super) fn masked(
    head: &RequestHead<'_>,
    client: Option<IpAddr>,
    snapshot: &Snapshot,
    secret: &RandomState,
) -> Vec<u8> {
    let named = Named::of(snapshot, Asked { head, client });
    let mut out = Vec::with_capacity(head.len);
    out.extend_from_slice(head.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.path.as_bytes());
    if let Some(query) = head.query {
        out.push(b'?');
        out.extend_from_slice(masked_query(query, &named, secret).as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    out.extend_from_slice(head.host.as_bytes());
    for Field { name, value } in head.fields() {
        if is_one_of(&FRAMING, name) {
            continue;
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        if name.eq_ignore_ascii_case("cookie") {
            masked_cookies(&mut out, value, &named, secret);
        } else if is_one_of(&FIELDS, name) {
            out.extend_from_slice(&digest(value, secret));
        } else {
            out.extend_from_slice(value);
        }
    }
    out.extend_from_slice(b"\r\n\r\n");
    out
}

fn is_one_of(names: &[&str], name: &str) -> bool {
    names.iter().any(|one| one.eq_ignore_ascii_case(name))
}

fn digest(value: &[u8], secret: &RandomState) -> [u8; 16] {
    hex::digits(secret.hash_one(value))
}

impl<'s> Named<'s> {
    /// By the route that the request takes, by others of its function, and by the release of that.
    fn of(snapshot: &'s Snapshot, asked: Asked<'_>) -> Self {
        let mut named = Self::default();
        let Some(found) = snapshot.resolve(asked) else { return named };
        let function = &found.target.name;
        let others = snapshot.routes_of(function).take(ROUTES);
        for route in snapshot.route(found.route).into_iter().chain(others) {
            named.add(&route.when);
        }
        let Some(release) = snapshot.objects.releases.get(function) else { return named };
        for rule in release.rules.iter() {
            named.add(&rule.when);
        }
        match &*release.sticky {
            Some(Sticky::Cookie(name)) => named.cookies.push(name),
            Some(Sticky::Query(name)) => named.query.push(name),
            Some(Sticky::Header(_) | Sticky::Address) | None => {}
        }
        named
    }

    fn add(&mut self, when: &'s Conditions) {
        self.cookies.extend(when.cookies.iter().map(|one| &*one.name));
        self.query.extend(when.query.iter().map(|one| &*one.name));
    }
}

fn masked_query<'q>(query: &'q str, named: &Named<'_>, secret: &RandomState) -> Cow<'q, str> {
    let is_secret = |name: &str| is_one_of(&PARAMETERS, name) && !named.query.contains(&name);
    let names = || query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    if !names().any(is_secret) {
        return Cow::Borrowed(query);
    }
    let masked = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if is_secret(name) => {
            let digest = digest(value.as_bytes(), secret);
            Cow::Owned(format!("{name}={}", String::from_utf8_lossy(&digest)))
        }
        Some(_) | None => Cow::Borrowed(pair),
    });
    Cow::Owned(masked.collect::<Vec<_>>().join("&"))
}

fn masked_cookies(out: &mut Vec<u8>, line: &[u8], named: &Named<'_>, secret: &RandomState) {
    for (index, pair) in line.split(|byte| *byte == b';').enumerate() {
        let pair = pair.trim_ascii();
        if index > 0 {
            out.extend_from_slice(b"; ");
        }
        let equals = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = equals.map_or((&b""[..], pair), |at| (&pair[..at], &pair[at + 1..]));
        out.extend_from_slice(name);
        out.push(b'=');
        if named.cookies.iter().any(|known| known.as_bytes() == name) {
            out.extend_from_slice(value);
        } else {
            out.extend_from_slice(&digest(value, secret));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hatchway_proto::http1::{Limits, parse_request};

    use super::*;
    use crate::catalog::apply::apply;

    const REQUEST: &str = "POST /a?token=s3cret&page=2&v=s3cret HTTP/1.1\r\nHost: H\r\nAuthorization: Bearer s3cret\r\n\
        X-Api-Key: s3cret\r\nAccept: */*\r\nCookie: session=s3cret; user=ada;theme=s3cret; s3cret\r\n\
        Content-Length: 3\r\nConnection: close\r\n\r\n";

    fn snapshot() -> Snapshot {
        let objects = serde_json::from_str(
            r#"{"functions": {"local/a": {}}, "versions": {}, "routes": {"r": {"path": "/a", "function": "local/a"}},
                "releases": {"local/a": {"stable": "00000000000000aa", "sticky": {"cookie": "user"},
                    "rules": [{"when": {"query": [{"name": "v"}]}, "shares": []}]}}}"#,
        );
        apply(&Snapshot::default(), Arc::new(objects.unwrap()))
    }

    fn text(request: &str, secret: &RandomState) -> String {
        let head = parse_request(request.as_bytes(), &Limits::default()).unwrap().unwrap();
        String::from_utf8(masked(&head, None, &snapshot(), secret)).unwrap()
    }

    #[test]
    fn what_is_secret_goes_and_what_rules_look_at_stays() {
        let masked = text(REQUEST, &RandomState::new());
        assert!(masked.starts_with("POST /a?token="), "{masked}");
        for part in
            ["&page=2&v=s3cret HTTP/1.1", "; user=ada; theme=", "Accept: */*", "Host: H\r\n"]
        {
            assert!(masked.contains(part), "{part}: {masked}");
        }
        assert_eq!(
            masked.matches("s3cret").count(),
            1,
            "that of the parameter of a rule: {masked}"
        );
        assert!(!masked.contains("Content-Length") && !masked.contains("close"), "{masked}");
        let head = parse_request(masked.as_bytes(), &Limits::default()).unwrap().unwrap();
        assert_eq!((head.len, head.method), (masked.len(), "POST"));
    }

    #[test]
    fn of_many_routes_the_one_that_is_taken_and_the_first_are_looked_through() {
        let route = |n: usize| {
            let cookie = serde_json::json!({"name": format!("c{n:03}"), "value": "v"});
            let when = serde_json::json!({"cookies": [cookie]});
            let route = serde_json::json!({"path": "/a", "function": "local/a", "when": when});
            (format!("r{n:03}"), route)
        };
        let routes: serde_json::Map<_, _> = (0..1000).map(route).collect();
        let objects = serde_json::json!({"functions": {"local/a": {}}, "versions": {}, "releases": {}, "routes": routes});
        let snapshot =
            apply(&Snapshot::default(), Arc::new(serde_json::from_value(objects).unwrap()));
        let cookies = "c001=first; c998=other; c999=v";
        let text = format!("GET /a HTTP/1.1\r\nHost: h\r\nCookie: {cookies}\r\n\r\n");
        let head = parse_request(text.as_bytes(), &Limits::default()).unwrap().unwrap();
        let masked = masked(&head, None, &snapshot, &RandomState::new());
        let masked = String::from_utf8(masked).unwrap();
        assert!(masked.contains("c001=first; ") && masked.contains("; c999=v\r\n"), "{masked}");
        assert!(!masked.contains("other"), "{masked}");
    }

    #[test]
    fn what_was_equal_stays_equal_in_this_process_alone() {
        let secret = RandomState::new();
        let other = REQUEST.replace("session=s3cret", "session=other");
        assert_eq!(text(REQUEST, &secret), text(REQUEST, &secret));
        assert_ne!(text(REQUEST, &secret), text(&other, &secret));
        assert_ne!(text(REQUEST, &secret), text(REQUEST, &RandomState::new()));
    }
}
