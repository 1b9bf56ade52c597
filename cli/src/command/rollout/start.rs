//! `hatchway rollout start`: the canary is there, then the plan.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use hatchway_proto::catalog::{Key, Release};
use hatchway_proto::rollout::{Analysis, Evidence, Plan, Progress, Rollout, TooLittle};
use hatchway_proto::units::parse_duration;
use hatchway_wire::catalog::etcd::rollouts::{Writing, Written};
use hatchway_wire::catalog::store::{Author, Change};

use super::steps::Steps;
use super::{Whose, unavailable, unix_ms};
use crate::command::release::{self, Percent, VersionArg};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::rules::{ChangeArgs, Rules};

/// Half an hour in which one client in twenty, in four and in two meets the canary.
const DEFAULT_STEPS: &str = "5%:10m,25%:10m,50%:10m";

/// What `hatchway rollout start` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    change: ChangeArgs,
    /// The canary is the version in this project, which is added.
    #[arg(long, value_name = "DIR", required_unless_present = "canary", conflicts_with = "canary")]
    add: Option<PathBuf>,
    /// The canary is this version (its first digits are enough), which is there.
    #[arg(long, value_name = "VERSION")]
    canary: Option<VersionArg>,
    /// Shares, each with what happens at it: 5%:10m to go on after so long if it is not worse, 5%:pause to wait for a word,
    /// 5%:pause:1h to wait.
    #[arg(long, value_name = "STEPS", value_delimiter = ',', default_value = DEFAULT_STEPS)]
    steps: Vec<Steps>,
    #[command(flatten)]
    judge: Judge,
}

/// By what the canary is judged.
#[derive(Debug, clap::Args)]
struct Judge {
    /// Of canaries that are not worse, so many are returned at most, however often they are looked at.
    #[arg(long, value_name = "PERCENT")]
    false_alarms: Option<Percent>,
    /// The canary may fail so many more requests than stable.
    #[arg(long, value_name = "PERCENT")]
    error_margin: Option<Percent>,
    /// It may take so much longer, in whole percent up to 1000%.
    #[arg(long, value_name = "PERCENT", value_parser = whole_percent)]
    latency_margin: Option<u16>,
    /// For so long after each new share times are not compared.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    warm_up: Option<Duration>,
    /// A step takes as many requests of each version at least.
    #[arg(long, value_name = "COUNT")]
    min_requests: Option<u64>,
    /// How long a step waits for them, beyond its own time.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    max_wait: Option<Duration>,
    /// What happens when they do not come.
    #[arg(long, value_name = "WHAT", default_value = "return")]
    too_little: Scarce,
    /// Between two looks.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    interval: Option<Duration>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scarce {
    /// Stable serves everybody again.
    Return,
    /// The step counts as passed.
    Promote,
}

fn whole_percent(text: &str) -> Result<u16, String> {
    let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("{text:?} is no whole percentage: write 10%"))
}

impl Judge {
    fn analysis(&self) -> Analysis {
        let usual = Analysis::default();
        Analysis {
            interval: self.interval.unwrap_or(usual.interval),
            false_alarms_bp: self.false_alarms.map_or(usual.false_alarms_bp, |Percent(bp)| bp),
            error_margin_bp: self.error_margin.map_or(usual.error_margin_bp, |Percent(bp)| bp),
            latency_margin_percent: self.latency_margin.unwrap_or(usual.latency_margin_percent),
            warm_up: self.warm_up.unwrap_or(usual.warm_up),
            min_requests: self.min_requests.unwrap_or(usual.min_requests),
            max_wait: self.max_wait.unwrap_or(usual.max_wait),
            too_little: match self.too_little {
                Scarce::Return => TooLittle::Return,
                Scarce::Promote => TooLittle::Promote,
            },
        }
    }
}

/// Adds the version where it has to, then writes the plan; the gateway that leads takes the first step.
pub(super) fn run(args: &Args) -> Outcome {
    let (whose, name) = (&args.whose, args.whose.name());
    // Before the version is added: what needs etcd should say so first.
    whose.in_etcd(|rollouts| async move {
        match whose.read(&rollouts).await?.rollout {
            Some(rollout) if !rollout.progress.phase.is_over() => {
                let phase = rollout.progress.phase;
                Err(Failure::Refused(format!("a rollout of {name} is under way already: {phase}")))
            }
            Some(_) | None => Ok(()),
        }
    })?;
    let why = format!("hatchway rollout start {name}");
    let author = args.change.author(&why);
    let rules = Rules::open(&whose.rules)?;
    let mut objects = rules.objects().clone();
    let canary = match (&args.add, &args.canary) {
        (Some(dir), _) => release::add(&mut objects, dir, &whose.function)?,
        (None, Some(typed)) => {
            typed.find(&objects, &whose.function, None).map_err(Failure::Refused)?
        }
        (None, None) => unreachable!("clap asks for one of the two"),
    };
    let Some(before) = objects.releases.get(&whose.function) else {
        return Err(Failure::Refused(format!("{name} has no release: apply it first")));
    };
    let steps = args.steps.iter().flat_map(|steps| steps.0.clone()).collect();
    let plan = Plan { stable: before.stable, canary, steps, analysis: args.judge.analysis() };
    plan.check().map_err(|error| Failure::Settings(error.to_string()))?;
    if !plan.is_as_left(before, 0) {
        return Err(shared(name, before));
    }
    let added = objects.get(&Key::Version(canary)).map(Change::Put).into_iter().collect();
    rules.push(added, &args.change, &why)?;
    begin(whose, plan, &author)
}

fn shared(name: &str, release: &Release) -> Failure {
    let versions: Vec<String> =
        release.shares.iter().map(|share| share.version.to_string()).collect();
    Failure::Refused(format!(
        "the release of {name} gives shares already, to {}: end them with hatchway release {name} --no-shares",
        versions.join(", ")
    ))
}

fn begin(whose: &Whose, plan: Plan, author: &Author) -> Outcome {
    let name = whose.name();
    let (canary, stable) = (plan.canary, plan.stable);
    let why = format!("{} ({})", author.why, author.who);
    let evidence = Evidence::of(&plan);
    let rollout = Rollout { plan, progress: Progress::start(unix_ms(), why) };
    whose.in_etcd(|rollouts| async move {
        let held = whose.read(&rollouts).await?;
        let writing = Writing { rollout: Some(&rollout), evidence: Some(&evidence), release: None };
        let is_over = held.rollout.as_ref().is_none_or(|old| old.progress.phase.is_over());
        let written = match is_over {
            true => rollouts.write(&whose.function, &held, writing, (None, author)).await,
            false => Ok(Written::Overtaken),
        };
        match written.map_err(unavailable)? {
            Written::Whole => Ok(()),
            Written::Overtaken | Written::Deposed => Err(Failure::Refused(format!(
                "somebody else has begun a rollout of {name} meanwhile: look at its status"
            ))),
        }
    })?;
    output::line(&format!("{name}: from {stable} to {canary}; hatchway rollout status {name}"))
}
