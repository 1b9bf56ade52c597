//! What commands print: JSON for programs, tables for people. A reader that leaves early, such as `head`, is
//! an ordinary end and not a panic.

use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{Table, presets};
use hatchway_proto::catalog::Package;
use hatchway_proto::name::{FunctionName, TenantName};
use serde::Serialize;

use crate::failure::{Failure, Outcome};

/// Prints one JSON document.
pub(crate) fn json(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value).map_err(|error| broken(error.into()))?;
    line(&text)
}

/// Prints a line, or several.
pub(crate) fn line(text: &str) -> Outcome {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(broken)
}

/// Prints a table without the spaces at the ends of its lines.
pub(crate) fn show(table: &Table) -> Outcome {
    let text = table.to_string();
    line(&text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

pub(crate) fn broken(source: io::Error) -> Failure {
    Failure::Io { what: "could not write to the standard output".to_owned(), source }
}

/// A table with a heading and nothing else between its columns than space.
pub(crate) fn table(heading: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(heading.iter().copied());
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// A function's name as a user types it: without the tenant where that is the default one.
pub(crate) fn short_name(name: &FunctionName) -> &str {
    if name.tenant() == TenantName::local().as_str() { name.name() } else { name.as_str() }
}

/// What a cell shows of something that may be unknown.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Where a package is: its folder, or the beginning of its name in the store.
pub(crate) fn package(package: &Package) -> String {
    match &package.root {
        Some(root) => root.display().to_string(),
        None => format!("{:.12}", package.digest),
    }
}

/// A size to compare with others, not to count with: `12.3MiB`.
pub(crate) fn size(bytes: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >> shift > 0 {
            let tenths = (u128::from(bytes) * 10) >> shift;
            return format!("{}.{}{unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes}B")
}

/// A time to compare with others: `420ms`, `12.4s`, `3m05s`, `2h10m`, `4d02h`.
pub(crate) fn span(span: Duration) -> String {
    let (seconds, ms) = (span.as_secs(), span.subsec_millis());
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{seconds}.{}s", ms / 100),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        86_400.. => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// The time of day in UTC: `13:05:59.042`.
pub(crate) fn time_of_day(unix_ms: u64) -> String {
    let (ms, s) = (unix_ms % 1000, unix_ms / 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600 % 24, s / 60 % 60, s % 60)
}

/// A moment in UTC: `2026-11-21 13:05:59`.
pub(crate) fn date_and_time(unix_ms: u64) -> String {
    // Years begin in March, so that a leap day is the last day of one (Hinnant, "chrono-compatible low-level date
    // algorithms", civil_from_days).
    let days = unix_ms / 86_400_000 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let time = time_of_day(unix_ms);
    format!("{:04}-{month:02}-{day:02} {}", year + era * 400, &time[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_keep_three_digits_that_matter() {
        let sizes = [(0, "0B"), (1023, "1023B"), (1536, "1.5KiB"), (u64::MAX, "17179869183.9GiB")];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text);
        }
        let spans = [
            (0, "0ms"),
            (999, "999ms"),
            (12_450, "12.4s"),
            (185_000, "3m05s"),
            (7_800_000, "2h10m"),
            (352_800_000, "4d02h"),
        ];
        for (ms, text) in spans {
            assert_eq!(span(Duration::from_millis(ms)), text);
        }
        assert_eq!(time_of_day(86_400_000 + 47_159_042), "13:05:59.042");
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_709_251_200, "2024-03-01 00:00:00"),
            (1_798_761_599, "2026-12-31 23:59:59"),
        ] {
            assert_eq!(date_and_time(seconds * 1000), text);
        }
    }
}
