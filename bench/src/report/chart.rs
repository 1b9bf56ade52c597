//! Processor time per request as bars: a panel per case with a scale of its own, the shorter the
//! better, a thin line from the best round to the worst.

use svg::Document;
use svg::node::element::{Line, Rectangle, Text};

use crate::peers::Peer;
use crate::rounds::{CaseFigures, Series};
use crate::stats::Spread;

const WIDTH: f64 = 760.0;
const NAMES: f64 = 170.0;
const VALUES: f64 = 130.0;
const BAR: f64 = 18.0;
const ROW: f64 = 25.0;
const TITLE: f64 = 34.0;
const GAP: f64 = 16.0;
const FONT: &str = "system-ui, sans-serif";

pub(crate) fn draw(cases: &[CaseFigures]) -> String {
    let mut document = Document::new().add(text(0.0, 18.0, 15, "CPU per request, in microseconds"));
    let mut top = TITLE;
    for case in cases {
        let rows: Vec<(&Series, Spread)> = case.series.iter().filter_map(bar_of).collect();
        document = panel(document, case.label, &rows, top);
        top += TITLE + ROW * rows.len() as f64 + GAP;
    }
    document
        .set("viewBox", format!("-12 -8 {} {}", WIDTH + 24.0, top + 8.0))
        .set("style", "background: #fff")
        .set("font-family", FONT)
        .to_string()
}

fn bar_of(series: &Series) -> Option<(&Series, Spread)> {
    Some((series, series.spread(|sample| sample.cpu_us_per_request)?))
}

fn panel(mut document: Document, label: &str, rows: &[(&Series, Spread)], top: f64) -> Document {
    let longest = rows.iter().map(|(_, cpu)| cpu.max).fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - NAMES - VALUES) / longest;
    document = document.add(text(0.0, top + 20.0, 13, label).set("font-weight", "bold"));
    for (index, (series, cpu)) in rows.iter().enumerate() {
        let y = top + TITLE + ROW * index as f64;
        document = document
            .add(text(0.0, y + 13.0, 12, series.peer.name()))
            .add(bar(y, cpu.median * scale, colour(series.peer)))
            .add(whisker(y, cpu.min * scale, cpu.max * scale))
            .add(text(NAMES + cpu.max * scale + 8.0, y + 13.0, 12, &format!("{:.1}", cpu.median)));
    }
    document
}

fn bar(y: f64, length: f64, colour: &str) -> Rectangle {
    Rectangle::new()
        .set("x", NAMES)
        .set("y", y)
        .set("width", format!("{length:.1}"))
        .set("height", BAR)
        .set("rx", 2)
        .set("fill", colour)
}

fn whisker(y: f64, from: f64, to: f64) -> Line {
    Line::new()
        .set("x1", format!("{:.1}", NAMES + from))
        .set("x2", format!("{:.1}", NAMES + to))
        .set("y1", y + BAR / 2.0)
        .set("y2", y + BAR / 2.0)
        .set("stroke", "#1b1f24")
        .set("stroke-width", 1.5)
}

fn text(x: f64, y: f64, size: u32, words: &str) -> Text {
    Text::new(words)
        .set("x", format!("{x:.1}"))
        .set("y", y)
        .set("font-size", size)
        .set("fill", "#1b1f24")
}

/// One colour for us, one for the floor, one for all others: the eye looks for one comparison.
fn colour(peer: Peer) -> &'static str {
    match peer {
        Peer::Hatchway | Peer::Pair | Peer::Routes => "#e8871e",
        Peer::Direct => "#d0d7de",
        Peer::Nginx | Peer::Haproxy | Peer::Envoy => "#8c9aa8",
    }
}
