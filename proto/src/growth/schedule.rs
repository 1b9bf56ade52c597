//! Times at which more sandboxes are kept ready.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::catalog::{Growth, Timed};

/// The longest, in seconds: what is longer would be a rule of its own.
const LONGEST: u32 = 7 * 24 * 3600;

/// Why a time is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimedError {
    /// Not as cron writes it.
    #[error(
        "{0:?} is no time of cron: write minute, hour, day, month, weekday, as in \"0 8 * * MON-FRI\""
    )]
    Cron(String),
    /// Not in the IANA database.
    #[error("{0:?} is no zone: write a name such as \"Europe/Berlin\", or leave it out for UTC")]
    Zone(String),
    /// As the 30th of February.
    #[error("{0:?} never comes")]
    Never(String),
    /// Too short or too long.
    #[error("is not from 1s to a week")]
    Long,
    /// More than there may be.
    #[error("{0} is more than `max`, which is {1}")]
    Min(u32, u32),
}

impl TimedError {
    /// The field that is wrong.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Cron(_) | Self::Never(_) => "cron",
            Self::Zone(_) => "zone",
            Self::Long => "long",
            Self::Min(..) => "min",
        }
    }
}

/// Whether it can be understood, where at most `most` sandboxes may be.
///
/// # Errors
/// [`TimedError`].
pub fn check(timed: &Timed, most: u32) -> Result<(), TimedError> {
    let (cron, zone) = read(timed)?;
    if cron.find_next_occurrence(&DateTime::UNIX_EPOCH.with_timezone(&zone), true).is_err() {
        return Err(TimedError::Never(timed.cron.clone()));
    }
    if !(1..=LONGEST.into()).contains(&timed.long.as_secs()) {
        return Err(TimedError::Long);
    }
    if timed.min > most {
        return Err(TimedError::Min(timed.min, most));
    }
    Ok(())
}

/// How many are kept ready at a time, in seconds since 1970: the most of all times that it lies in. What cannot be understood
/// counts for nothing.
pub fn min_at(growth: &Growth, unix: u64) -> u32 {
    let now = i64::try_from(unix).ok().and_then(|unix| DateTime::<Utc>::from_timestamp(unix, 0));
    let Some(now) = now else { return 0 };
    let lasts = growth.schedule.iter().filter(|timed| began(timed, now));
    lasts.map(|timed| timed.min).max().unwrap_or_default()
}

/// Whether it has begun, and is not over.
fn began(timed: &Timed, now: DateTime<Utc>) -> bool {
    let Ok((cron, zone)) = read(timed) else { return false };
    let seconds = u32::try_from(timed.long.as_secs()).unwrap_or(LONGEST).min(LONGEST);
    // From its earliest beginning on. One that never comes would be looked for long, and was refused by `check`.
    let from = now - TimeDelta::seconds(seconds.into());
    let next = cron.find_next_occurrence(&from.with_timezone(&zone), false);
    next.is_ok_and(|at| at <= now)
}

fn read(timed: &Timed) -> Result<(Cron, Tz), TimedError> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(&timed.cron).map_err(|_| TimedError::Cron(timed.cron.clone()))?;
    let zone = timed.zone.as_deref().unwrap_or("UTC");
    let zone = Tz::from_str(zone).map_err(|_| TimedError::Zone(zone.to_owned()))?;
    Ok((cron, zone))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn growth(times: &[(&str, u64, u32, Option<&str>)]) -> Growth {
        let timed = |(cron, hours, min, zone): &(&str, u64, u32, Option<&str>)| Timed {
            cron: (*cron).to_owned(),
            long: Duration::from_secs(hours * 3600),
            min: *min,
            zone: zone.map(str::to_owned),
        };
        Growth { schedule: times.iter().map(timed).collect(), ..Growth::default() }
    }

    fn at(time: &str) -> u64 {
        let time = DateTime::parse_from_rfc3339(time).expect("it is a time").timestamp();
        u64::try_from(time).expect("it is after 1970")
    }

    #[test]
    fn a_time_lasts_from_its_beginning_for_as_long_as_it_is() {
        let growth = growth(&[("0 8 * * MON-FRI", 10, 20, None), ("30 11 * * *", 1, 50, None)]);
        // 2026-03-02 is a Monday.
        for (time, min) in [
            ("2026-03-02T07:59:59Z", 0),
            ("2026-03-02T08:00:00Z", 20),
            ("2026-03-02T11:30:00Z", 50),
            ("2026-03-02T12:30:00Z", 20),
            ("2026-03-02T17:59:59Z", 20),
            ("2026-03-02T18:00:00Z", 0),
            ("2026-03-01T09:00:00Z", 0),
        ] {
            assert_eq!(min_at(&growth, at(time)), min, "{time}");
        }
    }

    #[test]
    fn eight_o_clock_is_eight_o_clock_in_summer_too() {
        let growth = growth(&[("0 8 * * *", 1, 5, Some("Europe/Berlin"))]);
        let berlin = |time| min_at(&growth, at(time));
        assert_eq!((berlin("2026-01-15T07:30:00Z"), berlin("2026-07-15T07:30:00Z")), (5, 0));
        assert_eq!((berlin("2026-01-15T06:30:00Z"), berlin("2026-07-15T06:30:00Z")), (0, 5));
    }

    #[test]
    fn a_time_may_last_over_midnight_and_one_that_never_comes_is_none() {
        let growth = growth(&[("0 22 * * FRI", 5, 3, None), ("0 0 30 2 *", 5, 9, None)]);
        assert_eq!(min_at(&growth, at("2026-03-07T02:59:00Z")), 3, "a Saturday");
        assert_eq!(min_at(&growth, at("2026-03-07T03:00:00Z")), 0);
        let checked: Vec<_> = growth.schedule.iter().map(|timed| check(timed, 10)).collect();
        assert_eq!(checked, [Ok(()), Err(TimedError::Never("0 0 30 2 *".to_owned()))]);
    }
}
