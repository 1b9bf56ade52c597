//! Quantities as people write them: `128MiB`, `500m`, `30s`. Exact, or refused with what would be right.

use std::time::Duration;

/// Why a quantity could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a memory size.
    #[error(
        "{text:?} is not a size: write a whole number and B, KiB, MiB or GiB, for example {suggestion:?}"
    )]
    NotASize {
        /// The text as given.
        text: String,
        /// A size that may have been meant.
        suggestion: String,
    },
    /// Not a share of a core.
    #[error(
        "{text:?} is not a share of cores: write thousandths as \"500m\" or whole cores as \"2\""
    )]
    NotCpu {
        /// The text as given.
        text: String,
    },
    /// A duration beyond any use, which arithmetic on time could not hold.
    #[error("{text:?} is longer than a year: the longest duration is \"8760h\"")]
    TooLong {
        /// The text as given.
        text: String,
    },
    /// Not a point in time.
    #[error(
        "{text:?} is not a time: write it as RFC 3339 does, for example \"2027-01-31T08:00:00Z\" or with +01:00 in the place of Z"
    )]
    NotATime {
        /// The text as given.
        text: String,
    },
    /// Not a duration.
    #[error(
        "{text:?} is not a duration: write a whole number and ms, s, m or h, for example {suggestion:?}"
    )]
    NotADuration {
        /// The text as given.
        text: String,
        /// A duration that may have been meant.
        suggestion: String,
    },
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..end].parse().ok()?;
    Some((number, text[end..].trim_start()))
}

/// Reads `128MiB` as bytes.
///
/// # Errors
/// [`UnitError::NotASize`], decimal units (`MB`) included: a limit should not be 5 % off.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let factor = |unit: &str| match unit {
        "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1_u64 << 30),
        _ => None,
    };
    let not_a_size =
        || UnitError::NotASize { text: text.to_owned(), suggestion: nearest_size(text) };
    let (number, unit) = split_number(text).ok_or_else(not_a_size)?;
    factor(unit).and_then(|factor| number.checked_mul(factor)).ok_or_else(not_a_size)
}

fn nearest_size(text: &str) -> String {
    let Some((number, unit)) = split_number(text) else { return "128MiB".to_owned() };
    let unit = match unit.to_ascii_lowercase().chars().next() {
        Some('k') => "KiB",
        Some('g') => "GiB",
        _ => "MiB",
    };
    format!("{number}{unit}")
}

/// Reads `500m` or `2` as thousandths of a core.
///
/// # Errors
/// [`UnitError::NotCpu`]; zero is refused as well.
pub fn parse_cpu_millis(text: &str) -> Result<u32, UnitError> {
    let millis = match split_number(text) {
        Some((number, "m")) => u32::try_from(number).ok(),
        Some((number, "")) => u32::try_from(number).ok().and_then(|cores| cores.checked_mul(1000)),
        _ => None,
    };
    millis.filter(|millis| *millis > 0).ok_or_else(|| UnitError::NotCpu { text: text.to_owned() })
}

/// The longest duration: a year. Added to any time of this machine, it stays in range.
const MAX_DURATION: Duration = Duration::from_secs(8760 * 3600);

/// Reads `250ms`, `30s`, `5m` or `1h`.
///
/// # Errors
/// [`UnitError::NotADuration`], [`UnitError::TooLong`].
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let not_a_duration =
        || UnitError::NotADuration { text: text.to_owned(), suggestion: nearest_duration(text) };
    let (number, unit) = split_number(text).ok_or_else(not_a_duration)?;
    let millis_each = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(not_a_duration()),
    };
    let duration = Duration::from_millis(number.saturating_mul(millis_each));
    if duration > MAX_DURATION {
        return Err(UnitError::TooLong { text: text.to_owned() });
    }
    Ok(duration)
}

fn nearest_duration(text: &str) -> String {
    match split_number(text) {
        Some((number, unit)) if unit.starts_with("mil") => format!("{number}ms"),
        Some((number, unit)) if unit.starts_with("mi") => format!("{number}m"),
        Some((number, unit)) if unit.starts_with('h') => format!("{number}h"),
        Some((number, _)) => format!("{number}s"),
        None => "30s".to_owned(),
    }
}

/// Writes a duration in the largest unit that says it exactly: `30s`, `1500ms`, `2h`.
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (each, unit) in [(3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if millis != 0 && millis.is_multiple_of(each) {
            return format!("{}{unit}", millis / each);
        }
    }
    format!("{millis}ms")
}

/// Reads `2027-01-31T08:00:00Z` or `2027-01-31T09:00:00+01:00` (RFC 3339) as milliseconds since 1970.
///
/// # Errors
/// [`UnitError::NotATime`]; a time without its zone is none, for gateways are anywhere.
pub fn parse_time(text: &str) -> Result<u64, UnitError> {
    let time = chrono::DateTime::parse_from_rfc3339(text).ok();
    let unix_ms = time.and_then(|time| u64::try_from(time.timestamp_millis()).ok());
    unix_ms.ok_or_else(|| UnitError::NotATime { text: text.to_owned() })
}

/// Writes bytes in the largest unit that says them exactly: `128MiB`, `1536KiB`.
pub fn format_bytes(bytes: u64) -> String {
    for (each, unit) in [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes != 0 && bytes.is_multiple_of(each) {
            return format!("{}{unit}", bytes / each);
        }
    }
    format!("{bytes}B")
}

/// `serde(with)`: a duration as its text.
pub mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes [`super::format_duration`].
    ///
    /// # Errors
    /// The serializer's own.
    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_duration(*value))
    }

    /// Reads [`super::parse_duration`].
    ///
    /// # Errors
    /// A text that is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        super::parse_duration(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_says_its_zone() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2027-01-31T08:00:00.5Z", Some(1_801_382_400_500)),
            ("2027-01-31T09:00:00+01:00", Some(1_801_382_400_000)),
            ("2027-01-31T08:00:00", None),
            ("2027-02-30T08:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("tomorrow", None),
        ] {
            assert_eq!(parse_time(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn sizes_are_binary_and_exact() {
        assert_eq!(parse_bytes("128MiB"), Ok(128 << 20));
        assert_eq!(parse_bytes("1 GiB"), Ok(1 << 30));
        for bad in ["", "MiB", "128", "128MB", "128mib", "1.5GiB", "-1MiB", "99999999999GiB"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
        assert!(parse_bytes("64mb").unwrap_err().to_string().contains("\"64MiB\""));
    }

    #[test]
    fn cpu_is_thousandths_or_cores_and_never_zero() {
        assert_eq!(parse_cpu_millis("500m"), Ok(500));
        assert_eq!(parse_cpu_millis("2"), Ok(2000));
        for bad in ["", "0", "0m", "0.5", "m", "2 cores"] {
            assert!(parse_cpu_millis(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_come_back_as_they_were_written() {
        for text in ["250ms", "30s", "5m", "1h", "1500ms", "0ms"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        assert!(matches!(parse_duration("8761h"), Err(UnitError::TooLong { .. })));
        assert!(matches!(parse_duration("18446744073709551615h"), Err(UnitError::TooLong { .. })));
        for bad in ["", "s", "30", "30sec", "1.5s", "-1s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert!(parse_duration("5min").unwrap_err().to_string().contains("\"5m\""));
        assert!(parse_duration("5millis").unwrap_err().to_string().contains("\"5ms\""));
    }

    #[test]
    fn sizes_are_written_in_the_largest_exact_unit() {
        assert_eq!(format_bytes(128 << 20), "128MiB");
        assert_eq!(format_bytes(1536 << 10), "1536KiB");
        assert_eq!(format_bytes(1000), "1000B");
    }
}
