//! The rules as a whole, their history, and what moves them.

use std::collections::BTreeMap;

use hatchway_proto::api::{
    Changed, Changes, Diff, Lanes, Rehearsal, Rollback, RolloutPhase, RolloutTold, Rules,
};
use hatchway_proto::catalog::Applied;
use hatchway_proto::catalog::history::Told;
use hatchway_proto::rollout::Plan;
use http::Method;

use super::super::operation::Kind::{Number, Text};
use super::super::operation::Place::Query;
use super::super::operation::{Answer, Operation, Parameter, Type};
use super::super::{change, objects, past, rehearsal, rollouts};
use super::{MADE, of, operation};

/// The largest revision: etcd counts in 63 bits.
const REVISIONS: u64 = i64::MAX as u64;

/// All but those on single objects.
pub(super) fn all() -> Vec<Operation> {
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
            run: run!(change::change),
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

/// Those on rollouts.
pub(super) fn of_rollouts() -> Vec<Operation> {
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
