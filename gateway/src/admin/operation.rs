//! An operation: all that a router, a caller and the document have to know of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hatchway_wire::admin::{Call, Reply};
use http::{HeaderValue, Method, header};
use schemars::{Schema, SchemaGenerator};

use super::GatewayApi;
use super::ask::Ask;
use super::operations::OPERATIONS;
use super::refusal::Refusal;

/// What an operation does.
pub(super) type Running = Pin<Box<dyn Future<Output = Result<Reply, Refusal>>>>;

/// A type, for the document.
pub(super) type Type = fn(&mut SchemaGenerator) -> Schema;

/// One operation.
pub(super) struct Operation {
    /// For programs that are made from the document.
    pub(super) id: String,
    pub(super) method: Method,
    /// `/v1/routes/{name}`: what is in braces is one segment.
    pub(super) path: String,
    /// In a line.
    pub(super) summary: String,
    /// Of the query and of the head; those of the path are read from it.
    pub(super) parameters: Vec<&'static Parameter>,
    pub(super) body: Option<Type>,
    pub(super) answer: Answer,
    pub(super) run: fn(Arc<GatewayApi>, Ask) -> Running,
}

/// What an operation answers when it was done.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// A document.
    Json(Type),
    /// The same, with the object's revision as its `ETag`.
    Object(Type),
    Text,
}

/// Something that a caller may say beside the path and the body.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) is_required: bool,
    /// In a line.
    pub(super) about: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Query,
    Header,
}

/// What its value has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Any number of them.
    Texts,
    /// From, to: both included.
    Number(u64, u64),
    /// An object's revision in double quotes, or `*`.
    Tag,
}

impl Operation {
    /// The values of the braces, where `path` is one of this operation.
    fn matched<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        let (mut wanted, mut segments) = (self.path.split('/'), path.split('/'));
        let mut values = Vec::new();
        loop {
            match (wanted.next(), segments.next()) {
                (None, None) => return Some(values),
                (Some(wanted), Some(segment)) if wanted.starts_with('{') && !segment.is_empty() => {
                    values.push(segment);
                }
                (Some(wanted), Some(segment)) if wanted == segment => {}
                _ => return None,
            }
        }
    }
}

/// Finds the operation of a call, and does it.
pub(super) async fn routed(api: Arc<GatewayApi>, call: Call) -> Result<Reply, Refusal> {
    let path = call.head.uri.path().to_owned();
    let at_path = || OPERATIONS.iter().filter_map(|one| Some((one, one.matched(&path)?)));
    // A page that can be read can be asked for its head: hyper leaves the body out.
    let method =
        if call.head.method == Method::HEAD { Method::GET } else { call.head.method.clone() };
    let Some((operation, values)) = at_path().find(|(one, _)| one.method == method) else {
        let methods: Vec<&str> = at_path().map(|(one, _)| one.method.as_str()).collect();
        return match methods.is_empty() {
            true => Err(Refusal::not_found(
                "there is no such page: GET /openapi.json has all".to_owned(),
            )),
            false => Ok(not_allowed(&methods.join(", "))),
        };
    };
    let values = values.into_iter().map(str::to_owned).collect();
    let ask = Ask::read(operation, values, call)?;
    (operation.run)(api, ask).await
}

fn not_allowed(methods: &str) -> Reply {
    let why = format!("this takes {methods}");
    let mut reply = hatchway_wire::admin::problem(http::StatusCode::METHOD_NOT_ALLOWED, &why);
    let methods = HeaderValue::from_str(methods).expect("methods are letters");
    reply.headers_mut().insert(header::ALLOW, methods);
    reply
}
