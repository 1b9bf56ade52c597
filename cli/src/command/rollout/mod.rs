//! `hatchway rollout`: a new version gets a growing share in steps, is compared with the stable one all the while, and
//! serves everybody or nobody in the end. Gateways move it, one of them at a time; here it is begun, looked at, and told.

mod start;
mod status;
mod steps;

use std::future::Future;
use std::time::{SystemTime, UNIX_EPOCH};

use hatchway_proto::catalog::Release;
use hatchway_proto::name::FunctionName;
use hatchway_proto::rollout::{Command, Move, Plan};
use hatchway_wire::catalog::etcd::EtcdError;
use hatchway_wire::catalog::etcd::rollouts::{Held, Rollouts, Writing, Written};

use crate::failure::{Failure, Outcome};
use crate::gateways;
use crate::output;
use crate::rules::{ChangeArgs, RulesArgs};

/// A leader that moves at the same time is overtaken within this.
const TRIES: usize = 20;

/// What `hatchway rollout` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Begin: the canary is the version of a project, or one that is there already.
    Start(Box<start::Args>),
    /// Show how far it has come, and why.
    Status(status::Args),
    /// Stay at this step. A canary that is found worse is returned all the same.
    Pause(Told),
    /// Go on; past the pause that it stands at.
    Resume(Told),
    /// Give the canary everything now, whatever steps are left.
    Promote(Told),
    /// Give everything back to the stable version.
    Abort(Told),
}

#[derive(Debug, clap::Args)]
struct Told {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Which rollout, and where.
#[derive(Debug, clap::Args)]
struct Whose {
    /// Of which function.
    function: FunctionName,
    #[command(flatten)]
    rules: RulesArgs,
}

/// Begins, shows, or tells.
pub(crate) fn run(args: &Args) -> Outcome {
    match &args.what {
        What::Start(args) => start::run(args),
        What::Status(args) => status::run(args),
        What::Pause(told) => tell(told, Command::Pause),
        What::Resume(told) => tell(told, Command::Resume),
        What::Promote(told) => tell(told, Command::Promote),
        What::Abort(told) => tell(told, Command::Abort),
    }
}

impl Whose {
    fn name(&self) -> &str {
        output::short_name(&self.function)
    }

    /// Does `work` with the rollouts in etcd.
    fn in_etcd<T, F>(&self, work: impl FnOnce(Rollouts) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let Some(etcd) = self.rules.etcd() else {
            return Err(Failure::Settings(
                "a rollout is moved by gateways that agree on it through etcd; with a catalog file, move the share \
                 yourself: hatchway release NAME --catalog FILE --share VERSION=PERCENT"
                    .to_owned(),
            ));
        };
        let config = etcd.check().map_err(|error| Failure::Settings(error.to_string()))?;
        gateways::runtime()?
            .block_on(async { work(Rollouts::open(&config).await.map_err(unavailable)?).await })
    }

    async fn read(&self, rollouts: &Rollouts) -> Result<Held, Failure> {
        rollouts.read(&self.function).await.map_err(unavailable)
    }
}

/// Does what a person wants, in one step with the release: no gateway is needed for it.
fn tell(told: &Told, command: Command) -> Outcome {
    let (whose, name) = (&told.whose, told.whose.name());
    let author = told.change.author(&format!("hatchway rollout {command} {name}"));
    let said = whose.in_etcd(|rollouts| async move {
        for _ in 0..TRIES {
            let held = whose.read(&rollouts).await?;
            let Some(mut rollout) = held.rollout.clone() else {
                return Err(Failure::Refused(format!("{name} has no rollout")));
            };
            let Some(release) = held.release.as_deref() else {
                return Err(Failure::Refused(format!("the release of {name} is gone")));
            };
            let done = rollout.command(command, unix_ms(), &author.who, release);
            let done = done.map_err(Failure::Refused)?;
            let release = done.map(|done| changed(&rollout.plan, release, done));
            let writing = Writing { rollout: Some(&rollout), evidence: None, release };
            let written = rollouts.write(&whose.function, &held, writing, (None, &author)).await;
            match written.map_err(unavailable)? {
                Written::Whole => return Ok(format!("{name}: {}", rollout.progress.phase)),
                Written::Overtaken | Written::Deposed => {}
            }
        }
        Err(Failure::Refused(format!("the rollout of {name} moves all the time: try again")))
    })?;
    output::line(&said)
}

fn changed(plan: &Plan, release: &Release, done: Move) -> Release {
    match done {
        Move::SetWeight(weight) => plan.with_weight(release, weight),
        Move::Promote => plan.promoted(release),
        Move::Return => plan.with_weight(release, 0),
    }
}

fn unavailable(error: EtcdError) -> Failure {
    let what = "could not read or write rollouts in etcd".to_owned();
    Failure::Unavailable { what, source: Box::new(error) }
}

fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
