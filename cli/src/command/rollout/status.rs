//! `hatchway rollout status`: how far it has come, and why.

use hatchway_proto::api::RolloutTold;
use hatchway_proto::rollout::Step;
use hatchway_proto::units::format_duration;

use super::Whose;
use crate::command::release::Percent;
use crate::failure::Outcome;
use crate::output;

/// What `hatchway rollout status` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    whose: Whose,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// Reads and shows.
pub(super) fn run(args: &Args) -> Outcome {
    let (whose, name) = (&args.whose, args.whose.name());
    let told = whose.read(&whose.site()?)?;
    let rollout = &told.rollout;
    if args.json {
        return output::json(&told);
    }
    output::line(&first_line(name, &told))?;
    if let Some(evidence) = &told.evidence {
        output::line(&evidence.in_words(&rollout.plan.analysis))?;
    }
    let mut steps = output::table(&["STEP", "", "WHAT"]);
    for (index, step) in rollout.plan.steps.iter().enumerate() {
        let is_now = index == rollout.progress.step && !rollout.progress.phase.is_over();
        let mark = if is_now {
            "now"
        } else if index < rollout.progress.step {
            "done"
        } else {
            ""
        };
        steps.add_row([(index + 1).to_string(), mark.to_owned(), in_words(step)]);
    }
    output::show(&steps)?;
    let mut journal = output::table(&["TIME", "STEP", "WHAT", "WHY"]);
    for entry in &rollout.progress.journal {
        let time = output::time_of_day(entry.at_unix_ms);
        let step = (entry.step + 1).to_string();
        journal.add_row([time, step, entry.what.clone(), entry.why.clone()]);
    }
    output::show(&journal)
}

fn first_line(name: &str, told: &RolloutTold) -> String {
    let (plan, progress) = (&told.rollout.plan, &told.rollout.progress);
    let share = Percent(progress.weight_bp);
    let gateways = told.gateways;
    format!(
        "{name}: {}; {share} to {}, the rest to {}; {gateways} gateways count",
        progress.phase, plan.canary, plan.stable
    )
}

fn in_words(step: &Step) -> String {
    match step {
        Step::SetWeight(weight) => format!("{} to the canary", Percent(*weight)),
        Step::Pause { duration: Some(duration), .. } => {
            format!("pause for {}", format_duration(*duration))
        }
        Step::Pause { duration: None, until_unix_ms: Some(until) } => {
            format!("pause until {} (UTC)", output::date_and_time(*until))
        }
        Step::Pause { duration: None, until_unix_ms: None } => "pause until resumed".to_owned(),
        Step::Analysis { duration } => format!("compare for {}", format_duration(*duration)),
    }
}
