//! What it costs that requests are for five hundred functions in turn rather than for one: through Hatchway, and, so that it can be
//! told what of that is the machine's, to the same processes with nginx between, and with nothing.

use std::time::{Duration, Instant};

use hatchway_tests::Draw;

use super::clients::{Asked, Manner, ask};
use super::functions::{self, FUNCTIONS};
use super::plain::{Nginx, Plain};
use super::{GATEWAYS, MANNER, NODES, Report, WHILE, addresses, ms, sound};

/// More than is needed: this is not about room.
const MEMORY_MIB: usize = 700;

/// Runs of each kind, in turn: this machine is not always as fast.
const ROUNDS: usize = 3;

const SHORT: Manner = Manner { long: Duration::from_secs(5), ..MANNER };

pub(crate) fn measure(report: &mut Report) {
    through_hatchway(report);
    let plain = &Plain::start(FUNCTIONS);
    {
        let nginx = Nginx::start(plain);
        compare(report, "through one nginx", &first(NODES), |manner, functions| {
            ask(&[nginx.address], manner, |draw| functions::path(one_of(functions, draw)))
        });
    }
    compare(report, "asked directly", &first(NODES), |manner, functions| {
        plain.ask(manner, |draw| one_of(functions, draw))
    });
}

fn through_hatchway(report: &mut Report) {
    let site = &functions::start(MEMORY_MIB, GATEWAYS);
    let (gateways, each) = (addresses(site), functions::one_of_each_node(site));
    let by_gateways = |manner, functions: &[usize]| {
        ask(&gateways, manner, |draw| functions::path(one_of(functions, draw)))
    };
    let most = compare(report, "through Hatchway", &each, by_gateways);

    let offered = Manner { per_second: Some(most / 2.0), ..MANNER };
    let [one, many] = [&each[..1], &first(FUNCTIONS)].map(|functions| {
        let began = Instant::now();
        let asked = sound(by_gateways(offered, functions));
        (asked.rate(), asked.p99(began, began + WHILE))
    });
    report.row(
        "the same load for both, half of what 500 can take: answered of 500, over that of one",
        ">= 0.90",
        &format!(
            "{:.2} ({:.0}/s; p99 {}, of one {})",
            many.0 / one.0,
            many.0,
            ms(many.1),
            ms(one.1)
        ),
    );
}

/// A row of what is served of 500 functions, of `few`, and of the first of those; what is served of 500.
fn compare(
    report: &mut Report,
    how: &str,
    few: &[usize],
    ask: impl Fn(Manner, &[usize]) -> Asked,
) -> f64 {
    let all = first(FUNCTIONS);
    let mut rates = [0.0; 3];
    for _ in 0..ROUNDS {
        for (rate, functions) in rates.iter_mut().zip([&few[..1], few, &all]) {
            *rate += sound(ask(SHORT, functions)).rate() / ROUNDS as f64;
        }
    }
    let [one, few, many] = rates;
    report.row(
        &format!("the most of 500 functions {how}, over that of one, and of {NODES}"),
        "as the control",
        &format!("{:.2}, {:.2} ({many:.0}/s, {one:.0}/s, {few:.0}/s)", many / one, many / few),
    );
    many
}

fn first(count: usize) -> Vec<usize> {
    (0..count).collect()
}

fn one_of(functions: &[usize], draw: &mut Draw) -> usize {
    let at = draw.below(functions.len() as u64);
    functions[usize::try_from(at).expect("it is below a length")]
}
