//! `hatchway rollout`: a new version gets a growing share in steps, is compared with the stable one all the while, and
//! serves everybody or nobody in the end. Gateways move it, one of them at a time; here it is begun, looked at, and told.

mod start;
mod status;
mod steps;

use std::sync::Arc;

use hatchway_proto::api::{RolloutPhase, RolloutTold};
use hatchway_proto::name::FunctionName;
use hatchway_proto::rollout::Command;
use hatchway_wire::catalog::etcd::EtcdConfig;
use hatchway_wire::catalog::etcd::orders::OrderError;
use hatchway_wire::catalog::etcd::rollouts::Rollouts;
use ureq::http::Method;

use crate::admin::{Admin, typed};
use crate::failure::{Failure, Outcome};
use crate::gateways;
use crate::output;
use crate::rules::{ChangeArgs, RulesArgs, Where, borrowed};

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

/// Where rollouts are read and written.
enum Site {
    Etcd(EtcdConfig),
    Gateway(Admin),
}

impl Whose {
    fn name(&self) -> &str {
        output::short_name(&self.function)
    }

    fn site(&self) -> Result<Site, Failure> {
        match self.rules.place()? {
            Where::Gateway(admin) => Ok(Site::Gateway(admin)),
            Where::Etcd(etcd) => {
                let config = etcd.check().map_err(|error| Failure::Settings(error.to_string()))?;
                Ok(Site::Etcd(config))
            }
            Where::File => Err(Failure::Settings(
                "a rollout is moved by gateways that agree on it through etcd; with a catalog file, move the share \
                 yourself: hatchway release NAME --catalog FILE --share VERSION=PERCENT"
                    .to_owned(),
            )),
        }
    }

    /// In the API.
    fn path(&self) -> String {
        format!("/v1/rollouts/{}", self.function)
    }

    /// How far it has come.
    fn read(&self, site: &Site) -> Result<RolloutTold, Failure> {
        let function = self.function.clone();
        match site {
            Site::Gateway(admin) => typed(&admin.get(&self.path(), &[])?),
            Site::Etcd(config) => {
                let held = in_etcd(config, async |rollouts| Ok(rollouts.read(&function).await?))?;
                let Some(rollout) = held.rollout else {
                    return Err(unmade(OrderError::NoRollout(function)));
                };
                let (release, gateways) =
                    (held.release.map(Arc::unwrap_or_clone), held.reports.len());
                Ok(RolloutTold { function, rollout, evidence: held.evidence, release, gateways })
            }
        }
    }
}

/// Does `work` with the rollouts in etcd.
fn in_etcd<T>(
    config: &EtcdConfig,
    work: impl AsyncFnOnce(Rollouts) -> Result<T, OrderError>,
) -> Result<T, Failure> {
    let done = gateways::runtime()?.block_on(async { work(Rollouts::open(config).await?).await });
    done.map_err(unmade)
}

/// Does what a person wants, in one step with the release: no gateway has to lead for it.
fn tell(told: &Told, command: Command) -> Outcome {
    let (whose, name) = (&told.whose, told.whose.name());
    let why = format!("hatchway rollout {command} {name}");
    let phase = match whose.site()? {
        Site::Etcd(config) => {
            let author = told.change.author(&why);
            let telling =
                async |rollouts: Rollouts| rollouts.tell(&whose.function, command, &author).await;
            in_etcd(&config, telling)?.to_string()
        }
        Site::Gateway(admin) => {
            let path = format!("{}/{command}", whose.path());
            phase_of(&admin, Method::POST, &path, &told.change, &why, &())?
        }
    };
    output::line(&format!("{name}: {phase}"))
}

/// Asks a gateway; what the rollout does then.
fn phase_of(
    admin: &Admin,
    method: Method,
    path: &str,
    change: &ChangeArgs,
    why: &str,
    body: &impl serde::Serialize,
) -> Result<String, Failure> {
    let query = change.query(why);
    let query: Vec<_> = borrowed(&query).into_iter().take(2).collect();
    let RolloutPhase { phase } = typed(&admin.send(method, path, &query, body)?)?;
    Ok(phase)
}

fn unmade(error: OrderError) -> Failure {
    match error {
        OrderError::Refused(why) => Failure::Refused(why),
        OrderError::NoRollout(function) => {
            Failure::Refused(format!("{} has no rollout", output::short_name(&function)))
        }
        OrderError::Etcd(error) => {
            let what = "could not read or write rollouts in etcd".to_owned();
            Failure::Unavailable { what, source: Box::new(error) }
        }
    }
}
