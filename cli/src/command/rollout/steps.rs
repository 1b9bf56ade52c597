//! Steps as they are typed: `5%:10m,25%:pause,50%:pause:1h`.

use std::str::FromStr;

use hatchway_proto::rollout::Step;
use hatchway_proto::units::parse_duration;

use crate::command::release::Percent;

/// A share, and what happens at it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Steps(pub(super) Vec<Step>);

impl FromStr for Steps {
    type Err = String;

    /// One share, of those that commas separate.
    fn from_str(text: &str) -> Result<Self, String> {
        let (share, what) = text
            .split_once(':')
            .ok_or_else(|| format!("{text:?} is no step: write 5%:10m, 5%:pause or 5%:pause:1h"))?;
        let Percent(weight) = share.parse()?;
        let duration = |text: &str| parse_duration(text).map_err(|error| error.to_string());
        let second = match what.split_once(':') {
            None if what == "pause" => Step::Pause { duration: None, until_unix_ms: None },
            None => Step::Analysis { duration: duration(what)? },
            Some(("pause", time)) => {
                Step::Pause { duration: Some(duration(time)?), until_unix_ms: None }
            }
            Some(_) => return Err(format!("{what:?} is neither a time nor pause nor pause:TIME")),
        };
        Ok(Self(vec![Step::SetWeight(weight), second]))
    }
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
        for text in ["5%", "5:10m", "5%:10", "5%:stop:1h", "5%:pause:x", ""] {
            assert!(steps(text).is_err(), "{text}");
        }
    }
}
