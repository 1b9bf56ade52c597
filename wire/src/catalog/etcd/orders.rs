//! What people tell rollouts: begin, pause, go on, end. Written in one step with the release, so that no gateway is needed
//! for it.

use hatchway_proto::catalog::Release;
use hatchway_proto::name::FunctionName;
use hatchway_proto::rollout::{Command, Evidence, Move, Phase, Plan, Progress, Rollout};

use super::connection::EtcdError;
use super::push::Author;
use super::rollouts::{Rollouts, Writing, Written};
use crate::catalog::status::unix_ms;

/// A leader that moves at the same time is overtaken within this.
const TRIES: usize = 20;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The rollout, or the release, is not so that it could be.
    #[error("{0}")]
    Refused(String),
    /// There is none of this function.
    #[error("{0} has no rollout")]
    NoRollout(FunctionName),
    /// etcd cannot be reached, or refuses.
    #[error("etcd")]
    Etcd(#[from] EtcdError),
}

impl Rollouts {
    /// Does what a person wants; what the rollout does then.
    ///
    /// # Errors
    /// [`OrderError`].
    pub async fn tell(
        &self,
        function: &FunctionName,
        command: Command,
        author: &Author,
    ) -> Result<Phase, OrderError> {
        for _ in 0..TRIES {
            let held = self.read(function).await?;
            let Some(mut rollout) = held.rollout.clone() else {
                return Err(OrderError::NoRollout(function.clone()));
            };
            let Some(release) = held.release.as_deref() else {
                return Err(OrderError::Refused(format!("the release of {function} is gone")));
            };
            let done = rollout.command(command, unix_ms(), &author.who, release);
            let done = done.map_err(OrderError::Refused)?;
            let release = done.map(|done| changed(&rollout.plan, release, done));
            let writing = Writing { rollout: Some(&rollout), evidence: None, release };
            match self.write(function, &held, writing, (None, author)).await? {
                Written::Whole => return Ok(rollout.progress.phase),
                Written::Overtaken | Written::Deposed => {}
            }
        }
        Err(OrderError::Refused(format!("the rollout of {function} moves all the time: try again")))
    }

    /// Looks whether one could begin now.
    ///
    /// # Errors
    /// [`OrderError::Refused`] while another is under way.
    pub async fn is_free(&self, function: &FunctionName) -> Result<(), OrderError> {
        match self.read(function).await?.rollout {
            Some(Rollout { progress: Progress { phase, .. }, .. }) if !phase.is_over() => {
                Err(OrderError::Refused(format!(
                    "a rollout of {function} is under way already: {phase}"
                )))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Writes a plan that was checked; the gateway that leads takes the first step.
    ///
    /// # Errors
    /// [`OrderError`]: among others, where the release gives shares already.
    pub async fn begin(
        &self,
        function: &FunctionName,
        plan: Plan,
        author: &Author,
    ) -> Result<(), OrderError> {
        let held = self.read(function).await?;
        let Some(release) = held.release.as_deref() else {
            let why = format!("{function} has no release: apply it first");
            return Err(OrderError::Refused(why));
        };
        if release.stable != plan.stable {
            return Err(OrderError::Refused(format!(
                "{} is not the stable version of {function}, {} is",
                plan.stable, release.stable
            )));
        }
        if !plan.is_as_left(release, 0) {
            return Err(OrderError::Refused(shared(function, release)));
        }
        if held.rollout.as_ref().is_some_and(|old| !old.progress.phase.is_over()) {
            return Err(begun(function));
        }
        let why = format!("{} ({})", author.why, author.who);
        let evidence = Evidence::of(&plan);
        let rollout = Rollout { plan, progress: Progress::start(unix_ms(), why) };
        let writing = Writing { rollout: Some(&rollout), evidence: Some(&evidence), release: None };
        match self.write(function, &held, writing, (None, author)).await? {
            Written::Whole => Ok(()),
            Written::Overtaken | Written::Deposed => Err(begun(function)),
        }
    }
}

fn begun(function: &FunctionName) -> OrderError {
    OrderError::Refused(format!(
        "somebody else has begun a rollout of {function} meanwhile: look at its status"
    ))
}

fn changed(plan: &Plan, release: &Release, done: Move) -> Release {
    match done {
        Move::SetWeight(weight) => plan.with_weight(release, weight),
        Move::Promote => plan.promoted(release),
        Move::Return => plan.with_weight(release, 0),
    }
}

fn shared(function: &FunctionName, release: &Release) -> String {
    let versions: Vec<String> =
        release.shares.iter().map(|share| share.version.to_string()).collect();
    format!(
        "the release of {function} gives shares already, to {}: end them with hatchway release {} --no-shares",
        versions.join(", "),
        function.name()
    )
}
