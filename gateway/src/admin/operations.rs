//! Every operation of the API. What a router, a client or the document has to know stands here and nowhere else.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use hatchway_proto::api::{
    Changed, Changes, Diff, Lanes, Listed, Rehearsal, Rollback, RolloutPhase, RolloutTold, Rules,
};
use hatchway_proto::catalog::history::Told;
use hatchway_proto::catalog::{Applied, Function, Release, Route, Version};
use hatchway_proto::rollout::Plan;
use hatchway_wire::admin::{json, metrics, whole};
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::operation::Kind::{Number, Tag, Text, Texts};
use super::operation::Place::{Header, Query};
use super::operation::{Answer, Operation, Parameter, Type};
use super::status::Status;
use super::{objects, openapi, past, rehearsal, rollouts};
use crate::explain::Explanation;

/// The largest revision: etcd counts in 63 bits.
const REVISIONS: u64 = i64::MAX as u64;

/// All of them, in the order of the document.
pub(super) static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let mut all = of_this_gateway();
    all.extend(of_all_rules());
    for kind in [
        OfKind::<Function>::at("functions/{tenant}/{name}", "Function"),
        OfKind::<Version>::at("versions/{id}", "Version"),
        OfKind::<Route>::at("routes/{name}", "Route"),
        OfKind::<Release>::at("releases/{tenant}/{name}", "Release"),
    ] {
        all.extend(kind);
    }
    all.push(patch_release());
    all.extend(of_rollouts());
    all
});

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

macro_rules! run {
    ($path:path) => {
        |api, ask| Box::pin($path(api, ask))
    };
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

fn of_this_gateway() -> Vec<Operation> {
    let get = |path: &str, id: &str, summary: &str, answer: Answer| {
        operation(Method::GET, path, id, summary, answer)
    };
    vec![
        Operation {
            run: |_, _| Box::pin(async { Ok(whole("text/plain", "ok\n")) }),
            ..get("/healthz", "isAlive", "Whether the program runs", Answer::Text)
        },
        Operation {
            run: |api, _| Box::pin(async move { Ok(api.ready()) }),
            ..get("/readyz", "isReady", "Whether there are rules to serve by", Answer::Text)
        },
        Operation {
            run: |api, _| Box::pin(async move { Ok(metrics(&api.registry)) }),
            ..get(
                "/metrics",
                "getMetrics",
                "Every metric, in the format of Prometheus",
                Answer::Text,
            )
        },
        Operation {
            run: |_, _| Box::pin(async { Ok(json(&openapi::document())) }),
            ..get(
                "/openapi.json",
                "getDocument",
                "This document",
                Answer::Json(of::<BTreeMap<String, Value>>),
            )
        },
        Operation {
            run: |api, _| Box::pin(async move { Ok(json(&api.status())) }),
            ..get(
                "/v1/status",
                "getStatus",
                "What this gateway serves, and how well",
                Answer::Json(of::<Status>),
            )
        },
        Operation {
            parameters: vec![
                &Parameter {
                    name: "url",
                    place: Query,
                    kind: Text,
                    is_required: true,
                    about: "Where the request would go",
                },
                &Parameter {
                    name: "method",
                    place: Query,
                    kind: Text,
                    is_required: false,
                    about: "Its method; GET by default",
                },
                &Parameter {
                    name: "header",
                    place: Query,
                    kind: Texts,
                    is_required: false,
                    about: "A header of it, as NAME: VALUE",
                },
                &Parameter {
                    name: "client",
                    place: Query,
                    kind: Text,
                    is_required: false,
                    about: "The address of its client",
                },
            ],
            run: |api, ask| Box::pin(async move { api.explain(&ask) }),
            ..get(
                "/v1/explain",
                "explain",
                "Where a request would go by the rules of this gateway, and why",
                Answer::Json(of::<Explanation>),
            )
        },
    ]
}

fn of_all_rules() -> Vec<Operation> {
    let get = |path: &str, id: &str, summary: &str, answer: Answer| {
        operation(Method::GET, path, id, summary, answer)
    };
    let post = |path: &str, id: &str, summary: &str, body: Type| Operation {
        parameters: MADE.iter().collect(),
        body: Some(body),
        ..operation(Method::POST, path, id, summary, Answer::Json(of::<Changed>))
    };
    vec![
        Operation {
            run: run!(objects::all),
            ..get("/v1/rules", "getRules", "Every object", Answer::Json(of::<Rules>))
        },
        Operation {
            run: run!(objects::change),
            ..post(
                "/v1/changes",
                "change",
                "Change many objects together, in the order in which they stand",
                of::<Changes>,
            )
        },
        Operation {
            body: Some(of::<Changes>),
            run: run!(rehearsal::rehearse),
            ..operation(
                Method::POST,
                "/v1/rehearsals",
                "rehearse",
                "What a change would do to the requests of now, by the heads that this gateway has kept; nothing is written",
                Answer::Json(of::<Rehearsal>),
            )
        },
        Operation {
            parameters: vec![
                &Parameter {
                    name: "object",
                    place: Query,
                    kind: Text,
                    is_required: false,
                    about: "Only changes of this object, by its key",
                },
                &Parameter {
                    name: "limit",
                    place: Query,
                    kind: Number(1, 10_000),
                    is_required: false,
                    about: "So many changes; 20 by default",
                },
            ],
            run: run!(past::history),
            ..get(
                "/v1/history",
                "getHistory",
                "Who changed the rules, when and why, the newest first",
                Answer::Json(of::<Vec<Told>>),
            )
        },
        Operation {
            parameters: vec![
                &Parameter {
                    name: "from",
                    place: Query,
                    kind: Number(0, REVISIONS),
                    is_required: true,
                    about: "A revision",
                },
                &Parameter {
                    name: "to",
                    place: Query,
                    kind: Number(0, REVISIONS),
                    is_required: false,
                    about: "Another one; the newest by default",
                },
            ],
            run: run!(past::diff),
            ..get(
                "/v1/diff",
                "getDiff",
                "How the rules differ between two revisions",
                Answer::Json(of::<Diff>),
            )
        },
        Operation {
            run: run!(past::rollback),
            ..post(
                "/v1/rollback",
                "rollback",
                "Make the rules, or one object of them, what they were",
                of::<Rollback>,
            )
        },
        Operation {
            run: run!(objects::lanes),
            ..get(
                "/v1/lanes",
                "getLanes",
                "Every lane, and who serves it",
                Answer::Json(of::<Lanes>),
            )
        },
        Operation {
            run: run!(rollouts::gateways),
            ..get(
                "/v1/gateways",
                "getGateways",
                "Every live gateway: how far it has come, and what it refuses",
                Answer::Json(of::<BTreeMap<String, Applied>>),
            )
        },
    ]
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

/// The operations on objects of one kind.
struct OfKind<T>(std::marker::PhantomData<T>);

impl<T: JsonSchema + 'static> OfKind<T> {
    fn at(place: &str, noun: &str) -> [Operation; 4] {
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
                run: run!(objects::put),
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
                run: run!(objects::delete),
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

fn patch_release() -> Operation {
    Operation {
        parameters: MADE.iter().chain([&IF_MATCH]).collect(),
        body: Some(of::<BTreeMap<String, Value>>),
        run: run!(objects::patch),
        ..operation(
            Method::PATCH,
            "/v1/releases/{tenant}/{name}",
            "patchRelease",
            "Change the fields of a release that are named (JSON Merge Patch, RFC 7396)",
            Answer::Object(of::<Changed>),
        )
    }
}

fn of_rollouts() -> Vec<Operation> {
    let path = "/v1/rollouts/{tenant}/{name}";
    let told = || MADE.iter().take(2).collect::<Vec<_>>();
    vec![
        Operation {
            run: run!(rollouts::get),
            ..operation(
                Method::GET,
                path,
                "getRollout",
                "How far a rollout has come, and why",
                Answer::Json(of::<RolloutTold>),
            )
        },
        Operation {
            parameters: told(),
            body: Some(of::<Plan>),
            run: run!(rollouts::begin),
            ..operation(
                Method::PUT,
                path,
                "beginRollout",
                "Begin a rollout: the canary grows in steps, and serves everybody or nobody in the end",
                Answer::Json(of::<RolloutPhase>),
            )
        },
        Operation {
            parameters: told(),
            run: run!(rollouts::tell),
            ..operation(
                Method::POST,
                &format!("{path}/{{command}}"),
                "tellRollout",
                "Tell a rollout to pause, resume, promote or abort",
                Answer::Json(of::<RolloutPhase>),
            )
        },
    ]
}
