//! What one gateway says of itself.

use std::collections::BTreeMap;

use hatchway_wire::admin::{json, metrics, whole};
use http::Method;
use serde_json::Value;

use super::super::openapi;
use super::super::operation::Kind::{Text, Texts};
use super::super::operation::Place::Query;
use super::super::operation::{Answer, Operation, Parameter};
use super::super::status::Status;
use super::{of, operation};
use crate::explain::Explanation;
use crate::forward::NodeStatus;

/// All of it.
pub(super) fn all() -> Vec<Operation> {
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
            run: |api, _| Box::pin(async move { Ok(json(&api.nodes())) }),
            ..get(
                "/v1/nodes",
                "listNodes",
                "The nodes that this gateway asks: how each stands, and what it says of itself",
                Answer::Json(of::<Vec<NodeStatus>>),
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
