//! Every operation of the API. What a router, a client or the document has to know stands here and nowhere else: of this
//! [`gateway`], of all [`rules`], and of each of the four [`kinds`] of objects.

macro_rules! run {
    ($path:path) => {
        |api, ask| Box::pin($path(api, ask))
    };
}

mod gateway;
mod kinds;
mod rules;

use std::sync::LazyLock;

use hatchway_proto::catalog::{Function, Release, Route, Version};
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use self::kinds::OfKind;
use super::operation::Kind::{Number, Tag, Text};
use super::operation::Place::{Header, Query};
use super::operation::{Answer, Operation, Parameter};

/// All of them, in the order of the document.
pub(in crate::admin) static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let mut all = gateway::all();
    all.extend(rules::all());
    for kind in [
        OfKind::<Function>::at("functions/{tenant}/{name}", "Function"),
        OfKind::<Version>::at("versions/{id}", "Version"),
        OfKind::<Route>::at("routes/{name}", "Route"),
        OfKind::<Release>::at("releases/{tenant}/{name}", "Release"),
    ] {
        all.extend(kind);
    }
    all.push(kinds::patch_release());
    all.extend(rules::of_rollouts());
    all
});

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

fn operation(method: Method, path: &str, id: &str, summary: &str, answer: Answer) -> Operation {
    Operation {
        id: id.to_owned(),
        method,
        path: path.to_owned(),
        summary: summary.to_owned(),
        parameters: Vec::new(),
        body: None,
        answer,
        run: |_, _| unreachable!("every operation says what it does"),
    }
}

/// How a change is made, for every operation that makes one.
static MADE: [Parameter; 6] = [
    Parameter {
        name: "why",
        place: Query,
        kind: Text,
        is_required: false,
        about: "For those who look at the history later",
    },
    Parameter {
        name: "who",
        place: Query,
        kind: Text,
        is_required: false,
        about: "Heard only of who shows no token and no certificate",
    },
    Parameter {
        name: "wait",
        place: Query,
        kind: Number(1, 3600),
        is_required: false,
        about: "Answer when every live gateway serves by it, but after so many seconds at the latest",
    },
    Parameter {
        name: "first",
        place: Query,
        kind: Text,
        is_required: false,
        about: "A gateway that serves by it before all others do; it is taken back if more fails there then",
    },
    Parameter {
        name: "for",
        place: Query,
        kind: Number(1, 86_400),
        is_required: false,
        about: "So many seconds; 30 by default",
    },
    Parameter {
        name: "keep",
        place: Query,
        kind: Number(1, 1_000_000),
        is_required: false,
        about: "Changes that the history keeps; 1000 by default",
    },
];

static IF_MATCH: Parameter = Parameter {
    name: "If-Match",
    place: Header,
    kind: Tag,
    is_required: false,
    about: "The form of the object that was seen, by its ETag; * for any. Needed where the object is there",
};

static IF_NONE_MATCH: Parameter = Parameter {
    name: "If-None-Match",
    place: Header,
    kind: Tag,
    is_required: false,
    about: "* to write only what is not there yet",
};
