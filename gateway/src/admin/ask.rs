//! What a caller says: in the path, the query, the head and the body.

use std::time::Duration;

use bytes::Bytes;
use hatchway_proto::catalog::Key;
use hatchway_proto::manifest::nearest;
use hatchway_proto::name::FunctionName;
use hatchway_wire::admin::{Call, query};
use hatchway_wire::catalog::store::{Author, DEFAULT_KEPT, First, Terms};
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use super::operation::{Kind, Operation, Parameter, Place};
use super::refusal::Refusal;

/// How long one gateway tries a change unless it is said.
const TRY_FOR: u64 = 30;

/// A call whose parameters are what they may be.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) call: Call,
    /// Of the braces in the path, in their order.
    values: Vec<String>,
}

impl Ask {
    /// # Errors
    /// A parameter that nobody knows is taken for a typing mistake: unseen, it would have done something else.
    pub(super) fn read(
        operation: &Operation,
        values: Vec<String>,
        call: Call,
    ) -> Result<Self, Refusal> {
        let known = || operation.parameters.iter().filter(|one| one.place == Place::Query);
        let said = call.head.uri.query().unwrap_or_default();
        let mut seen: Vec<&Parameter> = Vec::new();
        for (name, value) in form_urlencoded::parse(said.as_bytes()) {
            let Some(parameter) = known().find(|one| *one.name == *name) else {
                return Err(unknown(&name, known().map(|one| one.name)));
            };
            let is_again = seen.iter().any(|one| one.name == parameter.name);
            if is_again && parameter.kind != Kind::Texts {
                return Err(Refusal::bad(format!("the parameter {name} is there twice")));
            }
            check(parameter, &value)?;
            seen.push(parameter);
        }
        for parameter in operation.parameters.iter().filter(|one| one.place == Place::Header) {
            if let Some(value) = call.head.headers.get(parameter.name) {
                check(parameter, &String::from_utf8_lossy(value.as_bytes()))?;
            }
        }
        let is_missing =
            |one: &&&Parameter| one.is_required && !seen.iter().any(|seen| seen.name == one.name);
        match known().find(is_missing) {
            Some(missing) => Err(Refusal::bad(format!("the {} is missing", missing.name))),
            None => Ok(Self { call, values }),
        }
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.call.head.headers
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        query(&self.call.head, name).map(|value| value.into_owned())
    }

    /// A number that was checked.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// A revision that was checked.
    pub(super) fn revision(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// The object that the path names.
    pub(super) fn key(&self) -> Result<Key, Refusal> {
        let path = self.call.head.uri.path();
        let name = path.strip_prefix("/v1/").unwrap_or(path);
        Key::parse(name).map_err(|error| Refusal::not_found(format!("{name}: {error}")))
    }

    /// The function that the path names, and what comes behind it.
    pub(super) fn function(&self) -> Result<(FunctionName, Option<&str>), Refusal> {
        let [tenant, name, rest @ ..] = &self.values[..] else {
            unreachable!("its path has a tenant and a name")
        };
        let name = format!("{tenant}/{name}");
        let parsed = FunctionName::parse(&name);
        let parsed = parsed.map_err(|error| Refusal::not_found(format!("{name}: {error}")))?;
        Ok((parsed, rest.first().map(String::as_str)))
    }

    /// The body, which is JSON: a page in a browser cannot say so of what it sends without being asked first.
    pub(super) async fn body(&mut self) -> Result<Bytes, Refusal> {
        let said = self.headers().get(header::CONTENT_TYPE).and_then(|said| said.to_str().ok());
        let said = said.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !["application/json", "application/merge-patch+json"].contains(&said) {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "a body is JSON, and says so: Content-Type: application/json",
            ));
        }
        self.call.read().await.map_err(|(status, why)| Refusal::new(status, why))
    }

    pub(super) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Refusal> {
        let body = self.body().await?;
        let unprocessable = |error: serde_json::Error| {
            Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
        };
        serde_json::from_slice(&body).map_err(unprocessable)
    }

    /// How a change is made. Who has shown a token or a certificate is known by it; somebody on this machine is asked.
    pub(super) fn terms(&self, otherwise: &str) -> Terms {
        let shown = self.call.caller.as_ref().and_then(|caller| caller.who.clone());
        let said = |name| self.text(name).filter(|text| !text.trim().is_empty());
        let who = shown.or_else(|| said("who")).unwrap_or_else(|| "anonymous".to_owned());
        let why = said("why").unwrap_or_else(|| otherwise.to_owned());
        let seconds = |name| self.number(name).map(Duration::from_secs);
        let lasting = seconds("for").unwrap_or(Duration::from_secs(TRY_FOR));
        let keep = self.number("keep").and_then(|keep| usize::try_from(keep).ok());
        Terms {
            author: Author { who, why },
            keep: keep.unwrap_or(DEFAULT_KEPT),
            wait: seconds("wait"),
            first: said("first").map(|gateway| First { gateway, lasting }),
        }
    }
}

fn unknown(name: &str, known: impl Iterator<Item = &'static str> + Clone) -> Refusal {
    let help = match nearest(name, known.clone()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => {
            let known: Vec<_> = known.collect();
            match known.is_empty() {
                true => "there are none here".to_owned(),
                false => format!("there are {}", known.join(", ")),
            }
        }
    };
    Refusal::bad(format!("no parameter is called {name:?}: {help}"))
}

fn check(parameter: &Parameter, value: &str) -> Result<(), Refusal> {
    let name = parameter.name;
    match parameter.kind {
        Kind::Text | Kind::Texts => Ok(()),
        Kind::Tag => {
            let digits = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let is_revision = digits.is_some_and(|digits| digits.parse::<u64>().is_ok());
            let wrong =
                || Refusal::bad(format!("{name} is * or a revision as \"118\", not {value}"));
            if value == "*" || is_revision { Ok(()) } else { Err(wrong()) }
        }
        Kind::Number(from, to) => {
            let is_digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let number =
                value.parse().ok().filter(|number| is_digits && (from..=to).contains(number));
            let wrong =
                || Refusal::bad(format!("{name} is a number from {from} to {to}, not {value:?}"));
            number.map(|_: u64| ()).ok_or_else(wrong)
        }
    }
}
