//! `hatchway rollout start`: the canary is there, then the plan.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use hatchway_proto::catalog::Key;
use hatchway_proto::rollout::{Analysis, Plan, TooLittle};
use hatchway_proto::units::parse_duration;
use hatchway_wire::catalog::etcd::rollouts::Rollouts;
use hatchway_wire::catalog::store::Change;
use ureq::http::Method;

use super::steps::{Steps, too_late};
use super::{Site, Whose, in_etcd, phase_of};
use crate::command::release::{self, Percent, VersionArg};
use crate::failure::{Failure, Outcome};
use crate::gateways::unix_ms;
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
    /// 5%:pause:1h to wait, 5%:until:2027-01-31T08:00:00Z to wait for a time. A rollout that begins at a time begins with 0%.
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
    let site = whose.site()?;
    // Before the version is added: what cannot begin should say so first.
    is_free(whose, &site)?;
    let why = format!("hatchway rollout start {name}");
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
    let steps: Vec<_> = args.steps.iter().flat_map(|steps| steps.0.clone()).collect();
    if let Some(until) = too_late(&steps, unix_ms()) {
        let until = output::date_and_time(until);
        return Err(Failure::Settings(format!("steps: {until} (UTC) is over already")));
    }
    let plan = Plan { stable: before.stable, canary, steps, analysis: args.judge.analysis() };
    plan.check().map_err(|error| Failure::Settings(error.to_string()))?;
    let stable = plan.stable;
    let added = objects.get(&Key::Version(canary)).map(Change::Put).into_iter().collect();
    rules.push(added, &args.change, &why)?;
    match site {
        Site::Etcd(config) => {
            let author = args.change.author(&why);
            let beginning =
                async |rollouts: Rollouts| rollouts.begin(&whose.function, plan, &author).await;
            in_etcd(&config, beginning)?;
        }
        Site::Gateway(admin) => {
            phase_of(&admin, Method::PUT, &whose.path(), &args.change, &why, &plan)?;
        }
    }
    output::line(&format!("{name}: from {stable} to {canary}; hatchway rollout status {name}"))
}

fn is_free(whose: &Whose, site: &Site) -> Outcome {
    match site {
        Site::Etcd(config) => {
            in_etcd(config, async |rollouts: Rollouts| rollouts.is_free(&whose.function).await)
        }
        // The gateway looks again when it begins.
        Site::Gateway(_) => match whose.read(site) {
            Ok(told) if !told.rollout.progress.phase.is_over() => {
                let (name, phase) = (whose.name(), told.rollout.progress.phase);
                Err(Failure::Refused(format!("a rollout of {name} is under way already: {phase}")))
            }
            Ok(_) | Err(Failure::Refused(_)) => Ok(()),
            Err(failure) => Err(failure),
        },
    }
}
