//! Why an operation was not done, and the status that says so.

use hatchway_proto::api::Problem;
use hatchway_proto::catalog::ObjectError;
use hatchway_proto::catalog::check::Mistake;
use hatchway_wire::admin::{Reply, refusal};
use hatchway_wire::catalog::etcd::EtcdError;
use hatchway_wire::catalog::etcd::orders::OrderError;
use hatchway_wire::catalog::store::{PushError, StoreError};
use hatchway_wire::process::chain;
use http::StatusCode;

/// A status, and a problem in words.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    problem: Box<Problem>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, problem: Box::new(Problem { detail, ..Problem::default() }) }
    }

    /// Something that was said is none of what it can be.
    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// Single fields are wrong.
    pub(super) fn mistakes(status: StatusCode, mistakes: Vec<Mistake>) -> Self {
        let all: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        let mut refusal = Self::new(status, all.join("; "));
        refusal.problem.mistakes = mistakes;
        refusal
    }
}

impl From<Refusal> for Reply {
    fn from(refused: Refusal) -> Self {
        refusal(refused.status, &refused.problem)
    }
}

/// A value that is no object: `key` is in front of every field.
pub(super) fn no_object(key: &str, error: ObjectError) -> Refusal {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    match error {
        ObjectError::Mistakes(mistakes) => Refusal::mistakes(status, mistakes),
        ObjectError::TooLong(_) | ObjectError::NoObject | ObjectError::Malformed(_) => {
            Refusal::new(status, format!("{key}: {error}"))
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::Etcd(_) => StatusCode::SERVICE_UNAVAILABLE,
            StoreError::File(_)
            | StoreError::Io { .. }
            | StoreError::Journal { .. }
            | StoreError::EtcdConfig(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, format!("the rules cannot be read or written: {}", chain(&error)))
    }
}

impl From<EtcdError> for Refusal {
    fn from(error: EtcdError) -> Self {
        StoreError::Etcd(error).into()
    }
}

impl From<PushError> for Refusal {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Conflict { .. } | PushError::FileChanged { .. } | PushError::Trial(_) => {
                Self::conflict(error.to_string())
            }
            PushError::NotServed(_) => Self::new(StatusCode::GATEWAY_TIMEOUT, error.to_string()),
            PushError::NobodyTold => Self::bad(error.to_string()),
            PushError::Store(error) => error.into(),
            PushError::Etcd(error) => error.into(),
        }
    }
}

impl From<OrderError> for Refusal {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Refused(why) => Self::conflict(why),
            OrderError::NoRollout(_) => Self::not_found(error.to_string()),
            OrderError::Etcd(error) => error.into(),
        }
    }
}
