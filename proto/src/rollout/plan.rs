//! What an operator asks for, in the words of Argo Rollouts where they fit: steps of `set_weight`, `pause` and `analysis`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::catalog::{BASIS_POINTS, Release, Share};
use crate::name::VersionId;
use crate::units;

/// Steps of one plan.
const STEPS: usize = 100;

/// The steps from stable to canary, and by what they are judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Who serves everybody before, and again if the canary is worse.
    pub stable: VersionId,
    /// Who serves everybody afterwards.
    pub canary: VersionId,
    /// What is done, in this order. After the last one the canary is promoted.
    pub steps: Vec<Step>,
    /// How canary and stable are compared, from the first weight to the end.
    #[serde(default)]
    pub analysis: Analysis,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// The canary's share from here on, in basis points: 0..=10000.
    SetWeight(u16),
    /// Nothing moves.
    Pause {
        /// Goes on by itself after this; without it, when an operator says so.
        #[serde(
            default,
            rename = "for",
            with = "optional",
            skip_serializing_if = "Option::is_none"
        )]
        #[schemars(with = "Option<String>")]
        duration: Option<Duration>,
        /// Goes on by itself at this time, in milliseconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_unix_ms: Option<u64>,
    },
    /// Goes on when the canary has served for long enough, and enough, without being found worse.
    Analysis {
        /// At least for so long.
        #[serde(rename = "for", with = "units::duration")]
        #[schemars(with = "String")]
        duration: Duration,
    },
}

/// How canary and stable are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Analysis {
    /// Between two looks at the counts.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub interval: Duration,
    /// Of ten thousand rollouts of a canary that is not worse, so many are returned by mistake at most, however long they
    /// take and however often they are looked at.
    pub false_alarms_bp: u16,
    /// A canary may fail so many more of ten thousand requests than stable before that is called worse.
    pub error_margin_bp: u16,
    /// It may take so many percent longer.
    pub latency_margin_percent: u16,
    /// For so long after each new weight times are not compared: sandboxes start, caches fill, code is compiled.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub warm_up: Duration,
    /// An analysis step takes as many requests of the canary at least.
    pub min_requests: u64,
    /// How long a step waits for them, beyond its own time.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub max_wait: Duration,
    /// What becomes of the rollout when they do not come.
    pub too_little: TooLittle,
}

/// What becomes of a rollout without enough traffic to judge it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TooLittle {
    /// Stable serves everybody again.
    Return,
    /// The step counts as passed.
    Promote,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            // A look costs each gateway one small write: often enough that the interval adds little to a detection.
            interval: Duration::from_secs(5),
            // Somebody who rolls out every working day meets one in five months.
            false_alarms_bp: 100,
            // Less is seen with enough traffic, and nobody would return a version for it.
            error_margin_bp: 10,
            latency_margin_percent: 10,
            // A runtime with a compiler of its own is as fast as it will be by then, under any traffic worth a rollout.
            warm_up: Duration::from_secs(30),
            // Fewer would let a canary pass that fails one in thirty.
            min_requests: 100,
            max_wait: Duration::from_secs(3600),
            too_little: TooLittle::Return,
        }
    }
}

/// What is wrong with a plan, with its field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct PlanError {
    /// Where.
    pub field: String,
    /// What it is, and what would be right.
    pub message: String,
}

impl Plan {
    /// Looks for what could never work.
    ///
    /// # Errors
    /// The first mistake.
    pub fn check(&self) -> Result<(), PlanError> {
        let wrong = |field: &str, message: String| Err(PlanError { field: field.into(), message });
        if self.stable == self.canary {
            return wrong("canary", format!("{} is the stable version already", self.canary));
        }
        if !(1..=STEPS).contains(&self.steps.len()) {
            return wrong(
                "steps",
                format!("there are {}, 1 to {STEPS} are allowed", self.steps.len()),
            );
        }
        let Some(Step::SetWeight(_)) = self.steps.first() else {
            return wrong(
                "steps[0]",
                "the first step is a set_weight: before it there is no canary".into(),
            );
        };
        let mut given = 0;
        for (index, step) in self.steps.iter().enumerate() {
            let field = format!("steps[{index}]");
            match step {
                Step::SetWeight(weight) if *weight > BASIS_POINTS => {
                    return wrong(
                        &field,
                        format!("{weight} is more than everybody: {BASIS_POINTS}"),
                    );
                }
                Step::Pause { duration: Some(_), until_unix_ms: Some(_) } => {
                    return wrong(
                        &field,
                        "has a for and an until_unix_ms; leave one of them out".into(),
                    );
                }
                Step::Analysis { .. } if given == 0 || given == BASIS_POINTS => {
                    let message = "compares two versions, and one of them serves nobody by then";
                    return wrong(&field, message.into());
                }
                Step::SetWeight(weight) => given = *weight,
                Step::Pause { .. } | Step::Analysis { .. } => {}
            }
        }
        self.analysis.check()
    }

    /// How often the weight is set.
    pub(super) fn weights(&self) -> u32 {
        let weights = self.steps.iter().filter(|step| matches!(step, Step::SetWeight(_))).count();
        u32::try_from(weights).expect("there are a hundred steps at most")
    }

    /// Whether a release is as this rollout has left it, with this share for the canary. Its rules, tags and the like
    /// are nobody's business here.
    pub fn is_as_left(&self, release: &Release, weight_bp: u16) -> bool {
        let of_canary = |share: &&Share| share.version == self.canary;
        let given: u16 =
            release.shares.iter().filter(of_canary).map(|share| share.basis_points).sum();
        let others = release.shares.iter().any(|share| share.version != self.canary);
        release.stable == self.stable && given == weight_bp && !others
    }

    /// The release with this share for the canary; what is not the rollout's stays.
    pub fn with_weight(&self, release: &Release, weight_bp: u16) -> Release {
        let mut release = release.clone();
        release.shares.retain(|share| share.version != self.canary);
        if weight_bp > 0 {
            let share = Share { version: self.canary, basis_points: weight_bp };
            release.shares.insert(0, share);
        }
        release
    }

    /// The release in which the canary serves everybody whom stable has served.
    pub fn promoted(&self, release: &Release) -> Release {
        Release { stable: self.canary, ..self.with_weight(release, 0) }
    }
}

impl Analysis {
    /// A gateway reports as often as it is looked.
    const INTERVALS: std::ops::RangeInclusive<Duration> =
        Duration::from_millis(100)..=Duration::from_secs(3600);

    fn check(&self) -> Result<(), PlanError> {
        let wrong = |field: &str, message: &str| {
            Err(PlanError { field: format!("analysis.{field}"), message: message.to_owned() })
        };
        if !Self::INTERVALS.contains(&self.interval) {
            return wrong("interval", "is out of range: 100ms to 1h");
        }
        if !(1..=5000).contains(&self.false_alarms_bp) {
            return wrong(
                "false_alarms_bp",
                "is out of range: 1 to 5000, and 100 is one in a hundred",
            );
        }
        if self.error_margin_bp >= BASIS_POINTS / 2 {
            return wrong(
                "error_margin_bp",
                "is out of range: 0 to 4999, and 10 is one in a thousand",
            );
        }
        if self.latency_margin_percent > 1000 {
            return wrong("latency_margin_percent", "is out of range: 0 to 1000");
        }
        Ok(())
    }
}

/// `serde(with)`: a duration that may be missing, as its text.
mod optional {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use crate::units;

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(units::format_duration).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| units::parse_duration(&text)).transpose().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan, String> {
        let plan: Plan = serde_json::from_str(text).map_err(|error| error.to_string())?;
        plan.check().map(|()| plan).map_err(|error| error.to_string())
    }

    fn of_steps(steps: &str) -> Result<Plan, String> {
        plan(&format!(
            r#"{{"stable": "0000000000000000", "canary": "00000000000000aa", "steps": [{steps}]}}"#
        ))
    }

    #[test]
    fn a_plan_reads_back_as_it_was_written() {
        let steps = r#"{"set_weight": 500}, {"analysis": {"for": "5m"}}, {"pause": {}}, {"pause": {"for": "1h"}},
                       {"pause": {"until_unix_ms": 7}}"#;
        let read = of_steps(steps).unwrap();
        assert_eq!(read.steps[2], Step::Pause { duration: None, until_unix_ms: None });
        let text = serde_json::to_string(&read).unwrap();
        assert_eq!(plan(&text), Ok(read));
    }

    #[test]
    fn what_could_never_work_is_refused_with_its_field() {
        let pause = r#"{"set_weight": 1}, {"pause": {"for": "1s", "until_unix_ms": 1}}"#;
        for (steps, why) in [
            ("", "steps: there are 0"),
            (r#"{"pause": {}}"#, "steps[0]: the first step is a set_weight"),
            (r#"{"set_weight": 1}, {"set_weight": 10001}"#, "steps[1]: 10001 is more"),
            (pause, "steps[1]: has a for and an until"),
            (
                r#"{"set_weight": 10000}, {"analysis": {"for": "5m"}}"#,
                "steps[1]: compares two versions, and one of them serves nobody",
            ),
            (r#"{"set_weigth": 1}"#, "unknown variant"),
            (r#"{"set_weight": 1}, {"analysis": {"for": "5"}}"#, "is not a duration"),
        ] {
            let error = of_steps(steps).unwrap_err();
            assert!(error.contains(why), "{steps}: {error}");
        }
        let same = r#"{"stable": "00000000000000aa", "canary": "00000000000000aa", "steps": [{"set_weight": 1}]}"#;
        assert!(plan(same).unwrap_err().contains("stable version already"));
        for (analysis, field) in [
            (r#"{"interval": "1ms"}"#, "analysis.interval"),
            (r#"{"false_alarms_bp": 0}"#, "analysis.false_alarms_bp"),
            (r#"{"error_margin_bp": 5000}"#, "analysis.error_margin_bp"),
            (r#"{"latency_margin_percent": 1001}"#, "analysis.latency_margin_percent"),
        ] {
            let text = format!(
                r#"{{"stable": "0000000000000000", "canary": "00000000000000aa", "steps": [{{"set_weight": 1}}],
                    "analysis": {analysis}}}"#
            );
            assert!(plan(&text).unwrap_err().starts_with(field), "{analysis}");
        }
    }

    #[test]
    fn a_release_gives_and_takes_the_canarys_share_and_nothing_else() {
        let plan = of_steps(r#"{"set_weight": 500}"#).unwrap();
        let before: Release = serde_json::from_str(
            r#"{"stable": "0000000000000000", "sticky": "address", "tags": {"next": "00000000000000aa"}}"#,
        )
        .unwrap();
        let half = plan.with_weight(&before, 5000);
        assert!(plan.is_as_left(&half, 5000) && !plan.is_as_left(&half, 4999));
        assert_eq!(plan.with_weight(&half, 0), before);
        let after = plan.promoted(&half);
        assert_eq!(
            (after.stable, after.shares.len(), after.tags),
            (plan.canary, 0, before.tags.clone())
        );
        let mut edited = half.clone();
        edited.shares.push(Share { version: plan.stable, basis_points: 1 });
        assert!(!plan.is_as_left(&edited, 5000));
    }
}
