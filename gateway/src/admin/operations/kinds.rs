//! The operations on objects of one kind: the same for all four.

use std::collections::BTreeMap;
use std::sync::Arc;

use hatchway_proto::api::{Changed, Listed};
use http::Method;
use schemars::JsonSchema;
use serde_json::Value;

use super::super::operation::Kind::{Number, Text};
use super::super::operation::Place::Query;
use super::super::operation::{Answer, Operation, Parameter};
use super::super::{objects, write};
use super::{IF_MATCH, IF_NONE_MATCH, MADE, of, operation};

/// The operations on objects of one kind.
pub(super) struct OfKind<T>(std::marker::PhantomData<T>);

impl<T: JsonSchema + 'static> OfKind<T> {
    /// List, get, put and delete.
    pub(super) fn at(place: &str, noun: &str) -> [Operation; 4] {
        let (whole, folder) = (format!("/v1/{place}"), place.split('/').next().unwrap_or(place));
        let lower = noun.to_lowercase();
        let conditions = || MADE.iter().chain([&IF_MATCH, &IF_NONE_MATCH]).collect::<Vec<_>>();
        [
            Operation {
                parameters: vec![
                    &Parameter {
                        name: "after",
                        place: Query,
                        kind: Text,
                        is_required: false,
                        about: "Only those whose names come after this one",
                    },
                    &Parameter {
                        name: "limit",
                        place: Query,
                        kind: Number(1, 10_000),
                        is_required: false,
                        about: "So many; 1000 by default",
                    },
                ],
                run: run!(objects::list),
                ..operation(
                    Method::GET,
                    &format!("/v1/{folder}"),
                    &format!("list{noun}s"),
                    &format!("The {folder}, in the order of their names"),
                    Answer::Json(of::<Listed<Arc<T>>>),
                )
            },
            Operation {
                run: run!(objects::get),
                ..operation(
                    Method::GET,
                    &whole,
                    &format!("get{noun}"),
                    &format!("One {lower}"),
                    Answer::Object(of::<T>),
                )
            },
            Operation {
                parameters: conditions(),
                body: Some(of::<T>),
                run: run!(write::put),
                ..operation(
                    Method::PUT,
                    &whole,
                    &format!("put{noun}"),
                    &format!("Write a {lower}, new or in the place of the one that was seen"),
                    Answer::Object(of::<Changed>),
                )
            },
            Operation {
                parameters: MADE.iter().chain([&IF_MATCH]).collect(),
                run: run!(write::delete),
                ..operation(
                    Method::DELETE,
                    &whole,
                    &format!("delete{noun}"),
                    &format!("Take a {lower} away, which nothing leads to"),
                    Answer::Json(of::<Changed>),
                )
            },
        ]
    }
}

/// Releases alone are changed by fields.
pub(super) fn patch_release() -> Operation {
    Operation {
        parameters: MADE.iter().chain([&IF_MATCH]).collect(),
        body: Some(of::<BTreeMap<String, Value>>),
        run: run!(write::patch),
        ..operation(
            Method::PATCH,
            "/v1/releases/{tenant}/{name}",
            "patchRelease",
            "Change the fields of a release that are named (JSON Merge Patch, RFC 7396)",
            Answer::Object(of::<Changed>),
        )
    }
}
