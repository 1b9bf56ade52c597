//! What a function may use, how many sandboxes it has, and its clocks: ranges, and what must agree.

use std::time::Duration;

use super::quantity::{Bytes, Span, Whole};
use super::read::{At, Given, Report};
use super::written::{FunctionTable, TimeoutsTable};
use super::{Scale, defaults};
use crate::catalog::{Clocks, Resources};
use crate::units::{format_bytes, format_duration};

/// The number in a field if it is from `low` to `high`; reported if it is neither that nor absent.
pub(super) fn within<T>(
    field: &Given<Whole>,
    name: &str,
    low: T,
    high: T,
    report: &mut Report<'_>,
) -> Option<T>
where
    T: TryFrom<u64> + PartialOrd + std::fmt::Display,
{
    let At { span, value: Whole(number) } = field.as_right()?;
    match T::try_from(*number) {
        Ok(number) if low <= number && number <= high => Some(number),
        Ok(_) | Err(_) => {
            let message = format!("`{name}` cannot be {number}");
            report.wrong_with_help(span, message, format!("write a number from {low} to {high}"));
            None
        }
    }
}

/// What one sandbox may use.
pub(super) fn resources(table: &FunctionTable, report: &mut Report<'_>) -> Resources {
    let memory_bytes = memory(&table.memory, report);
    let tmp_bytes = table.tmp.as_right().map_or(defaults::TMP_BYTES, |tmp| tmp.value.0);
    if let Some(At { span, .. }) = table.tmp.as_right()
        && tmp_bytes > memory_bytes
        && !matches!(table.memory, Given::Wrong)
    {
        let memory = format_bytes(memory_bytes);
        let message = format!("/tmp is memory, and larger than the function's {memory}");
        report.wrong_with_help(span, message, format!("at most {memory:?}, or more `memory`"));
    }
    let pids = within(&table.pids, "pids", 1, defaults::MAX_PIDS, report);
    let files = within(&table.files, "files", defaults::MIN_FILES, defaults::MAX_FILES, report);
    Resources {
        cpu_millis: table.cpu.as_right().map_or(defaults::CPU_MILLIS, |cpu| cpu.value.0),
        memory_bytes,
        pids: pids.unwrap_or(defaults::PIDS),
        files: files.unwrap_or(defaults::FILES),
        tmp_bytes: tmp_bytes.min(memory_bytes),
    }
}

fn memory(field: &Given<Bytes>, report: &mut Report<'_>) -> u64 {
    let Some(At { span, value: Bytes(bytes) }) = field.as_right() else {
        return defaults::MEMORY_BYTES;
    };
    if *bytes < defaults::MIN_MEMORY_BYTES {
        let least = format_bytes(defaults::MIN_MEMORY_BYTES);
        let message = format!("no runtime starts with {}", format_bytes(*bytes));
        report.wrong_with_help(span, message, format!("at least {least:?}"));
    }
    *bytes
}

/// How many sandboxes, and how many requests in each.
pub(super) fn scale(table: &FunctionTable, report: &mut Report<'_>) -> Scale {
    let min = within(&table.min, "min", 0, defaults::MAX_SANDBOXES, report).unwrap_or(0);
    let max = within(&table.max, "max", 1, defaults::MAX_SANDBOXES, report);
    let effective = max.unwrap_or(defaults::MAX.max(min));
    if let (Some(max), Some(at)) = (max, table.min.as_right())
        && min > max
    {
        let message = format!("`min` is {min} and `max` is {max}");
        report.wrong_with_help(&at.span, message, format!("`min` is at most {max}"));
    }
    Scale {
        concurrency: within(&table.concurrency, "concurrency", 1, u16::MAX, report)
            .unwrap_or(defaults::CONCURRENCY),
        min: min.min(effective),
        max: effective,
    }
}

/// The five clocks. A default gives way to a shorter `run`; what is written must fit in it.
pub(super) fn clocks(table: &Given<TimeoutsTable>, report: &mut Report<'_>) -> Clocks {
    let absent = TimeoutsTable::default();
    let written = table.as_right().map_or(&absent, |at| &at.value);
    let or = |field: &Given<Span>, default| field.as_right().map_or(default, |at| at.value.0);
    let run = or(&written.run, defaults::RUN_CLOCK);
    let mut inside_run = |field: &Given<Span>, name: &str, default: Duration| {
        let Some(At { span, value: Span(clock) }) = field.as_right() else {
            return default.min(run);
        };
        if *clock > run && !matches!(written.run, Given::Wrong) {
            let message =
                format!("`{name}` can never run out: `run` ends after {}", format_duration(run));
            let help = format!("at most {:?}, or a longer `run`", format_duration(run));
            report.wrong_with_help(span, message, help);
        }
        *clock
    };
    Clocks {
        first_byte: inside_run(&written.first_byte, "first_byte", defaults::FIRST_BYTE_CLOCK),
        idle: inside_run(&written.idle, "idle", defaults::IDLE_CLOCK),
        queue: or(&written.queue, defaults::QUEUE_CLOCK),
        start: or(&written.start, defaults::START_CLOCK),
        run,
    }
}
