//! Tables for a terminal.

use std::collections::BTreeMap;

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::cold::ColdFigures;
use crate::idle::IdleFigures;
use crate::peers::Peer;
use crate::rounds::{CaseFigures, Series};

const MIB: f64 = 1024.0 * 1024.0;

/// A row per gateway. The time per request is given twice: noise only adds, so the best round is the
/// better estimate of the true cost, and the median says how noisy it was.
pub(crate) fn case(figures: &CaseFigures) -> Table {
    let mut table = with_header(&[
        "",
        "req/s",
        "p50 us",
        "p99 us",
        "CPU us/req best",
        "median",
        "ours / it",
        "calls/req",
        "used",
        "load core",
        "foreign",
        "peak MiB",
        "errors",
    ]);
    let ours = figures.of(figures.ours);
    for series in &figures.series {
        table.add_row(row(series, ours));
    }
    align(table)
}

fn row(series: &Series, ours: Option<&Series>) -> Vec<String> {
    let median = |value: fn(&crate::measure::Sample) -> f64, digits: usize| {
        number(series.spread(value).map(|spread| spread.median), digits)
    };
    let cpu = series.spread(|sample| sample.cpu_us_per_request);
    let is_other = |ours: &&Series| series.peer != ours.peer && series.peer != Peer::Direct;
    let ratio = ours.filter(is_other).and_then(|ours| ours.cpu_ratio_to(series));
    let errors: u64 = series.samples.values().map(|sample| sample.errors).sum();
    vec![
        series.peer.name().to_owned(),
        median(|sample| sample.requests_per_s, 0),
        median(|sample| sample.p50_us, 0),
        median(|sample| sample.p99_us, 0),
        number(cpu.map(|cpu| cpu.min), 2),
        number(cpu.map(|cpu| cpu.median), 2),
        number(ratio, 2),
        number(series.system_calls_per_request, 1),
        median(|sample| sample.utilisation, 2),
        median(|sample| sample.load_core_busy, 2),
        median(|sample| sample.foreign, 2),
        median(|sample| sample.peak_bytes as f64 / MIB, 1),
        if series.samples.is_empty() { "failed".to_owned() } else { errors.to_string() },
    ]
}

pub(crate) fn idle(figures: &[IdleFigures]) -> Table {
    let mut table =
        with_header(&["", "", "connections", "before MiB", "with MiB", "bytes/connection"]);
    for figure in figures {
        table.add_row([
            figure.peer.name().to_owned(),
            figure.protocol.to_owned(),
            figure.connections.to_string(),
            number(Some(figure.before_bytes as f64 / MIB), 1),
            number(Some(figure.with_bytes as f64 / MIB), 1),
            number(Some(figure.bytes_per_connection), 0),
        ]);
    }
    align(table)
}

pub(crate) fn cold(figures: &[ColdFigures]) -> Table {
    let mut table = with_header(&[
        "",
        "starts",
        "answer ms best",
        "median",
        "p90",
        "warm ms",
        "started by node ms",
        "of it",
        "idle MiB, private share",
        "as the cgroup counts",
        "again, from",
        "median",
        "p99",
        "of it",
        "as the cgroup counts",
    ]);
    let listed = |phases: &BTreeMap<String, f64>| {
        let phases = phases.iter().map(|(name, ms)| format!("{name} {ms:.1}"));
        phases.collect::<Vec<_>>().join("\n")
    };
    for figure in figures {
        table.add_row([
            figure.runtime.to_owned(),
            figure.answer_ms.len().to_string(),
            number(figure.answer().map(|spread| spread.min), 1),
            number(figure.answer().map(|spread| spread.median), 1),
            number(Some(figure.answer_p90_ms()), 1),
            number(Some(figure.warm_ms), 2),
            number(figure.start_ms, 1),
            listed(&figure.phases_ms),
            number(Some(figure.idle_bytes / MIB), 2),
            number(figure.idle_cgroup_bytes.map(|bytes| bytes / MIB), 2),
            figure.again.from.clone(),
            number(figure.again.answer().map(|spread| spread.median), 1),
            number(Some(figure.again.answer_p99_ms()), 1),
            listed(&figure.again.phases_ms),
            number(figure.again.idle_cgroup_bytes.map(|bytes| bytes / MIB), 2),
        ]);
    }
    align(table)
}

fn with_header(names: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(names.iter().map(Cell::new));
    table
}

fn align(mut table: Table) -> Table {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}
