//! What leads requests to a function: hosts and paths.

use schemars::{Schema, SchemaGenerator, json_schema};
use toml::Spanned;
use toml::de::DeValue;

use super::read::{At, Field, Given, Kind, Report, Text, Wrong, read_table, wrong_type};
use super::written::HttpTable;
use crate::catalog::{Filters, PathMatch, Route};
use crate::name::FunctionName;

/// `"/shop"`: a prefix in whole segments, compared with the path as a client sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RoutePath(pub(super) String);

impl Text for RoutePath {
    const PATTERN: &'static str = "^/";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if !text.starts_with('/') {
            let help = format!("write \"/{text}\"");
            return Err(Wrong::with_help("a path starts with `/`", help));
        }
        if text != "/" && text.ends_with('/') {
            let trimmed = text.trim_end_matches('/');
            let help = format!("write {:?}", if trimmed.is_empty() { "/" } else { trimmed });
            return Err(Wrong::with_help(
                "a path matches what is below it without a last `/`",
                help,
            ));
        }
        if text.split('/').skip(1).any(|part| matches!(part, "." | "..") || part.is_empty())
            && text != "/"
        {
            return Err(Wrong::new("a path has no empty, `.` or `..` part"));
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._~!$&'()+,;=:@".contains(c);
        match text.chars().find(|c| !is_plain(*c)) {
            None => Ok(Self(text.to_owned())),
            Some('*' | '{' | '}' | '<' | '[') => Err(not_a_pattern(text)),
            Some(odd) => Err(Wrong::new(format!("a path cannot hold {odd:?}"))),
        }
    }
}

fn not_a_pattern(text: &str) -> Wrong {
    let plain = text.split(['*', '{', '<', '[']).next().unwrap_or("/");
    let prefix = plain.rsplit_once('/').map_or("", |(before, _)| before);
    let help =
        format!("write {:?}, it matches all below", if prefix.is_empty() { "/" } else { prefix });
    Wrong::with_help("a path is a prefix, not a pattern", help)
}

/// `"shop.localhost"`: a DNS name in lower case (RFC 1123 section 2.1), no port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host(pub(super) String);

/// The longest DNS name in text.
const HOST_BYTES: usize = 253;

impl Text for Host {
    const PATTERN: &'static str = r"^[a-z0-9-]+(\.[a-z0-9-]+)*$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= HOST_BYTES && text.split('.').all(is_label) {
            return Ok(Self(text.to_owned()));
        }
        let bare = text.trim_start_matches("http://").trim_start_matches("https://");
        let bare = bare.split(['/', ':']).next().unwrap_or(bare).trim_end_matches('.');
        let meant = bare.to_ascii_lowercase().replace('_', "-");
        let message = format!("{text:?} is not a host: a DNS name in lower case, without port");
        Err(if meant != text && !meant.is_empty() && meant.split('.').all(is_label) {
            Wrong::with_help(message, format!("did you mean {meant:?}?"))
        } else {
            Wrong::with_help(message, "for example \"shop.localhost\"")
        })
    }
}

/// `{ path = "/hello" }`, or a list of them.
#[derive(Clone, Debug)]
pub(super) struct Triggers(pub(super) Vec<At<HttpTable>>);

impl Kind for Triggers {
    fn read(value: &Spanned<DeValue<'_>>, field: &Field, report: &mut Report<'_>) -> Option<Self> {
        let one = |item: &Spanned<DeValue<'_>>, report: &mut Report<'_>| {
            let Some(table) = item.get_ref().as_table() else {
                return wrong_type(item, field, "a table or a list of tables", report);
            };
            Some(At { span: item.span(), value: read_table::<HttpTable>(table, report) })
        };
        let triggers = match value.get_ref().as_array() {
            Some(array) => array.iter().filter_map(|item| one(item, report)).collect(),
            None => vec![one(value, report)?],
        };
        Some(Self(triggers))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<HttpTable>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

/// What a request must name to reach a function, and what is done with it then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trigger {
    pub(super) host: Option<String>,
    pub(super) path: String,
    pub(super) filters: Filters,
}

impl Trigger {
    /// The route to `function`.
    pub(super) fn route(self, function: FunctionName) -> Route {
        Route { filters: self.filters.into(), ..Route::prefix(self.host, self.path, function) }
    }
}

/// The routes of one function, at least one, and where each stands.
pub(super) fn routes(
    name: &At<String>,
    http: &Given<Triggers>,
    report: &mut Report<'_>,
) -> Vec<At<Trigger>> {
    let help = || format!("add `http = {{ path = \"/{}\" }}`", name.value);
    let triggers = match http {
        Given::Wrong => return Vec::new(),
        Given::Absent => {
            let message = format!("nothing leads to `{}`", name.value);
            report.wrong_with_help(&name.span, message, help());
            return Vec::new();
        }
        Given::Right(At { span, value: Triggers(triggers) }) => {
            if triggers.is_empty() {
                report.wrong_with_help(span, "the list has no route", help());
            }
            triggers
        }
    };
    let mut routes = Vec::new();
    for At { span, value: HttpTable { path, host, filters } } in triggers {
        if path.is_absent() && host.is_absent() {
            report.wrong_with_help(span, "a route has a path, a host or both", help());
        }
        let is_wrong = matches!(path, Given::Wrong) || matches!(host, Given::Wrong);
        let filters = checked(filters, report);
        if is_wrong || (path.is_absent() && host.is_absent()) {
            continue;
        }
        let host = host.as_right().map(|host| host.value.0.clone());
        let path = path.as_right().map_or_else(|| "/".to_owned(), |path| path.value.0.clone());
        routes.push(At { span: span.clone(), value: Trigger { host, path, filters } });
    }
    routes
}

/// The filters of a route, after a look at what the catalog would refuse.
fn checked(filters: &Given<Filters>, report: &mut Report<'_>) -> Filters {
    let Some(At { span, value }) = filters.as_right() else { return Filters::default() };
    for mistake in value.mistakes(PathMatch::Prefix) {
        report.wrong(span, mistake.to_string());
    }
    value.clone()
}
