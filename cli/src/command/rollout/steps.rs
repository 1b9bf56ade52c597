//! Steps as they are typed: `5%:10m,25%:pause,50%:pause:1h`, and at a time of day `0%:until:2027-01-31T08:00:00Z`.

use std::str::FromStr;

use hatchway_proto::rollout::Step;
use hatchway_proto::units::{parse_duration, parse_time};

use crate::command::release::Percent;

/// A share, and what happens at it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Steps(pub(super) Vec<Step>);

impl FromStr for Steps {
    type Err = String;

    /// One share, of those that commas separate.
    fn from_str(text: &str) -> Result<Self, String> {
        let (share, what) = text.split_once(':').ok_or_else(|| {
            format!("{text:?} is no step: write 5%:10m, 5%:pause, 5%:pause:1h or 5%:until:TIME")
        })?;
        let Percent(weight) = share.parse()?;
        let duration = |text: &str| parse_duration(text).map_err(|error| error.to_string());
        let second = match what.split_once(':') {
            None if what == "pause" => Step::Pause { duration: None, until_unix_ms: None },
            None => Step::Analysis { duration: duration(what)? },
            Some(("pause", time)) => {
                Step::Pause { duration: Some(duration(time)?), until_unix_ms: None }
            }
            Some(("until", time)) => {
                let until = parse_time(time).map_err(|error| error.to_string())?;
                Step::Pause { duration: None, until_unix_ms: Some(until) }
            }
            Some(_) => {
                return Err(format!(
                    "{what:?} is no duration, pause, pause:DURATION or until:TIME"
                ));
            }
        };
        Ok(Self(vec![Step::SetWeight(weight), second]))
    }
}

/// The first step that waits for a time which is over: a slip, for the rollout would go on at once.
pub(super) fn too_late(steps: &[Step], now_unix_ms: u64) -> Option<u64> {
    steps.iter().find_map(|step| match step {
        Step::Pause { until_unix_ms, .. } => until_unix_ms.filter(|until| *until < now_unix_ms),
        Step::SetWeight(_) | Step::Analysis { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn steps_are_shares_with_times_and_pauses() {
        let steps = |text: &str| text.parse::<Steps>().map(|steps| steps.0);
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let pause = |duration| Step::Pause { duration, until_unix_ms: None };
        assert_eq!(
            steps("0.5%:10m"),
            Ok(vec![Step::SetWeight(50), Step::Analysis { duration: minutes(10) }])
        );
        assert_eq!(steps("5%:pause"), Ok(vec![Step::SetWeight(500), pause(None)]));
        assert_eq!(steps("5%:pause:1h"), Ok(vec![Step::SetWeight(500), pause(Some(minutes(60)))]));
        let until = Step::Pause { duration: None, until_unix_ms: Some(1_801_382_400_000) };
        let (zero, at_nine) = (Step::SetWeight(0), "0%:until:2027-01-31T09:00:00+01:00");
        assert_eq!(steps(at_nine), Ok(vec![zero, until.clone()]));
        assert_eq!(too_late(std::slice::from_ref(&until), 1_801_382_400_000), None);
        assert_eq!(too_late(&[pause(None), until], 1_801_382_400_001), Some(1_801_382_400_000));
        for text in ["5%", "5:10m", "5%:10", "5%:stop:1h", "5%:pause:x", "5%:until:9", ""] {
            assert!(steps(text).is_err(), "{text}");
        }
    }
}
