//! From what was typed to the request: method, address, headers, body.

use std::fs::File;
use std::io;

use serde_json::{Map, Value};
use ureq::SendBody;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use ureq::http::uri::Authority;
use ureq::http::{Method, Request, Uri};

use super::Args;
use crate::command::status::FunctionStatus;
use crate::failure::Failure;

/// A header as typed.
pub(super) type Header = (HeaderName, HeaderValue);

/// A request that is ready to be sent.
pub(super) struct Call {
    pub(super) request: Request<SendBody<'static>>,
    /// Where a browser would send it.
    url: String,
}

impl Call {
    /// Addresses `function`. The connection goes to `listen`, for a name such as `shop.localhost` need not
    /// be known to this machine; a `listen` without address stands for `admin_host`.
    ///
    /// # Errors
    /// A file that cannot be read, a function without URL, a path that is none.
    pub(super) fn new(
        args: &Args,
        function: &FunctionStatus,
        listen: &str,
        admin_host: &str,
    ) -> Result<Self, Failure> {
        let no_url = || Failure::Refused(format!("{} has no URL", function.name));
        let base: Uri =
            function.urls.first().and_then(|url| url.parse().ok()).ok_or_else(no_url)?;
        let host = base.authority().ok_or_else(no_url)?;
        let has_content = args.data.is_some() || !args.args.is_empty();
        let method = args.method.clone().unwrap_or(match has_content {
            true => Method::POST,
            false => Method::GET,
        });
        let in_query = matches!(method, Method::GET | Method::HEAD);
        let target = target(base.path(), &args.path, in_query.then_some(&args.args[..]));
        let address = address(listen, admin_host);
        let mut builder =
            Request::builder().method(method).uri(format!("http://{address}{target}"));
        builder = builder.header(HOST, host.as_str());
        let Content { body, kind, length } = content(args, in_query)?;
        if let Some(kind) =
            kind.filter(|_| !args.headers.iter().any(|(name, _)| name == CONTENT_TYPE))
        {
            builder = builder.header(CONTENT_TYPE, kind);
        }
        if let Some(length) = length {
            builder = builder.header(CONTENT_LENGTH, length);
        }
        for (name, value) in &args.headers {
            builder = builder.header(name, value);
        }
        let request = builder.body(body).map_err(|error| {
            Failure::Refused(format!("{target:?} cannot be asked for: {error}"))
        })?;
        Ok(Self { request, url: format!("http://{host}{target}") })
    }

    /// Shows the request on stderr.
    pub(super) fn show(&self) {
        eprintln!("> {} {}", self.request.method(), self.url);
        for (name, value) in self.request.headers() {
            eprintln!("> {name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
        eprintln!(">");
    }
}

/// The function's own path, what was typed after it, and the arguments that a query carries.
fn target(base: &str, typed: &str, arguments: Option<&[(String, Value)]>) -> String {
    let slash = if typed.is_empty() || typed.starts_with(['/', '?']) { "" } else { "/" };
    let base =
        if typed.starts_with('/') || slash == "/" { base.trim_end_matches('/') } else { base };
    let mut target = format!("{base}{slash}{typed}");
    let arguments = arguments.filter(|arguments| !arguments.is_empty());
    if let Some(arguments) = arguments {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let pairs = arguments.iter().map(|(name, value)| (name, text(value)));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str(&query);
    }
    target
}

fn address(listen: &str, admin_host: &str) -> String {
    match listen.parse::<std::net::SocketAddr>() {
        Ok(socket) if socket.ip().is_unspecified() => format!("{admin_host}:{}", socket.port()),
        Ok(_) | Err(_) => {
            listen.parse::<Authority>().map_or_else(|_| listen.to_owned(), |a| a.to_string())
        }
    }
}

/// A body, what it is, and how long, where that is known.
struct Content {
    body: SendBody<'static>,
    kind: Option<&'static str>,
    length: Option<u64>,
}

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

fn content(args: &Args, in_query: bool) -> Result<Content, Failure> {
    let Some(data) = &args.data else {
        if args.args.is_empty() || in_query {
            return Ok(Content { body: SendBody::none(), kind: None, length: None });
        }
        let object: Map<String, Value> = args.args.iter().cloned().collect();
        return Ok(text(Value::from(object).to_string(), JSON));
    };
    if data == "-" {
        let body = SendBody::from_owned_reader(io::stdin());
        return Ok(Content { body, kind: Some(BYTES), length: None });
    }
    if let Some(path) = data.strip_prefix('@') {
        let unreadable = |source| Failure::Io { what: format!("could not read {path}"), source };
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        // A pipe says zero; what has no length is sent in chunks.
        let length = metadata.is_file().then_some(metadata.len());
        let kind = if path.ends_with(".json") { JSON } else { BYTES };
        return Ok(Content { body: SendBody::from_owned_reader(file), kind: Some(kind), length });
    }
    let is_json = serde_json::from_str::<Value>(data).is_ok();
    Ok(text(data.clone(), if is_json { JSON } else { "text/plain; charset=utf-8" }))
}

fn text(text: String, kind: &'static str) -> Content {
    let length = Some(text.len() as u64);
    let body = SendBody::from_owned_reader(io::Cursor::new(text));
    Content { body, kind: Some(kind), length }
}

/// Reads `name=value`; `n=7` is a number, `n="7"` and `n=seven` are texts.
pub(super) fn argument(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    if name.is_empty() {
        return Err("the argument has no name".to_owned());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((name.to_owned(), value))
}

/// Reads `Name: value`.
pub(super) fn header(text: &str) -> Result<Header, String> {
    let (name, value) = text.split_once(':').ok_or("write 'Name: value'")?;
    let name: HeaderName = name.trim().parse().map_err(|_| format!("{name:?} is not a header"))?;
    let value = value.trim().parse().map_err(|_| format!("{name} cannot have this value"))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_follows_the_functions_own_path() {
        let cases = [
            ("/", "", "/"),
            ("/", "/x", "/x"),
            ("/a", "", "/a"),
            ("/a", "/x?y=1", "/a/x?y=1"),
            ("/a", "x", "/a/x"),
            ("/a", "?y=1", "/a?y=1"),
        ];
        for (base, typed, expected) in cases {
            assert_eq!(target(base, typed, None), expected, "{base} {typed}");
        }
        let arguments = [argument("n=7").unwrap(), argument("text=a b&c").unwrap()];
        assert_eq!(target("/a", "", Some(&arguments)), "/a?n=7&text=a+b%26c");
        assert_eq!(target("/a", "?x=1", Some(&arguments[..1])), "/a?x=1&n=7");
    }

    #[test]
    fn an_argument_is_json_where_it_can_be() {
        assert_eq!(argument("a=[1]").unwrap().1, serde_json::json!([1]));
        assert_eq!(argument("a=\"7\"").unwrap().1, Value::from("7"));
        assert_eq!(argument("a=b=c").unwrap(), ("a".to_owned(), Value::from("b=c")));
        assert!(argument("a").is_err() && argument("=a").is_err());
    }

    #[test]
    fn a_gateway_on_every_address_is_reached_where_the_admin_api_is() {
        assert_eq!(address("0.0.0.0:8080", "box"), "box:8080");
        assert_eq!(address("127.0.0.1:8080", "box"), "127.0.0.1:8080");
    }
}
